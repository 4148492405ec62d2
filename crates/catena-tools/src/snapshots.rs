//! Which snapshots a run directory has, and which one an argument means. Nothing here changes anything or needs the run's lock.
use std::path::{Path, PathBuf};

use catena_record::fs::{FileSystem, Kind, Os};
use catena_record::logs::Mark;
use catena_record::{Error, Loaded, Manifest, SnapshotName};
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Result};
use crate::report;
use crate::run_directory::{self, HINT};

/// A run directory.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) path: PathBuf,
    pub(crate) checkpoints: PathBuf,
}

/// A snapshot that was looked at.
#[derive(Debug)]
pub(crate) struct Examined {
    /// Its folder's name, or its path in the run directory if it is set aside.
    pub(crate) label: String,
    /// Its table of contents, or why it can't be used.
    pub(crate) manifest: std::result::Result<Manifest, Error>,
    /// Logs that a run which goes on from it needs and that are not as they were: `metrics.jsonl is gone`. None if they were not looked at.
    pub(crate) logs: Vec<String>,
}

impl Run {
    /// A directory that has checkpoints.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        run_directory::check(path)?;
        let checkpoints = path.join("checkpoints");
        // the folder is made when the run begins, the lock when a program opens the directory
        if !checkpoints.is_dir() && !path.join("lock").is_file() {
            return Err(Failure::Usage(format!(
                "{} has no folder `checkpoints`, so it is no run directory; {HINT}",
                path.display()
            )));
        }
        Ok(Self { path: path.to_owned(), checkpoints })
    }

    /// The snapshots that a run may go on from, oldest first.
    pub(crate) fn names(&self) -> Result<Vec<SnapshotName>> {
        let mut names: Vec<_> =
            entries(&self.checkpoints)?.iter().filter_map(|(name, _)| name.parse().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Looks at the snapshots that a run may go on from, oldest first.
    pub(crate) fn examine(&self, verify: bool) -> Result<Vec<(SnapshotName, Examined)>> {
        let examined =
            |name: SnapshotName| Some((name, examine(name.to_string(), &self.path(name), verify)?));
        Ok(self.names()?.into_iter().filter_map(examined).collect())
    }

    /// Those that were found damaged and renamed when the run went on.
    pub(crate) fn corrupt(&self) -> Result<Vec<String>> {
        let is_corrupt = |name: &str| {
            name.split_once(".corrupt").is_some_and(|(name, _)| name.parse::<SnapshotName>().is_ok())
        };
        Ok(folders(&self.checkpoints)?.into_iter().filter(|name| is_corrupt(name)).collect())
    }

    /// The paths in the run directory of those that were set aside when the run went on from an older one, and of those that
    /// errors left.
    pub(crate) fn aside(&self) -> Result<Vec<String>> {
        let superseded = Path::new("checkpoints/superseded");
        let mut parents: Vec<PathBuf> = vec!["crash".into()];
        parents.extend(folders(&self.path.join(superseded))?.iter().map(|n| superseded.join(n)));
        let mut paths = Vec::new();
        for parent in parents {
            let names = folders(&self.path.join(&parent))?;
            let names = names.iter().filter(|name| !name.starts_with('.'));
            paths.extend(names.map(|name| parent.join(name).display().to_string()));
        }
        Ok(paths)
    }

    pub(crate) fn path(&self, name: SnapshotName) -> PathBuf {
        self.checkpoints.join(name.to_string())
    }

    /// The snapshot that an argument means: a folder's name, a batch number (the last of that batch), or a path. The newest without
    /// an argument.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<PathBuf> {
        let names = self.names()?;
        let Some(text) = name else {
            let newest = names.last().map(|name| self.path(*name));
            return newest
                .ok_or_else(|| Failure::Usage(format!("{} has no checkpoints yet", self.path.display())));
        };
        let by_name = text.parse::<SnapshotName>().ok().filter(|name| names.contains(name));
        let batch = text.parse::<u64>().ok();
        let by_batch = || names.iter().copied().rfind(|name| Some(name.global_batch) == batch);
        if let Some(name) = by_name.or_else(by_batch) {
            return Ok(self.path(name));
        }
        let paths = [PathBuf::from(text), self.checkpoints.join(text), self.path.join(text)];
        if let Some(path) = paths.into_iter().find(|path| !text.is_empty() && path.is_dir()) {
            return Ok(path);
        }
        let at = self.path.display();
        let known: Vec<String> = names.iter().map(ToString::to_string).collect();
        let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
        let wrong =
            format!("{at} has no checkpoint `{text}`; give a name, a batch number or a path; it has {known}");
        Err(Failure::Usage(wrong))
    }
}

/// The snapshot that a run directory and a name mean, or that is at the path itself if it is one.
pub(crate) fn find(run: &Path, name: Option<&str>) -> Result<PathBuf> {
    if name.is_none() && run.join("manifest.json").is_file() {
        return Ok(run.to_owned());
    }
    Run::open(run)?.find(name)
}

