//! The snapshots of a run directory, read without catena.
use std::path::Path;

use sha2::{Digest, Sha256};

/// The newest snapshot whose every file has the size and the hash that its manifest names.
pub(crate) fn newest_that_verifies(dir: &Path) -> Option<(String, u64)> {
    let mut names: Vec<String> = std::fs::read_dir(dir.join("checkpoints"))
        .ok()?
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.len() == 14 && name.as_bytes()[12] == b'-')
        .collect();
    names.sort();
    names.into_iter().rev().find(|name| verifies(&dir.join("checkpoints").join(name))).map(|name| {
        let batch = name[..12].parse().unwrap();
        (name, batch)
    })
}

fn verifies(snapshot: &Path) -> bool {
    let Ok(text) = std::fs::read(snapshot.join("manifest.json")) else { return false };
    let Ok(manifest) = serde_json::from_slice::<serde_json::Value>(&text) else { return false };
    let Some(files) = manifest["files"].as_object() else { return false };
    files.iter().all(|(name, file)| {
        let Ok(bytes) = std::fs::read(snapshot.join(name)) else { return false };
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        file["size"] == bytes.len() && file["sha256"] == hash
    })
}
