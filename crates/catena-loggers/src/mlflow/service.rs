//! What is sent to MLflow of an entry, and in which portions.
use std::time::UNIX_EPOCH;

use super::client::{self, MlflowServer};
use super::item::{Item, key, number, param};
use crate::array::Shown;
use crate::error::Result;
use crate::logger::{Ending, Entry};
use crate::payload::Payload;
use crate::remote::{Failure, Service};

/// MLflow's limits of one request.
const METRICS: usize = 1000;
const PARAMS: usize = 100;

impl Service for MlflowServer {
    type Item = Item;
    const NAME: &'static str = "Mlflow";

    fn address(&self) -> &str {
        &self.server
    }

    fn items(&self, entry: &Entry) -> Result<Vec<Item>> {
        let timestamp = entry.time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let step = entry.global_step;
        let file =
            |kind: &str, name: &str, end: &str| format!("{kind}/{}/{step}.{end}", key(&entry.tag(name)));
        let mut items = Vec::new();
        match &entry.payload {
            Payload::Scalars(scalars) => {
                for (name, value) in scalars.iter() {
                    items.push(Item::Metric {
                        key: key(&entry.tag(name)),
                        value: number(value),
                        timestamp,
                        step,
                    });
                }
            }
            Payload::Array { name, array } => {
                for (name, shown) in array.shown(name)? {
                    items.push(match shown {
                        Shown::Number(value) => Item::Metric {
                            key: key(&entry.tag(&name)),
                            value: number(value),
                            timestamp,
                            step,
                        },
                        Shown::Picture(image) => {
                            Item::Bytes { name: file("images", &name, "png"), bytes: image.png()? }
                        }
                    });
                }
            }
            Payload::Params(params) => {
                for (name, value) in params.iter() {
                    items.push(Item::Param { key: key(name), value: param(value) });
                }
            }
            Payload::Image { name, image } => {
                items.push(Item::Bytes { name: file("images", name, "png"), bytes: image.png()? });
            }
            Payload::Text { name, text } => {
                items.push(Item::Bytes { name: file("texts", name, "md"), bytes: text.clone().into_bytes() });
            }
            Payload::Artifact { name, path } => {
                items.push(Item::File { name: name.clone(), path: path.clone() });
            }
            Payload::Histogram { .. } => {}
        }
        Ok(items)
    }

    fn status(&self, ending: Option<Ending>) -> Option<Item> {
        let status = match ending {
            None => "RUNNING",
            Some(Ending::Done) => "FINISHED",
            Some(Ending::Interrupted) => "KILLED",
            Some(Ending::Failed) => "FAILED",
        };
        Some(Item::Status { status: status.into(), end_time: ending.map(|_| client::now()) })
    }

    fn open(&mut self, run_id: Option<&str>) -> std::result::Result<String, Failure> {
        self.open_run(run_id)
    }

    fn send(&mut self, _: &str, items: &[&Item]) -> std::result::Result<(), Failure> {
        self.send_items(items)
    }

    fn why_refused(&mut self, run_id: &str, text: String) -> Failure {
        match self.look(run_id) {
            Err(Failure::Denied(text)) => Failure::Denied(text),
            _ => Failure::Refused(text),
        }
    }

    fn at_most(item: &Item) -> usize {
        match item {
            Item::Metric { .. } => METRICS,
            Item::Param { .. } => PARAMS,
            Item::Bytes { .. } | Item::File { .. } | Item::Status { .. } => 1,
        }
    }

    fn size(item: &Item) -> usize {
        match item {
            Item::Bytes { bytes, .. } => 1 + bytes.len() / 100,
            _ => 1,
        }
    }

    fn may_be_lost(item: &Item) -> bool {
        !matches!(item, Item::Param { .. } | Item::Status { .. })
    }
}
