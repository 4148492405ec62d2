//! Files that grow at their ends, and are cut back when a run goes on from a snapshot.
mod mark;
mod narrowed;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub use self::mark::{Mark, Marks, Unlike};
pub use self::narrowed::narrowed;

/// A file that grows at its end. The run that it tells of comes first: nothing that happens to the file ends it.
///
/// * What can't be written (a full disk) waits in memory, up to a mebibyte, and is tried again at each write: told by a warning. What goes beyond
///   is lost, and [`Mark::lost`] says how much.
/// * A file that is removed, replaced or shortened while it grows is begun anew, with a warning.
///
/// ```
/// use catena_record::logs::LogFile;
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("journal.jsonl");
/// let mut log = LogFile::create(&path, b"")?;
/// log.line("one");
/// let mark = log.mark();
/// log.line("two, which is never to have been");
/// log.write();
/// let mut log = LogFile::go_on(&path, &mark)?;
/// log.line("three");
/// log.write();
/// assert_eq!(std::fs::read_to_string(&path)?, "one\nthree\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// What the file begins with if it has to be begun anew.
    header: Vec<u8>,
    buffer: Vec<u8>,
    written: u64,
    lost: u64,
    columns: Option<usize>,
    /// Whether others write it too.
    is_shared: bool,
    /// Whether something waits that could not be written.
    waits: bool,
    /// How far it is durable; none before its name is.
    synced: Option<u64>,
}

/// How much waits before it is written.
const BUFFER: usize = 8 << 10;

/// How much that can't be written waits.
const MOST: usize = 1 << 20;

