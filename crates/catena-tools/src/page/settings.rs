//! `run.json`: what a run is made of, and in what runs differ.
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use catena_record::formats::run::{
    CallbackDescription, EndedStage, NAME, RUNNING, RunFile, StoppedBy, StoppedStage,
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::notes::Notes;
use crate::failure::{Failure, Result};
use crate::holder;
use crate::model::plan::Plan;

/// What is known of a run as a whole.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) plan: Plan,
    /// How it stands, in words; none if it does not say.
    pub(crate) status: Option<String>,
    /// Settings by path, such as `stages/digits/epochs`.
    pub(crate) settings: BTreeMap<String, String>,
}

/// The largest file that is read, and the longest value that is shown.
const MOST_BYTES: u64 = 4 << 20;
const LONGEST: usize = 300;
const MOST_SETTINGS: usize = 2000;

/// Reads the file, if it is there.
pub(crate) fn read(run: &Path) -> Result<(About, Notes)> {
    let (path, mut notes) = (run.join(NAME), Notes::default());
    if !path.is_file() {
        notes.add(format!("there is no {NAME}: its settings are not known"));
        return Ok((About::default(), notes));
    }
    let io = Failure::io("can't read", &path);
    let mut bytes = Vec::new();
    File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)).map_err(io)?;
    let all: Option<Value> = serde_json::from_slice(&bytes).ok().filter(Value::is_object);
    let Some((file, all)) = all.and_then(|all| Some((RunFile::deserialize(&all).ok()?, all))) else {
        notes.add(format!("{NAME} can't be read: its settings are not known"));
        notes.damaged = true;
        return Ok((About::default(), notes));
    };
    let status = (!file.status.is_empty()).then(|| standing(&file, run));
    let mut settings = BTreeMap::new();
    for callback in file.run.chain.iter().take(MOST_SETTINGS) {
        let (path, text) = shown(callback);
        settings.insert(path, text);
    }
    // all others as they are, also those that are not known
    let mut rest = all.get("run").cloned().unwrap_or_default();
    rest.as_object_mut().and_then(|run| run.remove("chain"));
    flatten("", &rest, &mut settings);
    for params in file.run.chain.iter().filter_map(|callback| callback.settings.get("params")) {
        flatten("params", params, &mut settings);
    }
    Ok((About { plan: Plan { file }, status, settings }, notes))
}

/// A callback's path among the settings, and its phase and note.
fn shown(callback: &CallbackDescription) -> (String, String) {
    let CallbackDescription { key, name, phase, note, .. } = callback;
    let note = if note.is_empty() { String::new() } else { format!(": {note}") };
    let name = if name.is_empty() { key } else { name };
    (format!("chain/{name}"), shortened(&format!("{phase}{note}")))
}

/// How a run stands, if this is what it says of itself.
fn standing(file: &RunFile, run: &Path) -> String {
    let status = &file.status;
    if status == RUNNING
        && let Some(last) = holder::gone_since(run)
    {
        let last = DateTime::<Utc>::from(last).format("%Y-%m-%d %H:%M:%S");
        return format!("killed or lost: last sign of life at {last} UTC, no process here holds the lock");
    }
    if let Some(error) = &file.error {
        return format!("{status}: {error}");
    }
    let stages: Vec<String> = file.stages.iter().filter_map(stopped_stage).collect();
    if !stages.is_empty() {
        return format!("{status}; {}", stages.join("; "));
    }
    match &file.stopped_by {
        Some(StoppedBy { callback, why: Some(why) }) => format!("{status} by {callback}: {why}"),
        Some(StoppedBy { callback, why: None }) => format!("{status} by {callback}"),
        None => status.clone(),
    }
}

/// Of a stage that somebody stopped before its end: in which epoch, by whom, and why.
fn stopped_stage(EndedStage { stage, epoch, epochs, stopped }: &EndedStage) -> Option<String> {
    let StoppedStage { by, why } = stopped.as_ref()?;
    let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    Some(format!("stage `{stage}` stopped in epoch {epoch} of {epochs} by {by}{why}"))
}

/// The leaves below a value, with their paths; things in lists are called by their names.
fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    if found.len() >= MOST_SETTINGS {
        return;
    }
    let below = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
    match value {
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

/// Every setting, its value in each run, and whether they differ.
pub(crate) fn compared<'a>(runs: &[&'a About]) -> Vec<(String, Vec<Option<&'a str>>, bool)> {
    let paths: BTreeSet<&String> = runs.iter().flat_map(|run| run.settings.keys()).collect();
    let row = |path: &String| {
        let values: Vec<Option<&'a str>> =
            runs.iter().map(|run| run.settings.get(path).map(String::as_str)).collect();
        let differ = values.windows(2).any(|two| two.first() != two.last());
        (path.clone(), values, differ)
    };
    paths.into_iter().map(row).collect()
}
