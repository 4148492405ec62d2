//! Reading a snapshot: everything is verified before anything is used.
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Damage, Error, Result};
use crate::formats::manifest::{self, FORMAT, MAX_BYTES, Manifest, ManifestFile};
use crate::formats::state;
use crate::fs::{FileSystem, Kind};
use crate::hash::hex;
use crate::name::SnapshotName;
use crate::tensors::{self, Entry};

/// The largest `state.json` that is read.
pub(crate) const MAX_STATE: u64 = 32 << 20;

/// How many bytes are read at a time.
const CHUNK: usize = 256 << 10;

/// From how many bytes on files are read in parallel, and a file is hashed on a thread of its own.
const PARALLEL: u64 = 1 << 20;

/// How many files are read at a time.
const THREADS: usize = 8;

/// A snapshot that was read and verified.
#[derive(Debug)]
pub struct Loaded {
    /// Where it is.
    pub path: PathBuf,
    /// Its table of contents.
    pub manifest: Manifest,
    /// `state.json`.
    pub state: Value,
    /// The tensor files by name.
    pub files: BTreeMap<String, TensorData>,
}

/// A tensor file's content.
#[derive(Debug)]
pub struct TensorData {
    /// The tensors, with their ranges in `bytes`.
    pub tensors: Vec<Entry>,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Reads a snapshot and verifies every byte of it. Sizes are compared with the disk's before memory is taken.
pub fn load(fs: &dyn FileSystem, path: &Path) -> Result<Loaded> {
    let manifest = read_manifest(fs, path)?;
    let read = |(name, file): (&String, &ManifestFile)| {
        let whole = file.size <= MAX_STATE || name != state::NAME;
        let damage = || Damage::Content { file: name.clone(), why: "it is larger than any state".into() };
        if !whole {
            return Err(damaged(path, damage()));
        }
        Ok((name.clone(), read_file(fs, path, name, file)?))
    };
    // the largest files are read at the same time as the others, by a few threads whatever the manifest lists
    let (next, files): (_, Vec<_>) = (AtomicUsize::new(0), manifest.files.iter().collect());
    let bytes = files.iter().fold(0u64, |sum, (_, file)| sum.saturating_add(file.size));
    let read_some = || {
        let taken = std::iter::from_fn(|| files.get(next.fetch_add(1, Ordering::Relaxed)));
        taken.map(|file| read(*file)).collect::<Vec<_>>()
    };
    let contents = std::thread::scope(|scope| {
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, read_some).ok();
        let more = if bytes < PARALLEL { 0 } else { files.len().min(THREADS) };
        let threads: Vec<_> = (1..more).filter_map(start).collect();
        let mut contents = read_some();
        let panicked = || vec![Err(Error::Unwritable("a reading thread panicked".into()))];
        contents.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|_| panicked())));
        contents
    });
    let (mut state, mut files) = (None, BTreeMap::new());
    for content in contents {
        let (name, bytes) = content?;
        let content = |why: String| damaged(path, Damage::Content { file: name.clone(), why });
        if name == state::NAME {
            state = Some(serde_json::from_slice(&bytes).map_err(|error| content(error.to_string()))?);
        } else if name.ends_with(".safetensors") {
            let tensors = tensors::parse(&bytes).map_err(content)?;
            files.insert(name.clone(), TensorData { tensors, bytes });
        }
    }
    let state = state.ok_or_else(|| damaged(path, Damage::Missing(state::NAME.into())))?;
    Ok(Loaded { path: path.to_owned(), manifest, state, files })
}

/// Verifies every byte of a snapshot, and gives its table of contents.
pub fn verify(fs: &dyn FileSystem, path: &Path) -> Result<Manifest> {
    Ok(load(fs, path)?.manifest)
}

fn damaged(path: &Path, damage: Damage) -> Error {
    Error::Damaged { path: path.to_owned(), damage }
}