impl LogFile {
    /// An empty file that begins with this; what was there is gone.
    pub fn create(path: impl AsRef<Path>, header: &[u8]) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path.as_ref());
        let path = path.as_ref().to_owned();
        let file = file.map_err(at(&path))?;
        let mut log = Self::of(path, file, 0);
        (log.header, log.buffer) = (header.to_vec(), header.to_vec());
        Ok(log)
    }

    /// A file as it was at a mark, to go on from there: what follows is cut off, and so are the columns that a table has gained. It is an error if
    /// the file is another one.
    pub fn go_on(path: impl AsRef<Path>, mark: &Mark) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let unlike = |unlike: Unlike| io::Error::other(format!("{} {unlike}", path.display()));
        mark.check(&path).map_err(unlike)?;
        let wider = mark.columns.map(|columns| narrowed(&path, columns)).transpose().map_err(at(&path))?;
        if let Some(text) = wider.flatten().filter(|text| mark.is_start_of(text)) {
            Self::replace(&path, &text)?;
        }
        let file = OpenOptions::new().write(true).open(&path).map_err(at(&path))?;
        file.set_len(mark.bytes).map_err(at(&path))?;
        let mut log = Self::of(path, file, mark.bytes);
        (log.lost, log.columns) = (mark.lost, mark.columns);
        Ok(log)
    }

    /// A file that others add lines to as well: what this one writes goes to the end, wherever that is by then. Write after each
    /// line, or lines of several writers are mixed up.
    pub fn append(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(at(&path))?;
        let bytes = file.metadata().map_err(at(&path))?.len();
        let mut log = Self::of(path, file, bytes);
        log.is_shared = true;
        Ok(log)
    }

    fn of(path: PathBuf, file: File, written: u64) -> Self {
        let (header, buffer, columns, synced) = (Vec::new(), Vec::new(), None, None);
        let (lost, is_shared, waits) = (0, false, false);
        Self { path, file, header, buffer, written, lost, columns, is_shared, waits, synced }
    }

    /// Puts a file with this content in the place of one that may be there, at once.
    pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
        let new = path.with_added_extension("tmp");
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&new, path)
        };
        // best effort: half a file must not stay
        write().inspect_err(|_| drop(fs::remove_file(&new))).map_err(at(path))
    }

    /// The same log, as a table of so many columns. `header` is what it begins with if it has to be begun anew.
    #[must_use]
    pub fn with_columns(mut self, columns: usize, header: &[u8]) -> Self {
        (self.columns, self.header) = (Some(columns), header.to_vec());
        self
    }

    /// The same log, with what it begins with if it has to be begun anew.
    #[must_use]
    pub fn with_header(mut self, header: &[u8]) -> Self {
        self.header = header.to_vec();
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
        // what waits for space is tried again when a whole buffer has come
        if self.buffer.len() >= BUFFER && (!self.waits || self.buffer.len() % BUFFER <= line.len()) {
            self.write();
        }
    }

    /// Where the next bytes go until they are written: whole rows.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Hands what waits to the operating system.
    pub fn write(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        match self.try_to_write() {
            Ok(()) => {
                if std::mem::take(&mut self.waits) {
                    log::info!("{} can be written again", self.path.display());
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.waits, true) {
                    log::warn!(
                        "{} can't be written: {error}; this is tried again, and up to {MOST} bytes wait",
                        self.path.display()
                    );
                }
                if self.buffer.len() > MOST {
                    self.give_up();
                }
            }
        }
    }

    fn try_to_write(&mut self) -> io::Result<()> {
        if self.is_shared {
            // what of it was written must not be written twice
            while !self.buffer.is_empty() {
                match self.file.write(&self.buffer) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => drop(self.buffer.drain(..n)),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok(());
        }
        self.begin_anew_if_gone()?;
        self.file.seek(SeekFrom::Start(self.written))?;
        match self.file.write_all(&self.buffer) {
            Ok(()) => {
                self.written += self.buffer.len() as u64;
                self.buffer.clear();
                Ok(())
            }
            Err(error) => {
                // best effort: half a row must not stay
                drop(self.file.set_len(self.written));
                Err(error)
            }
        }
    }

    /// What waits can't be written, and is gone.
    fn give_up(&mut self) {
        if self.lost == 0 {
            let (path, n) = (self.path.display(), self.buffer.len());
            log::warn!("{path}: {n} bytes that could not be written are lost; its rows have a gap");
        }
        self.lose(self.buffer.len() as u64);
        self.buffer.clear();
    }

    /// Counts bytes that are not there and should be.
    pub fn lose(&mut self, bytes: u64) {
        self.lost += bytes;
    }

    /// A file that somebody has removed, replaced or shortened would be written on without a name, or with a hole.
    fn begin_anew_if_gone(&mut self) -> io::Result<()> {
        let why = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => "was removed",
            Err(error) => return Err(error),
            Ok(meta) if !is_same(&meta, &self.file.metadata()?) => "was replaced",
            Ok(meta) if meta.is_file() && meta.len() < self.written => "was shortened",
            Ok(_) => return Ok(()),
        };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
        if file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        log::warn!("{} {why} while the run goes on; it is begun anew", self.path.display());
        (self.file, self.written, self.synced) = (file, 0, None);
        if !self.buffer.starts_with(&self.header) {
            self.buffer.splice(..0, self.header.iter().copied());
        }
        Ok(())
    }

    /// How far it goes: what a snapshot says of it. What waits is written first; if it can't be, it counts as lost to whoever goes on from there, and
    /// waits on.
    pub fn mark(&mut self) -> Mark {
        self.write();
        let (columns, lost) = (self.columns, self.lost + self.buffer.len() as u64);
        match Mark::of(&self.path, self.written) {
            Ok(mark) => Mark { columns, lost, ..mark },
            Err(error) => {
                log::warn!("{} can't be read: {error}", self.path.display());
                Mark { bytes: self.written, tail: String::new(), columns, lost }
            }
        }
    }

    /// Whether something waits that could not be written.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// As [`LogFile::mark`], and waits for the disk.
    pub fn sync(&mut self) -> io::Result<Mark> {
        let mark = self.mark();
        if self.synced != Some(self.written) {
            match self.file.sync_data() {
                // a pipe or a device has nothing to make durable
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                synced => synced.map_err(at(&self.path))?,
            }
            if let (None, Some(folder)) = (self.synced, self.path.parent()) {
                // the file's name, too
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))?;
            }
            self.synced = Some(self.written);
        }
        Ok(mark)
    }

    /// How many bytes it has, without those that wait and those of other writers.
    pub fn written(&self) -> u64 {
        self.written
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.write();
    }
}

/// Gives a file that is in a log's way another name, with `aside` and a number at its end, and tells it.
pub fn set_aside(path: &Path) -> io::Result<()> {
    let name = |n: u64| path.with_added_extension(format!("aside.{n}"));
    let mut n = 1;
    while fs::symlink_metadata(name(n)).is_ok() {
        n += 1;
    }
    fs::rename(path, name(n)).map_err(at(path))?;
    log::warn!("{} is now {}", path.display(), name(n).display());
    Ok(())
}

#[cfg(unix)]
fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

/// An error that names the file.
fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let path = path.display().to_string();
    move |error| io::Error::new(error.kind(), format!("{path}: {error}"))
}

#[cfg(test)]
mod tests;