/// Reads and verifies a snapshot. A folder that does not even have the name of one is no damaged snapshot.
pub(crate) fn load(path: &Path) -> Result<Loaded> {
    let at = path.display();
    if !path.is_dir() {
        return Err(Failure::Usage(format!("there is no checkpoint at {at}")));
    }
    if path.join("checkpoints").is_dir() {
        let wrong = format!("{at} is a run directory; name the checkpoints that you mean after it");
        return Err(Failure::Usage(wrong));
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let is_named = name.is_some_and(|name| name.parse::<SnapshotName>().is_ok());
    if !is_named && !path.join("manifest.json").exists() {
        return Err(Failure::Usage(format!("{at} is no checkpoint: it has no manifest.json")));
    }
    Ok(catena_record::load(&Os, path)?)
}

/// Looks at a snapshot: every byte, or the table of contents and the sizes. None if it was removed meanwhile: its run may be going on.
pub(crate) fn examine(label: String, path: &Path, verify: bool) -> Option<Examined> {
    let read = if verify { catena_record::verify } else { catena_record::read_manifest };
    let manifest = read(&Os, path);
    (manifest.is_ok() || path.exists()).then_some(Examined { label, manifest, logs: Vec::new() })
}

impl Examined {
    /// Looks whether the logs are there that a run which goes on from it needs.
    pub(crate) fn check_logs(&mut self, run: &Path) {
        if let Ok(manifest) = &self.manifest {
            let unlike = |(path, mark): (&String, &Mark)| {
                let unlike = mark.check(&run.join(path)).err()?;
                Some(format!("{path} {unlike}"))
            };
            self.logs = manifest.logs.iter().filter_map(unlike).collect();
        }
    }

    /// Whether a run can go on from it.
    pub(crate) fn is_good(&self) -> bool {
        self.manifest.is_ok() && self.logs.is_empty()
    }

    /// What its logs lack because it could not be written: `journal.jsonl lacks 1.5 KiB`.
    pub(crate) fn lost(&self) -> Vec<String> {
        let logs = self.manifest.iter().flat_map(|manifest| &manifest.logs);
        let lost = logs.filter(|(_, mark)| mark.lost > 0);
        lost.map(|(path, mark)| format!("{path} lacks {}", report::size(mark.lost))).collect()
    }

    /// `ok`, or what is wrong.
    pub(crate) fn state(&self) -> String {
        match &self.manifest {
            Ok(_) if !self.logs.is_empty() => {
                format!("whole, but can't be gone on with as it is: {}", self.logs.join("; "))
            }
            Ok(_) => {
                let lost = self.lost();
                if lost.is_empty() {
                    "ok".into()
                } else {
                    format!("ok; {} that could not be written", lost.join(", "))
                }
            }
            Err(Error::Damaged { damage, .. }) => format!("damaged: {damage}"),
            Err(Error::Format { found, known, .. }) => {
                format!("of format version {found}, but this version of catena reads {known}")
            }
            Err(error) => format!("unreadable: {error}"),
        }
    }

    /// Its bytes by its table of contents, or nothing.
    pub(crate) fn bytes(&self) -> Option<u64> {
        // a manifest that another program wrote may claim anything
        let add = |sum: u64, size| sum.saturating_add(size);
        self.manifest.as_ref().ok().map(|manifest| manifest.files.values().map(|file| file.size).fold(0, add))
    }

    pub(crate) fn json(&self) -> Value {
        let mut map = Map::new();
        map.insert("name".into(), json!(self.label));
        if let Ok(manifest) = &self.manifest {
            map.extend(contents(manifest));
        }
        map.insert("size".into(), json!(self.bytes()));
        let (state, reason) = match &self.manifest {
            Ok(_) if !self.logs.is_empty() => ("logs", Some(self.logs.join("; "))),
            Ok(_) => ("ok", None),
            Err(Error::Damaged { damage, .. }) => ("damaged", Some(damage.to_string())),
            Err(error) => ("unreadable", Some(error.to_string())),
        };
        let logs = self.manifest.iter().flat_map(|manifest| &manifest.logs);
        let lost: Map<String, Value> = logs
            .filter(|(_, mark)| mark.lost > 0)
            .map(|(path, mark)| (path.clone(), json!(mark.lost)))
            .collect();
        if !lost.is_empty() {
            map.insert("lost".into(), lost.into());
        }
        map.insert("state".into(), json!(state));
        map.extend(reason.map(|reason| ("reason".to_owned(), json!(reason))));
        map.into()
    }
}

/// What a table of contents says of the whole.
pub(crate) fn contents(manifest: &Manifest) -> [(String, Value); 5] {
    let measured = manifest.measured.iter().map(|(name, value)| (name.clone(), report::float(*value)));
    [
        ("stage".into(), json!(manifest.stage)),
        ("time".into(), json!(manifest.time)),
        ("sequence".into(), json!(manifest.sequence)),
        ("why".into(), json!(manifest.why)),
        ("measured".into(), Value::Object(measured.collect())),
    ]
}

fn list(path: &Path) -> Result<Vec<(String, Kind)>> {
    Os.list(path).map_err(Failure::io("can't read", path))
}

/// What is in a folder; nothing if it is not there.
fn entries(path: &Path) -> Result<Vec<(String, Kind)>> {
    if path.is_dir() { list(path) } else { Ok(Vec::new()) }
}

/// The folders in a folder, in the order of their names, numbers by their value; none if it is not there.
fn folders(path: &Path) -> Result<Vec<String>> {
    let folders = entries(path)?.into_iter().filter(|(_, kind)| *kind == Kind::Folder);
    let mut names: Vec<String> = folders.map(|(name, _)| name).collect();
    names.sort_by_key(|name| (name.parse::<u64>().unwrap_or(u64::MAX), name.clone()));
    Ok(names)
}