/// The table of contents, verified in itself and against the names and sizes in the folder.
pub fn read_manifest(fs: &dyn FileSystem, path: &Path) -> Result<Manifest> {
    let damage = |damage| damaged(path, damage);
    // a snapshot that was moved to another disk may have a link in its place: what it leads to is verified as any other
    if fs.stat(path).map_err(Error::io("can't read", path))?.0 == Kind::File {
        return Err(damage(Damage::NotAFolder));
    }
    let (at, name) = (path.join(manifest::NAME), manifest::NAME);
    let size = plain_file(fs, path, name)?;
    if size > MAX_BYTES {
        return Err(damage(Damage::Manifest(format!("it has {size} bytes"))));
    }
    let mut bytes = Vec::new();
    let file = fs.open(&at).map_err(Error::io("can't read", &at))?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(Error::io("can't read", &at))?;
    let manifest = match Manifest::from_bytes(&bytes).map_err(damage)? {
        Ok(manifest) => manifest,
        Err(found) => return Err(Error::Format { path: path.to_owned(), found, known: FORMAT }),
    };
    let own = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    if own.is_some_and(|own: SnapshotName| own != manifest.snapshot) {
        return Err(damage(Damage::Manifest(format!("it is that of {}", manifest.snapshot))));
    }
    for (name, _) in fs.list(path).map_err(Error::io("can't read", path))? {
        if name != manifest::NAME && !manifest.files.contains_key(&name) {
            return Err(damage(Damage::Unlisted(name)));
        }
    }
    for (name, file) in &manifest.files {
        let found = plain_file(fs, path, name)?;
        if found != file.size {
            return Err(damage(Damage::Size { file: name.clone(), expected: file.size, found }));
        }
    }
    Ok(manifest)
}

/// The size of a plain file; that it is missing or something else is damage.
fn plain_file(fs: &dyn FileSystem, folder: &Path, name: &str) -> Result<u64> {
    let path = folder.join(name);
    match fs.stat(&path) {
        Ok((Kind::File, size)) => Ok(size),
        Ok(_) => Err(damaged(folder, Damage::NotAFile(name.into()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(damaged(folder, Damage::Missing(name.into())))
        }
        Err(error) => Err(Error::io("can't read", &path)(error)),
    }
}

/// A file's bytes, whose size is known to be the disk's.
fn read_file(fs: &dyn FileSystem, folder: &Path, name: &str, expected: &ManifestFile) -> Result<Vec<u8>> {
    let path = folder.join(name);
    let mut file = fs.open(&path).map_err(Error::io("can't read", &path))?;
    let mut bytes = room(expected.size).map_err(Error::io("there is no memory for", &path))?;
    let (mut found, mut hash) = (0, None);
    std::thread::scope(|scope| {
        // hashing takes about as long as reading: large files are hashed on another thread meanwhile
        let (tell, told) = channel::<&[u8]>();
        let thread = std::thread::Builder::new();
        let hashing = (expected.size >= PARALLEL).then(|| thread.spawn_scoped(scope, || sha256(told)).ok());
        for chunk in bytes.chunks_mut(CHUNK) {
            let read = fill(file.as_mut(), chunk).map_err(Error::io("can't read", &path))?;
            found += read as u64;
            let _whoever_listens = tell.send(chunk);
            if read < chunk.len() {
                break;
            }
        }
        drop(tell);
        if found == expected.size {
            // whether there is more
            found += fill(file.as_mut(), &mut [0]).map_err(Error::io("can't read", &path))? as u64;
        }
        hash = hashing.flatten().and_then(|hashing| hashing.join().ok());
        Ok(())
    })?;
    if found != expected.size {
        return Err(damaged(folder, Damage::Size { file: name.into(), expected: expected.size, found }));
    }
    if hash.unwrap_or_else(|| sha256([bytes.as_slice()])) != expected.sha256 {
        return Err(damaged(folder, Damage::Hash(name.into())));
    }
    Ok(bytes)
}

/// So many zeros, which the system gives without writing them.
fn room(size: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    // `vec!` ends the process where there is no memory
    Vec::<u8>::new().try_reserve_exact(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    Ok(vec![0; size])
}

/// Fills the memory, or as much of it as the file has; gives how much.
fn fill(file: &mut dyn Read, memory: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = memory.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled.min(memory.len()))
}

fn sha256<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    chunks.into_iter().for_each(|chunk| hash.update(chunk));
    hex(&hash.finalize())
}
