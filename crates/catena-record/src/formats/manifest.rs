//! A snapshot's table of contents, written last: what is there, and the hash of each file and of itself.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Damage;
use crate::hash::hex;
use crate::listed::Listed;
use crate::logs::Marks;
use crate::name::SnapshotName;

/// The file's name in a snapshot's folder.
pub const NAME: &str = "manifest.json";

/// The version of the format that is written and read.
pub const FORMAT: u64 = 1;

/// The largest manifest that is read.
pub(crate) const MAX_BYTES: u64 = 4 << 20;

/// A snapshot's table of contents.
///
/// Its own hash is over its bytes as they are in the file, with 64 zeros in place of the hash: every bit of the file counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format's version.
    pub format: u64,
    /// The snapshot's own name: a folder of another name is not this snapshot.
    pub snapshot: SnapshotName,
    /// Which snapshot of the run it is, from 1.
    pub sequence: u64,
    /// The stage it was taken in.
    pub stage: String,
    /// When it was taken.
    pub time: String,
    /// Who asked for it.
    pub why: Vec<String>,
    /// What was measured of just its parameters, by name.
    #[serde(with = "crate::float::map")]
    pub measured: BTreeMap<String, f64>,
    /// Whether a stop had cut something short before it was taken.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stopped: bool,
    /// How far the logs went that a run which goes on from it needs, by their paths in the run directory.
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub logs: Marks,
    /// The files by name.
    pub files: BTreeMap<String, ManifestFile>,
    sha256: String,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256 in hexadecimal.
    pub sha256: String,
}

/// The version alone, whatever else a later format has.
#[derive(Deserialize)]
struct Version {
    format: u64,
}

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const END: &[u8] = b"\"\n}\n";

fn is_false(value: &bool) -> bool {
    !value
}

impl Manifest {
    pub(crate) fn new(listed: Listed, time: String, why: Vec<String>) -> Self {
        let Listed { name: snapshot, sequence, stage, measured, stopped } = listed;
        let (logs, files, sha256) = (Marks::new(), BTreeMap::new(), ZEROS.into());
        Self { format: FORMAT, snapshot, sequence, stage, time, why, measured, stopped, logs, files, sha256 }
    }

    /// The file's content, with the hash of itself.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(&Self { sha256: ZEROS.into(), ..self.clone() })?;
        bytes.push(b'\n');
        let hash = hex(&Sha256::digest(&bytes));
        let end = bytes.len() - END.len();
        bytes[end - ZEROS.len()..end].copy_from_slice(hash.as_bytes());
        Ok(bytes)
    }

    /// Reads and verifies a file's content. A later format is told apart from damage by its version.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<std::result::Result<Self, u64>, Damage> {
        let wrong = |why: &str| Damage::Manifest(why.into());
        let hash =
            bytes.len().checked_sub(END.len() + ZEROS.len()).ok_or_else(|| wrong("it is too short"))?;
        let (start, rest) = bytes.split_at(hash);
        let (own, end) = rest.split_at(ZEROS.len());
        let mut hasher = Sha256::new();
        [start, ZEROS.as_bytes(), end].iter().for_each(|part| hasher.update(part));
        if hex(&hasher.finalize()).as_bytes() != own || end != END {
            return Err(wrong("its SHA-256 is not the one that was written"));
        }
        let read = |error: serde_json::Error| Damage::Manifest(error.to_string());
        let Version { format } = serde_json::from_slice(bytes).map_err(read)?;
        if format != FORMAT {
            return Ok(Err(format));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(read)?;
        if let Some(name) = manifest.files.keys().find(|name| !is_plain(name)) {
            return Err(wrong(&format!("`{name}` is not a file name")));
        }
        match manifest.logs.keys().find(|path| !stays_inside(path)) {
            Some(path) => Err(wrong(&format!("`{path}` is no log of a run directory"))),
            None => Ok(Ok(manifest)),
        }
    }
}

/// Whether a path of a log stays in the run directory.
pub(crate) fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\\')
        && path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
}

/// Whether a name stays in its folder, and is no manifest.
pub(crate) fn is_plain(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.chars().all(known) && name != NAME
}
