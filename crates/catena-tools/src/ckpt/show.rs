//! `catena ckpt show`: what is in a snapshot.
use std::path::PathBuf;

use catena_record::formats::state::StateFile;
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::failure::Result;
use crate::report::{self, Report};
use crate::snapshots;

/// Show what is in a checkpoint: where the run was, files, tensors.
///
/// Every hash is checked. Exit status 1 when it is damaged.
#[derive(Args)]
pub(crate) struct Show {
    /// The run directory, or a checkpoint's folder.
    run: PathBuf,
    /// The checkpoint: its name, its batch number (the last of that batch), or a path [default: the newest].
    name: Option<String>,
}

/// How wide what was measured is.
const LINE: usize = 80;

impl Show {
    pub(crate) fn run(self) -> Result<Report> {
        let path = snapshots::find(&self.run, self.name.as_deref())?;
        let loaded = snapshots::load(&path)?;
        let manifest = &loaded.manifest;
        let StateFile { cursor, progress, shared } =
            StateFile::deserialize(&loaded.state).unwrap_or_default();
        let place = [("cursor", scalars(cursor)), ("progress", scalars(progress))];
        let tensors: Vec<(&String, &catena_record::tensors::Entry)> = loaded
            .files
            .iter()
            .flat_map(|(file, data)| data.tensors.iter().map(move |tensor| (file, tensor)))
            .collect();

        let mut about = vec![
            ["checkpoint".to_owned(), path.display().to_string()],
            ["stage".into(), manifest.stage.clone()],
            ["time".into(), manifest.time.clone()],
            ["why".into(), manifest.why.join(", ")],
            ["measured".into(), report::metrics_within(&manifest.measured, LINE).join("\n")],
        ];
        for (part, values) in &place {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            about.extend(values.iter().map(|(key, value)| [format!("{part}.{key}"), text(value)]));
        }
        about.extend(shared.iter().map(|names| ["one tensor".to_owned(), names.join(" = ")]));
        about.retain(|[_, value]| !value.is_empty());
        let files = manifest.files.iter().map(|(name, file)| [name.clone(), report::size(file.size)]);
        let rows = tensors
            .iter()
            .map(|(file, t)| [file.to_string(), t.name.clone(), t.dtype.clone(), format!("{:?}", t.shape)]);
        let mut text = report::table(["", ""], about).trim_start_matches('\n').to_owned();
        text += &format!("\n{}", report::table(["file", "size"], files));
        if !tensors.is_empty() {
            text += &format!("\n{}", report::table(["file", "tensor", "dtype", "shape"], rows));
        }

        let mut json = Map::from_iter([("path".to_owned(), json!(path.display().to_string()))]);
        json.extend(snapshots::contents(manifest));
        json.extend(place.map(|(part, values)| (part.to_owned(), values.into())));
        json.insert("files".into(), json!(manifest.files));
        json.insert("shared".into(), json!(shared));
        let tensor = |(file, t): &(&String, &catena_record::tensors::Entry)| json!({ "file": file, "name": t.name, "dtype": t.dtype, "shape": t.shape });
        json.insert("tensors".into(), tensors.iter().map(tensor).collect());
        Ok(Report { text, json: json.into(), good: true })
    }
}

/// The members of an object that are one value each, and not nothing.
fn scalars(object: Map<String, Value>) -> Map<String, Value> {
    let single = |value: &Value| !matches!(value, Value::Null | Value::Object(_) | Value::Array(_));
    object.into_iter().filter(|(_, value)| single(value)).collect()
}
