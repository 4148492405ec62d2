//! Writing a snapshot: whole, or not there.
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::formats::manifest::{self, Manifest, ManifestFile, is_plain};
use crate::formats::state;
use crate::fs::FileSystem;
use crate::hash::hex;
use crate::listed::Listed;
use crate::load::MAX_STATE;
use crate::logs::Marks;
use crate::name::SnapshotName;
use crate::tensors::{self, Entry, Metadata};

/// A snapshot to be written. Its tensors' bytes are in one buffer, which is given back when it is written, to be used again.
#[derive(Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub name: SnapshotName,
    /// The stage it was taken in.
    pub stage: String,
    /// The time, as text.
    pub time: String,
    /// Who asked for it.
    pub why: Vec<String>,
    /// What was measured of just its parameters.
    pub measured: BTreeMap<String, f64>,
    /// Whether a stop had cut something short before it was taken.
    pub stopped: bool,
    /// How far the logs went that a run which goes on from it needs.
    pub logs: Marks,
    /// The content of `state.json`.
    pub state: Vec<u8>,
    /// The tensor files.
    pub files: Vec<TensorFile>,
    /// The bytes of all tensors, file after file.
    pub buffer: Vec<u8>,
}

/// A tensor file to be written.
#[derive(Clone, Debug)]
pub struct TensorFile {
    /// Its name, such as `model.safetensors`.
    pub name: String,
    /// Texts that stand in its head.
    pub metadata: Metadata,
    /// Its tensors, in the order of their bytes in the buffer, without gaps. Those of larger numbers come first, so that all are
    /// aligned.
    pub tensors: Vec<Entry>,
}

/// How many bytes are written at a time.
const CHUNK: usize = 256 << 10;

/// From how many bytes on a file is hashed on a thread of its own.
const PARALLEL: u64 = 1 << 20;

impl Snapshot {
    /// Writes all files into the folder, which is there and empty, and makes them and their names durable. Gives the bytes.
    pub(crate) fn write(&self, fs: &dyn FileSystem, folder: &Path, listed: &Listed) -> Result<u64> {
        if self.state.len() as u64 > MAX_STATE {
            return Err(Error::Unwritable(format!(
                "state.json would have {} bytes, and more than {MAX_STATE} are not read; keep large things as tensors",
                self.state.len()
            )));
        }
        let mut contents = Manifest::new(listed.clone(), self.time.clone(), self.why.clone());
        contents.logs = self.logs.clone();
        let mut files = vec![(state::NAME.to_owned(), Vec::new(), self.state.as_slice())];
        for TensorFile { name, metadata, tensors } in &self.files {
            let wrong = |why: String| Error::Unwritable(format!("{name}: {why}"));
            let head = tensors::header(tensors, metadata).map_err(wrong)?;
            let range = match (tensors.first(), tensors.last()) {
                (Some(first), Some(last)) => first.bytes.start..last.bytes.end,
                _ => 0..0,
            };
            let data =
                self.buffer.get(range).ok_or_else(|| wrong("its bytes are not in the buffer".into()))?;
            files.push((name.clone(), head, data));
        }
        for (name, head, data) in files {
            if !is_plain(&name) {
                return Err(Error::Unwritable(format!("`{name}` can't be the name of a snapshot's file")));
            }
            let file = write_file(fs, &folder.join(&name), &[&head, data])?;
            if contents.files.insert(name.clone(), file).is_some() {
                return Err(Error::Unwritable(format!("two files are named {name}")));
            }
        }
        let bytes =
            contents.to_bytes().map_err(|error| Error::Unwritable(format!("manifest.json: {error}")))?;
        write_file(fs, &folder.join(manifest::NAME), &[&bytes])?;
        fs.sync_folder(folder).map_err(Error::io("can't sync", folder))?;
        Ok(contents.files.values().map(|file| file.size).sum::<u64>() + bytes.len() as u64)
    }
}

fn write_file(fs: &dyn FileSystem, path: &Path, parts: &[&[u8]]) -> Result<ManifestFile> {
    let size = parts.iter().map(|part| part.len() as u64).sum();
    let mut hash = None;
    std::thread::scope(|scope| {
        // hashing takes about as long as writing: large files are hashed on another thread meanwhile
        let thread = std::thread::Builder::new();
        let hashing = (size >= PARALLEL).then(|| thread.spawn_scoped(scope, || sha256(parts)).ok()).flatten();
        let mut file = fs.create(path).map_err(Error::io("can't make", path))?;
        for chunk in parts.iter().flat_map(|part| part.chunks(CHUNK)) {
            file.write_all(chunk).map_err(Error::io("can't write", path))?;
        }
        file.flush().and_then(|()| file.sync()).map_err(Error::io("can't sync", path))?;
        hash = hashing.and_then(|hashing| hashing.join().ok());
        Ok(())
    })?;
    Ok(ManifestFile { size, sha256: hash.unwrap_or_else(|| sha256(parts)) })
}

fn sha256(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hex(&hash.finalize())
}
