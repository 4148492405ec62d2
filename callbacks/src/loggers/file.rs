//! A file that grows at its end and can be cut back.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use catena_chain::Result;

/// A file that grows at its end. What a failed write left behind is cut off again.
#[derive(Debug)]
pub(crate) struct Growing {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    written: u64,
    synced: Option<u64>,
}

impl Growing {
    /// A new file, in place of an old one.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let options = OpenOptions::new().write(true).create(true).truncate(true).to_owned();
        Self::open(path, &options, 0)
    }

    /// Whether a file has at least `length` bytes.
    pub(crate) fn check(path: &Path, length: u64) -> Result<()> {
        let found = length_of(path)?;
        if found < length {
            let path = path.display();
            return Err(format!(
                "{path} has {found} bytes, but had {length} at the snapshot: it was shortened or removed since, so the run can't go on \
                 writing it; put the file back, or resume into a copy of the run directory"
            )
            .into());
        }
        Ok(())
    }

    /// A file that is there, cut back to `length` bytes.
    pub(crate) fn cut(path: &Path, length: u64) -> Result<Self> {
        Self::check(path, length)?;
        let options = OpenOptions::new().write(true).create(true).truncate(false).to_owned();
        Self::open(path, &options, length)
    }

    /// A file that may be there, to go on after its last whole line.
    pub(crate) fn after_whole_lines(path: &Path) -> Result<Self> {
        let mut text = Vec::new();
        match File::open(path) {
            Ok(mut file) => file.read_to_end(&mut text).map_err(|error| at(path, &error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(at(path, &error)),
        };
        let length = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end as u64 + 1);
        let options = OpenOptions::new().write(true).create(true).truncate(false).to_owned();
        Self::open(path, &options, length)
    }

    fn open(path: &Path, options: &OpenOptions, length: u64) -> Result<Self> {
        let mut file = options.open(path).map_err(|error| at(path, &error))?;
        if length > 0 || file.metadata().is_ok_and(|meta| meta.len() > 0) {
            file.set_len(length)
                .and_then(|()| file.seek(SeekFrom::Start(length)))
                .map_err(|error| at(path, &error))?;
        }
        Ok(Self { path: path.to_owned(), file, buffer: Vec::new(), written: length, synced: None })
    }

    /// Where the next bytes go until they are written.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Gives what waits to the operating system.
    pub(crate) fn write(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer);
        match written {
            Ok(()) => self.written += self.buffer.len() as u64,
            // best effort: half a line must not stay
            Err(_) => drop(self.file.set_len(self.written)),
        }
        self.buffer.clear();
        written.map_err(|error| at(&self.path, &error))
    }

    /// Writes what waits, and waits for the disk.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.write()?;
        if self.synced != Some(self.written) {
            self.file.sync_data().map_err(|error| at(&self.path, &error))?;
            if let (None, Some(folder)) = (self.synced, self.path.parent()) {
                // the file's name, too
                File::open(folder)
                    .and_then(|folder| folder.sync_all())
                    .map_err(|error| at(folder, &error))?;
            }
            self.synced = Some(self.written);
        }
        Ok(())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes are written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }
}

/// An error that names the file.
pub(crate) fn at(path: &Path, error: &dyn std::fmt::Display) -> catena_chain::BoxError {
    format!("{}: {error}", path.display()).into()
}

/// A file's length; 0 if it isn't there.
pub(crate) fn length_of(path: &Path) -> Result<u64> {
    match fs::metadata(path) {
        Ok(meta) => Ok(meta.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(at(path, &error)),
    }
}

/// Makes a folder, if it isn't there.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| at(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_back_to_where_it_was_and_a_shorter_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = Growing::create(&path).unwrap();
        file.buffer().extend(b"one\ntwo\nthr");
        file.sync().unwrap();
        let mut file = Growing::cut(&path, 4).unwrap();
        file.buffer().extend(b"2\nha");
        file.write().unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), file.written()), ("one\n2\nha", 8));
        let text = Growing::cut(&path, 9).unwrap_err().to_string();
        assert!(text.contains("has 8 bytes, but had 9 at the snapshot"), "{text}");
        let mut file = Growing::after_whole_lines(&path).unwrap();
        file.buffer().extend(b"3\n");
        file.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n2\n3\n");
    }
}
