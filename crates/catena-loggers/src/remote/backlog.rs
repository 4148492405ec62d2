//! What waits for the server, in a file of its own: a snapshot says only how much had been logged.
use std::fs;
use std::io;
use std::path::Path;

use catena_record::logs::LogFile;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The file's name in the run directory. It is as large as what waits in memory may be.
pub(super) fn name(logger: &str) -> String {
    format!("{}.backlog.jsonl", logger.to_lowercase())
}

/// Puts what waits in the place of what waited: an item with its number a line.
pub(super) fn write<I: Serialize>(path: &Path, waiting: &[(u64, I)]) -> io::Result<()> {
    let mut text = Vec::new();
    for item in waiting {
        serde_json::to_writer(&mut text, item)?;
        text.push(b'\n');
    }
    match text.is_empty() {
        false => LogFile::replace(path, &text),
        true => remove(path),
    }
}

/// What waited of that which had been logged before this number: what was logged later is logged again. Lines that can't be read are left out, and
/// counted.
pub(crate) fn read<I: DeserializeOwned>(path: &Path, before: u64) -> io::Result<(Vec<(u64, I)>, usize)> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        text => text?,
    };
    let (mut items, mut unread) = (Vec::new(), 0);
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice::<(u64, I)>(line) {
            Ok(item) => items.push(item),
            Err(_) => unread += 1,
        }
    }
    items.retain(|(number, _)| *number < before);
    items.sort_by_key(|(number, _)| *number);
    Ok((items, unread))
}

/// Removes the file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
