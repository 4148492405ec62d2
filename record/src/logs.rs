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

    /// How many bytes it has, those that wait included.
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
        if !self.broken && let Err(error) = self.file.flush() {
            self.give_up(&error);
        }
    }

    /// Cuts it back to what it was when it had so many bytes.
    pub fn cut_back(&mut self, bytes: u64) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_mut();
        let now = file.metadata()?.len();
        if now < bytes {
            let path = self.path.display();
            return Err(io::Error::other(format!(
                "{path} has {now} bytes, but had {bytes} when the snapshot was taken: lines are missing"
            )));
        }
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
