//! What the targets share: run directories and snapshots made of any bytes.
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use catena_record::fs::FileSystem;
use catena_record::testing::MemoryFileSystem;
use sha2::{Digest, Sha256};

/// The folder of the snapshot on the disk in memory.
pub const SNAPSHOT: &str = "/run/checkpoints/000000000007-b";

/// A disk in memory with one snapshot of these files.
pub fn disk(files: &[(&str, &[u8])]) -> MemoryFileSystem {
    let disk = MemoryFileSystem::default();
    for folder in ["/run", "/run/checkpoints", SNAPSHOT] {
        disk.create_folder(Path::new(folder)).expect("its parent is there");
    }
    for (name, bytes) in files {
        let mut file = disk.create(&Path::new(SNAPSHOT).join(name)).expect("a new file");
        file.write_all(bytes).expect("memory");
    }
    disk
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts the right hash of itself into the text of a manifest, as far as it has the form of one.
pub fn rehash(text: &[u8]) -> Vec<u8> {
    const END: &[u8] = b"\"\n}\n";
    let mut text = text.to_vec();
    if let Some(start) = text.len().checked_sub(64 + END.len()).filter(|_| text.ends_with(END)) {
        text[start..start + 64].fill(b'0');
        let hash = sha256(&text);
        text[start..start + 64].copy_from_slice(hash.as_bytes());
    }
    text
}

/// A manifest of these files, with their right sizes and hashes.
pub fn manifest(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entry = |(name, bytes): &(&str, &[u8])| {
        format!("    \"{name}\": {{ \"size\": {}, \"sha256\": \"{}\" }}", bytes.len(), sha256(bytes))
    };
    let files: Vec<String> = files.iter().map(entry).collect();
    let zeros = "0".repeat(64);
    let text = format!(
        "{{\n  \"format\": 1,\n  \"snapshot\": \"000000000007-b\",\n  \"sequence\": 1,\n  \"stage\": \"s\",\n  \"time\": \"\",\n  \"why\": [],\n  \"measured\": {{}},\n  \"files\": {{\n{}\n  }},\n  \"sha256\": \"{zeros}\"\n}}\n",
        files.join(",\n")
    );
    rehash(text.as_bytes())
}

/// Bytes split where a line has nothing but `--- <name>`: files by name. So the corpus can be read, and bytes move between files.
pub fn files(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let text = std::str::from_utf8(line).unwrap_or("");
        match text.strip_prefix("--- ").map(str::trim_end) {
            Some(name) => files.push((name.to_owned(), Vec::new())),
            None => files.last_mut().into_iter().for_each(|(_, content)| content.extend_from_slice(line)),
        }
    }
    files
}

/// A folder of this process in memory, emptied.
pub fn folder(name: &str) -> PathBuf {
    let root = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
    let folder = root.join(format!("catena-fuzz-{}-{name}", std::process::id()));
    let _there = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("space in memory");
    folder
}

/// Writes a run directory with these of the files whose names a run has.
pub fn run_directory(name: &str, files: &[(String, Vec<u8>)]) -> PathBuf {
    let folder = folder(name);
    fs::create_dir_all(folder.join("metrics")).expect("space in memory");
    fs::create_dir_all(folder.join("checkpoints/000000000007-b")).expect("space in memory");
    let snapshot = "checkpoints/000000000007-b/";
    for (name, content) in files {
        let known = [
            "run.json",
            "journal.jsonl",
            "metrics.jsonl",
            "timing.jsonl",
            "mlflow.json",
            "mlflow.backlog.jsonl",
        ];
        let path = match name.as_str() {
            "manifest.json" | "state.json" => format!("{snapshot}{name}"),
            "train.csv" | "valid.batches.csv" => format!("metrics/{name}"),
            name if known.contains(&name) => name.to_owned(),
            _ => continue,
        };
        let content = if name == "manifest.json" { rehash(content) } else { content.clone() };
        fs::write(folder.join(path), content).expect("space in memory");
    }
    folder
}
