//! Files that grow line by line, and are cut back when a run goes on from a snapshot.
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file that grows line by line.
///
/// What can't be written (a full disk) is told once, by a warning; the run that it tells of goes on, and so do the bytes that
/// count.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    broken: bool,
}

impl LogFile {
    /// An empty file; what was there is gone.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let file = File::create(&path)?;
        Ok(Self { path, file: BufWriter::new(file), bytes: 0, broken: false })
    }

    /// A file as it is, to go on at its end.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        let bytes = file.seek(SeekFrom::End(0))?;
        Ok(Self { path, file: BufWriter::new(file), bytes, broken: false })
    }

    /// A file that others add lines to as well: what this one writes goes to the end, wherever that is by then. Flush after each
    /// line, or lines of several writers are mixed up.
    pub fn append(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file: BufWriter::new(file), bytes, broken: false })
    }

    /// How many bytes it has, those that wait included and those of other writers left out.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        if self.broken {
            return;
        }
        match self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n")) {
            Ok(()) => self.bytes += line.len() as u64 + 1,
            Err(error) => self.give_up(&error),
        }
    }

    /// Hands what waits to the operating system.
    pub fn flush(&mut self) {
        if !self.broken
            && let Err(error) = self.file.flush()
        {
            self.give_up(&error);
        }
    }

    /// Whether a file has at least so many bytes: whether [`LogFile::cut_back`] can cut it back to them.
    pub fn check(path: impl AsRef<Path>, bytes: u64) -> io::Result<()> {
        let path = path.as_ref();
        let now = match path.metadata() {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        if now >= bytes {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "{} has {now} bytes, but had {bytes} when the snapshot was taken: lines are missing",
            path.display()
        )))
    }

    /// Cuts it back to what it was when it had so many bytes.
    pub fn cut_back(&mut self, bytes: u64) -> io::Result<()> {
        self.file.flush()?;
        Self::check(&self.path, bytes)?;
        let file = self.file.get_mut();
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        self.bytes = bytes;
        Ok(())
    }

    fn give_up(&mut self, error: &io::Error) {
        log::warn!("{} can't be written and ends here: {error}", self.path.display());
        self.broken = true;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_cut_back_to_what_it_was_and_goes_on_from_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let mut log = LogFile::create(&path).unwrap();
        log.line("one");
        let then = log.bytes();
        assert_eq!(then, 4);
        log.line("two, which is never to have been");
        log.cut_back(then).unwrap();
        assert_eq!(log.bytes(), 4);
        log.line("three");
        log.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nthree\n");
        drop(log);

        let mut log = LogFile::open(&path).unwrap();
        assert_eq!(log.bytes(), 10);
        log.cut_back(4).unwrap();
        log.line("four");
        log.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nfour\n");
        LogFile::create(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn two_writers_that_append_lose_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("timing.jsonl");
        let (mut one, mut other) = (LogFile::append(&path).unwrap(), LogFile::append(&path).unwrap());
        for i in 0..3 {
            for (log, who) in [(&mut one, "one"), (&mut other, "other")] {
                log.line(&format!("{who} {i}"));
                log.flush();
            }
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "one 0\nother 0\none 1\nother 1\none 2\nother 2\n");
    }

    #[test]
    fn missing_lines_are_an_error_and_what_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        fs::write(&path, "one\n").unwrap();
        let error = LogFile::open(&path).unwrap().cut_back(5).unwrap_err().to_string();
        let what = "has 4 bytes, but had 5 when the snapshot was taken: lines are missing";
        assert_eq!(error, format!("{} {what}", path.display()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_gives_one_warning_and_the_run_goes_on() {
        let warnings = crate::testing::warnings(|| {
            let mut log = LogFile::open("/dev/full").unwrap();
            log.line("one");
            log.flush();
            for _ in 0..10_000 {
                log.line("more");
            }
            log.flush();
        });
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].starts_with("/dev/full can't be written and ends here: No space left"),
            "{warnings:?}"
        );
    }
}
