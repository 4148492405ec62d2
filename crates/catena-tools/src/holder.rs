//! Whether a process holds a run's lock, without touching the lock.
//!
//! Trying the lock, even shared and for a moment, would let a run that starts at that moment fail. Linux lists the locks that are
//! held; elsewhere nothing is known.
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// After how many seconds of silence a run that says it is running is taken for gone, if nobody holds its lock.
pub(crate) const GONE_AFTER: f64 = 15.0;

/// What a run writes while it goes on.
const WRITTEN: [&str; 6] =
    ["run.json", "journal.jsonl", "metrics.jsonl", "timing.jsonl", "run.log", "checkpoints"];

/// Who holds a run's lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A process; its number, where it is certain.
    Process(Option<u32>),
    /// No process of this machine that can be seen from here.
    Nobody,
    /// It can't be known.
    #[default]
    Unknown,
}

/// Who holds the lock of this run directory.
#[cfg(target_os = "linux")]
pub(crate) fn of(run: &Path) -> Holder {
    use std::os::unix::fs::MetadataExt;

    let Ok(metadata) = std::fs::metadata(run.join("lock")) else { return Holder::Unknown };
    let Ok(locks) = std::fs::read_to_string("/proc/locks") else { return Holder::Unknown };
    find(&locks, metadata.dev(), metadata.ino())
}

/// Who holds the lock of this run directory.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of(_: &Path) -> Holder {
    Holder::Unknown
}

/// Looks a file up in what Linux lists: `1: FLOCK  ADVISORY  WRITE 1234 fe:00:56789 0 EOF`.
#[cfg(any(target_os = "linux", test))]
fn find(locks: &str, device: u64, inode: u64) -> Holder {
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & !0xff);
    let is_here = format!("{major:02x}:{minor:02x}:{inode}");
    // file systems of layers and of subvolumes are listed under another device
    let elsewhere = format!(":{inode}");
    let mut holder = Holder::Nobody;
    for line in locks.lines() {
        let mut words = line.split_whitespace().skip(1);
        let (Some("FLOCK"), _, Some("WRITE"), Some(process), Some(file)) =
            (words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        if file == is_here {
            return Holder::Process(process.parse().ok());
        }
        if file.ends_with(&elsewhere) {
            holder = Holder::Process(None);
        }
    }
    holder
}

/// When a run that says it is running gave its last sign of life, if it is gone: no process holds its lock, and it has been silent.
pub(crate) fn gone_since(run: &Path) -> Option<SystemTime> {
    if of(run) != Holder::Nobody {
        return None;
    }
    let changed = |name: &&str| fs::metadata(run.join(name)).and_then(|metadata| metadata.modified()).ok();
    let last = WRITTEN.iter().filter_map(changed).max()?;
    let silent = last.elapsed().unwrap_or_default();
    (silent.as_secs_f64() > GONE_AFTER).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_found_by_its_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:7 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 12 fe:00:7 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 13 fe:00:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 14 00:2a:77 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 15 fe:00:8 0 EOF\n";
        assert_eq!(find(locks, 0xfe00, 7), Holder::Nobody);
        assert_eq!(find(locks, 0xfe00, 8), Holder::Process(Some(15)));
        assert_eq!(find(locks, 0xfe00, 77), Holder::Process(None));
        assert_eq!(find("", 0xfe00, 8), Holder::Nobody);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn looking_leaves_the_lock_to_the_run() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of(dir.path()), Holder::Unknown);
        let lock = std::fs::File::create(dir.path().join("lock")).unwrap();
        assert_eq!(of(dir.path()), Holder::Nobody);
        lock.try_lock().unwrap();
        assert!(matches!(of(dir.path()), Holder::Process(_)));
        lock.unlock().unwrap();
        assert_eq!(of(dir.path()), Holder::Nobody);
    }
}
