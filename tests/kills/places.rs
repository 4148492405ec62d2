//! Where a child is, in a file that outlives it: a byte for the thread that trains, one for the thread that writes snapshots, and
//! the newest snapshot that is durable. A write of a few bytes needs no lock, and a kill leaves it whole or undone.
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the thread that trains is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Training {
    /// The program is being loaded.
    Loading,
    /// Before the first batch: most of a resume is here.
    Starting,
    /// Between `batch_start` and `batch_end` in a Train loader.
    Batch,
    /// Between `loader_start` and `loader_end` of an Eval loader.
    Evaluation,
    /// At a safe point, between loaders, at the end.
    Between,
}

/// Where the thread that writes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Writing {
    /// In no save, or inside the call of the rename or of the sync themselves, where it could be either.
    Elsewhere,
    /// In a save, before the rename is called.
    Unnamed,
    /// After the rename has returned, before the sync of the parent folder is called.
    Renamed,
    /// Removing what retention does not keep.
    Removing,
}

impl Training {
    pub(crate) const ALL: [Self; 5] =
        [Self::Loading, Self::Starting, Self::Batch, Self::Evaluation, Self::Between];
}

impl Writing {
    pub(crate) const ALL: [Self; 4] = [Self::Unnamed, Self::Renamed, Self::Removing, Self::Elsewhere];
}

/// The file.
#[derive(Debug)]
pub(crate) struct Places(File);

/// What it says.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) training: Training,
    pub(crate) writing: Writing,
    /// The name of the newest snapshot that a child of this run has made durable.
    pub(crate) durable: Option<String>,
}

/// The bytes of a snapshot's name.
const NAME: usize = 14;

impl Places {
    pub(crate) fn open(path: &Path) -> Self {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path).unwrap();
        Self(file)
    }

    pub(crate) fn train(&self, at: Training) {
        self.0.write_all_at(&[at as u8], 0).unwrap();
    }

    pub(crate) fn write(&self, at: Writing) {
        self.0.write_all_at(&[at as u8], 1).unwrap();
    }

    pub(crate) fn durable(&self, snapshot: &str) {
        assert_eq!(snapshot.len(), NAME);
        self.0.write_all_at(snapshot.as_bytes(), 2).unwrap();
    }

    /// Before a child begins: what is durable stays.
    pub(crate) fn reset(&self) {
        self.train(Training::Loading);
        self.write(Writing::Elsewhere);
    }

    pub(crate) fn seen(&self) -> Seen {
        let mut bytes = [0; 2 + NAME];
        let read = self.0.read_at(&mut bytes, 0).unwrap();
        let training = Training::ALL.into_iter().find(|at| *at as u8 == bytes[0]).unwrap();
        let writing = Writing::ALL.into_iter().find(|at| *at as u8 == bytes[1]).unwrap();
        let durable = (read == bytes.len()).then(|| String::from_utf8(bytes[2..].to_vec()).unwrap());
        Seen { training, writing, durable }
    }
}
