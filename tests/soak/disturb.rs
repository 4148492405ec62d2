//! What happens to a run.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::chance::Chance;

/// A way to disturb a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// SIGKILL at any moment.
    Kill,
    /// SIGINT or SIGTERM, by the terminal or a supervisor.
    Signal,
    /// It ends in order by itself.
    Stop,
    /// The disk is full for some batches.
    Full,
    /// A SIGKILL while the disk is full.
    FullAndKill,
    /// Other loggers than before.
    Loggers,
    /// A log was edited, and is put back when the resume is refused.
    EditAndPutBack,
    /// A log was edited or is lost, and is to be begun anew.
    EditAndAllow,
    /// A log is removed while the run goes on.
    LogRemoved,
    /// A checkpoint was removed by hand.
    CheckpointRemoved,
    /// A checkpoint is removed while the run goes on.
    CheckpointRemovedMeanwhile,
    Moved,
    Copied,
    /// The tracking server is away, or answers nonsense.
    Server,
    /// A resume that is refused: the run is another one.
    Refused,
}

pub(crate) const KINDS: [Kind; 15] = [
    Kind::Kill,
    Kind::Signal,
    Kind::Stop,
    Kind::Full,
    Kind::FullAndKill,
    Kind::Loggers,
    Kind::EditAndPutBack,
    Kind::EditAndAllow,
    Kind::LogRemoved,
    Kind::CheckpointRemoved,
    Kind::CheckpointRemovedMeanwhile,
    Kind::Moved,
    Kind::Copied,
    Kind::Server,
    Kind::Refused,
];

/// The logs whose content the run's end compares.
pub(crate) const LOGS: [&str; 5] =
    ["journal.jsonl", "metrics.jsonl", "metrics/train.csv", "metrics/valid.csv", "metrics/train.batches.csv"];

/// A log that is there.
pub(crate) fn some_log(dir: &Path, chance: &mut Chance) -> Option<&'static str> {
    let there: Vec<&str> = LOGS.into_iter().filter(|log| dir.join(log).is_file()).collect();
    there.get(chance.below(there.len().max(1))).copied()
}

/// Edits a file so that its first rows are others, or removes it.
pub(crate) fn edit(path: &Path, chance: &mut Chance) {
    let text = fs::read_to_string(path).unwrap();
    match chance.below(4) {
        0 => fs::remove_file(path).unwrap(),
        1 => fs::write(path, text.replace('\n', "\r\n")).unwrap(),
        2 => fs::write(path, format!("a line of somebody's\n{text}")).unwrap(),
        _ => fs::write(path, &text.as_bytes()[..text.len() / 3]).unwrap(),
    }
}

/// The checkpoints, oldest first.
pub(crate) fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("checkpoints")).into_iter().flatten().flatten();
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.parse::<catena::record::SnapshotName>().is_ok()
    };
    let all: BTreeSet<PathBuf> = entries.map(|entry| entry.path()).filter(is_one).collect();
    all.into_iter().collect()
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(done.success());
}

/// A small file system of its own in this folder, if one can be mounted here.
pub(crate) fn mount(folder: &Path) -> bool {
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(folder).output();
    mount.is_ok_and(|output| output.status.success())
}

pub(crate) fn unmount(folder: &Path) {
    // it goes with the process that has it, at the latest
    drop(Command::new("umount").arg("-l").arg(folder).output());
}
