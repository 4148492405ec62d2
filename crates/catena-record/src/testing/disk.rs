//! What is on the disk in memory, now and durably.
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use super::{Bytes, Call, Fault, Loss};

#[derive(Debug)]
pub(super) enum Node {
    File { now: Vec<u8>, durable: Vec<u8> },
    Folder { now: BTreeMap<String, usize>, durable: BTreeMap<String, usize> },
}

impl Node {
    pub(super) fn folder() -> Self {
        Self::Folder { now: BTreeMap::new(), durable: BTreeMap::new() }
    }

    pub(super) fn file() -> Self {
        Self::File { now: Vec::new(), durable: Vec::new() }
    }
}

/// The nodes are never removed, so that a number means the same one for ever; the first is the root.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) nodes: Vec<Node>,
    pub(super) calls: Vec<Call>,
    pub(super) plan: Option<(usize, Fault)>,
    pub(super) broken: Option<io::ErrorKind>,
    // open files are gone after a restart
    pub(super) starts: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { nodes: vec![Node::folder()], calls: Vec::new(), plan: None, broken: None, starts: 0 }
    }
}

/// How much of a read or write is done.
#[derive(Clone, Copy)]
pub(super) enum Amount {
    Whole,
    Half,
}

impl Amount {
    pub(super) fn of(self, bytes: usize) -> usize {
        match self {
            Self::Whole => bytes,
            Self::Half => bytes.div_ceil(2),
        }
    }
}

impl Disk {
    /// What is not durable goes, or becomes it.
    pub(super) fn lose(&mut self, loss: Loss) {
        let is_file: Vec<bool> = self.nodes.iter().map(|node| matches!(node, Node::File { .. })).collect();
        for node in &mut self.nodes {
            match node {
                Node::File { now, durable } => {
                    match loss.bytes {
                        Bytes::Kept => {}
                        Bytes::Lost => now.clone_from(durable),
                        Bytes::Zeros => {
                            for (i, byte) in now.iter_mut().enumerate() {
                                *byte = durable.get(i).copied().unwrap_or(0);
                            }
                        }
                    }
                    durable.clone_from(now);
                }
                Node::Folder { now, durable } => {
                    let names: BTreeSet<String> = now.keys().chain(durable.keys()).cloned().collect();
                    for name in names {
                        let (new, old) = (now.get(&name).copied(), durable.get(&name).copied());
                        let of_file = new.or(old).is_some_and(|node| is_file[node]);
                        let lost = if of_file { loss.file_names } else { loss.folder_names };
                        match old {
                            Some(old) if lost => _ = now.insert(name, old),
                            None if lost => _ = now.remove(&name),
                            _ => {}
                        }
                    }
                    durable.clone_from(now);
                }
            }
        }
    }

    pub(super) fn down<T>(&mut self, kind: io::ErrorKind) -> io::Result<T> {
        self.broken = Some(kind);
        Err(kind.into())
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<usize> {
        let mut at = 0;
        for part in path.components().filter(|part| !matches!(part, Component::RootDir | Component::CurDir)) {
            let Node::Folder { now, .. } = &self.nodes[at] else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            let name = part.as_os_str().to_str().ok_or(io::ErrorKind::InvalidFilename)?;
            at = *now.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    pub(super) fn names(&mut self, folder: &Path) -> io::Result<&mut BTreeMap<String, usize>> {
        let folder = self.find(folder)?;
        match &mut self.nodes[folder] {
            Node::Folder { now, .. } => Ok(now),
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn add(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        let number = self.nodes.len();
        let (folder, name) = split(path)?;
        let names = self.names(folder)?;
        if names.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        names.insert(name, number);
        self.nodes.push(node);
        Ok(number)
    }

    pub(super) fn remove(&mut self, path: &Path, file: bool) -> io::Result<()> {
        let (folder, name) = split(path)?;
        match &self.nodes[self.find(path)?] {
            Node::File { .. } if !file => return Err(io::ErrorKind::NotADirectory.into()),
            Node::Folder { .. } if file => return Err(io::ErrorKind::IsADirectory.into()),
            Node::Folder { now, .. } if !now.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        self.names(folder)?.remove(&name);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ((old_folder, old), (new_folder, new)) = (split(from)?, split(to)?);
        let node = self.find(from)?;
        if let Ok(there) = self.find(to) {
            match (&self.nodes[node], &self.nodes[there]) {
                (Node::File { .. }, Node::File { .. }) => {}
                (Node::Folder { .. }, Node::Folder { now, .. }) if now.is_empty() => {}
                (Node::Folder { .. }, Node::Folder { .. }) => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                _ => return Err(io::ErrorKind::AlreadyExists.into()),
            }
        }
        self.names(new_folder)?.insert(new, node);
        self.names(old_folder)?.remove(&old);
        Ok(())
    }

    pub(super) fn sync(&mut self, node: usize) {
        match &mut self.nodes[node] {
            Node::File { now, durable } => durable.clone_from(now),
            Node::Folder { now, durable } => durable.clone_from(now),
        }
    }
}

/// The folder and the name in it.
fn split(path: &Path) -> io::Result<(&Path, String)> {
    match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(folder), Some(name)) => Ok((folder, name.to_owned())),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
