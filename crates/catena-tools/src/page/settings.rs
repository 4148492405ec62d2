//! `run.json`: what a run is made of, and in what runs differ.
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use catena_record::retention::Best;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::record::Record;
use crate::failure::{Failure, Result};
use crate::holder;
use crate::snapshots::best_kept;

/// What is known of a run as a whole.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) status: Option<String>,
    pub(crate) started: Option<String>,
    pub(crate) ended: Option<String>,
    /// Settings by path, such as `stages/digits/epochs`.
    pub(crate) settings: BTreeMap<String, String>,
    /// What the snapshots that are kept for being good are chosen by.
    pub(crate) best_by: Option<Best>,
    run: Value,
}

/// The largest file that is read, and the longest value that is shown.
const MOST_BYTES: u64 = 4 << 20;
const LONGEST: usize = 300;
const MOST_SETTINGS: usize = 2000;

/// Reads the file, if it is there.
pub(crate) fn read(run: &Path, record: &mut Record) -> Result<()> {
    let path = run.join("run.json");
    if !path.is_file() {
        record.notes.push("there is no run.json: its settings are not known".into());
        return Ok(());
    }
    let io = Failure::io("can't read", &path);
    let mut bytes = Vec::new();
    File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)).map_err(io)?;
    let Ok(Value::Object(mut all)) = serde_json::from_slice(&bytes) else {
        record.notes.push("run.json can't be read: its settings are not known".into());
        record.damaged = true;
        return Ok(());
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let [status, started, ended] = ["status", "started", "ended"].map(|key| text(all.get(key)));
    let status = status.map(|status| standing(&status, &all, run));
    let run = all.get_mut("run").map(Value::take).unwrap_or_default();
    let mut settings = BTreeMap::new();
    flatten("", &run, &mut settings);
    let chain = || run.get("chain").and_then(Value::as_array).into_iter().flatten();
    let of_chain = || chain().filter_map(|member| member.get("settings"));
    for params in of_chain().filter_map(|settings| settings.get("params")) {
        flatten("params", params, &mut settings);
    }
    let best_by = of_chain().find_map(best_kept);
    record.about = About { status, started, ended, settings, best_by, run };
    Ok(())
}

/// How a run stands, if this is what it says of itself.
fn standing(status: &str, all: &Map<String, Value>, run: &Path) -> String {
    if status == "running"
        && let Some(last) = holder::gone_since(run)
    {
        let last = DateTime::<Utc>::from(last).format("%Y-%m-%d %H:%M:%S");
        return format!("killed or lost: last sign of life at {last} UTC, no process here holds the lock");
    }
    if let Some(error) = all.get("error").and_then(Value::as_str) {
        return format!("{status}: {error}");
    }
    let of = |key: &str| all.get("stopped_by")?.get(key)?.as_str();
    let stages = stopped_stages(all);
    if !stages.is_empty() {
        return format!("{status}; {}", stages.join("; "));
    }
    match (of("callback"), of("why")) {
        (Some(callback), Some(why)) => format!("{status} by {callback}: {why}"),
        (Some(callback), None) => format!("{status} by {callback}"),
        (None, _) => status.to_owned(),
    }
}

/// The stages that somebody stopped before their ends: in which epoch, by whom, and why.
fn stopped_stages(all: &Map<String, Value>) -> Vec<String> {
    let stages = all.get("stages").and_then(Value::as_array);
    let text = |stage: &Value| {
        let stopped = stage.get("stopped")?;
        let by = stopped.get("by")?.as_str()?;
        let why =
            stopped.get("why").and_then(Value::as_str).map_or_else(String::new, |why| format!(": {why}"));
        let (epoch, epochs) = (stage.get("epoch")?.as_u64()?, stage.get("epochs")?.as_u64()?);
        Some(format!(
            "stage `{}` stopped in epoch {epoch} of {epochs} by {by}{why}",
            stage.get("stage")?.as_str()?
        ))
    };
    stages.into_iter().flatten().filter_map(text).collect()
}

/// The leaves below a value, with their paths; things in lists are called by their names.
fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    if found.len() >= MOST_SETTINGS {
        return;
    }
    let below = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
    match value {
        Value::Object(map) if map.contains_key("key") && map.contains_key("phase") => {
            let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
            let note = text("note");
            let note = if note.is_empty() { String::new() } else { format!(": {note}") };
            found.insert(path.to_owned(), shortened(&format!("{}{note}", text("phase"))));
        }
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(&below(key), value, found)),
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (i, value) in list.iter().enumerate() {
                let name = ["name", "key"].iter().find_map(|key| value.get(key)?.as_str());
                flatten(&below(&name.map_or_else(|| i.to_string(), str::to_owned)), value, found);
            }
        }
        Value::Null => {}
        // the path has it
        Value::String(name) if path.ends_with("/name") && path.contains(&format!("/{name}/")) => {}
        Value::String(text) => drop(found.insert(path.to_owned(), shortened(text))),
        other => drop(found.insert(path.to_owned(), shortened(&other.to_string()))),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl About {
    fn stages(&self) -> impl Iterator<Item = &Value> {
        self.run.get("stages").and_then(Value::as_array).into_iter().flatten()
    }

    fn loaders(stage: &Value) -> impl Iterator<Item = &Value> {
        stage.get("loaders").and_then(Value::as_array).into_iter().flatten()
    }

    /// Whether a loader of this name trains, so far as is known.
    pub(crate) fn may_train(&self, loader: &str) -> bool {
        let mut named = self
            .stages()
            .flat_map(Self::loaders)
            .filter(|known| known.get("name").and_then(Value::as_str) == Some(loader))
            .peekable();
        named.peek().is_none()
            || named.any(|known| known.get("mode").and_then(Value::as_str) == Some("train"))
    }

    /// How many Train batches an epoch of a stage has, if that is known.
    pub(crate) fn batches_of(&self, stage: &str) -> Option<u64> {
        let stage = self.stages().find(|known| known.get("name").and_then(Value::as_str) == Some(stage))?;
        let train = |loader: &&Value| loader.get("mode").and_then(Value::as_str) == Some("train");
        let counts: Option<Vec<u64>> =
            Self::loaders(stage).filter(train).map(|loader| loader.get("batches")?.as_u64()).collect();
        counts?.into_iter().reduce(u64::saturating_add).filter(|batches| *batches > 0)
    }
}

/// Every setting, its value in each run, and whether they differ.
pub(crate) fn compared(runs: &[Record]) -> Vec<(String, Vec<Option<&str>>, bool)> {
    let paths: BTreeSet<&String> = runs.iter().flat_map(|run| run.about.settings.keys()).collect();
    let row = |path: &String| {
        let values: Vec<Option<&str>> =
            runs.iter().map(|run| run.about.settings.get(path).map(String::as_str)).collect();
        let differ = values.windows(2).any(|two| two.first() != two.last());
        (path.clone(), values, differ)
    };
    paths.into_iter().map(row).collect()
}
