//! Reads a file that grows line by line: only what is new.
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The longest line that is read, and how much is read at once.
const MOST: usize = 1 << 20;

/// How many bytes before the new ones must still be what they were.
const SEAM: usize = 128;

/// A file that is followed.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    /// Where the first line begins that was not given yet.
    at: u64,
    /// The last bytes before it.
    seam: Vec<u8>,
    seen: Option<(u64, SystemTime)>,
    in_long_line: bool,
}

/// What is new.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Whether the file was cut back or replaced: all that it gave before is void, and it is read from its start.
    pub(crate) restarted: bool,
    /// Whole lines, each with its end. A last line that is only half written stays for the next time.
    pub(crate) lines: Vec<u8>,
    /// How many lines were left out because they are longer than a mebibyte.
    pub(crate) too_long: u64,
    /// Whether there is more to be read at once.
    pub(crate) more: bool,
    /// When the file last changed.
    pub(crate) changed: Option<SystemTime>,
}

impl Tail {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, at: 0, seam: Vec::new(), seen: None, in_long_line: false }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads on. A file that is not there is empty.
    pub(crate) fn read(&mut self) -> io::Result<News> {
        let mut news = News::default();
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                news.restarted = self.restart();
                return Ok(news);
            }
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let (length, changed) = (metadata.len(), metadata.modified()?);
        news.changed = Some(changed);
        if self.seen == Some((length, changed)) {
            return Ok(news);
        }
        if length < self.at
            || self.seam != read(&mut file, self.at - self.seam.len() as u64, self.seam.len())?
        {
            news.restarted = self.restart();
        }
        let mut bytes = read(&mut file, self.at, MOST)?;
        let is_full = bytes.len() == MOST;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map(|last| last + 1);
        match end {
            Some(end) => bytes.truncate(end),
            None if is_full => {
                news.too_long += u64::from(!self.in_long_line);
                self.in_long_line = true;
            }
            None => bytes.clear(),
        }
        self.at += bytes.len() as u64;
        self.keep_seam(&bytes);
        news.more = is_full;
        // what grew while it was read is looked at the next time
        self.seen = (!is_full).then_some((length, changed));
        if self.in_long_line {
            let start = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |first| first + 1);
            self.in_long_line = end.is_none();
            bytes.drain(..start);
        }
        news.lines = bytes;
        Ok(news)
    }

    /// Begins again; says whether there had been something.
    fn restart(&mut self) -> bool {
        let had = self.at > 0;
        *self = Self::new(std::mem::take(&mut self.path));
        had
    }

    fn keep_seam(&mut self, bytes: &[u8]) {
        self.seam.extend_from_slice(bytes.get(bytes.len().saturating_sub(SEAM)..).unwrap_or(bytes));
        self.seam.drain(..self.seam.len().saturating_sub(SEAM));
    }
}

/// At most so many bytes from there.
fn read(file: &mut File, at: u64, most: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.by_ref().take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        tail: Tail,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let tail = Tail::new(dir.path().join("log"));
            Self { dir, tail }
        }

        fn write(&self, text: &str) {
            fs::write(self.dir.path().join("log"), text).unwrap();
        }

        fn read(&mut self) -> (bool, String) {
            let news = self.tail.read().unwrap();
            (news.restarted, String::from_utf8(news.lines).unwrap())
        }
    }

    #[test]
    fn only_new_whole_lines_are_given() {
        let mut place = Place::new();
        assert_eq!(place.read(), (false, String::new()));
        place.write("one\ntw");
        assert_eq!(place.read(), (false, "one\n".into()));
        assert_eq!(place.read(), (false, String::new()));
        place.write("one\ntwo\nthree\nf");
        assert_eq!(place.read(), (false, "two\nthree\n".into()));
        place.write("one\ntwo\nthree\nfour\n");
        assert_eq!(place.read(), (false, "four\n".into()));
    }

    #[test]
    fn a_file_that_was_cut_back_is_read_from_its_start() {
        let mut place = Place::new();
        place.write("one\ntwo\nthree\n");
        place.read();
        place.write("one\ntwo\n");
        assert_eq!(place.read(), (true, "one\ntwo\n".into()));
        place.write("one\nTWO\nthree\nfour\n");
        assert_eq!(place.read(), (true, "one\nTWO\nthree\nfour\n".into()), "cut back and grown past its end");
        fs::remove_file(place.dir.path().join("log")).unwrap();
        assert_eq!(place.read(), (true, String::new()));
        assert_eq!(place.read(), (false, String::new()));
    }

    #[test]
    fn a_long_file_comes_in_pieces_and_a_long_line_is_left_out() {
        let mut place = Place::new();
        let line = "x".repeat(99) + "\n";
        let long = "y".repeat(3 * MOST);
        place.write(&format!("{}{long}\nlast\n", line.repeat(20_000)));
        let (mut text, mut too_long, mut reads) = (String::new(), 0, 0);
        loop {
            let news = place.tail.read().unwrap();
            assert!(news.lines.len() <= MOST && !news.restarted);
            text += std::str::from_utf8(&news.lines).unwrap();
            too_long += news.too_long;
            reads += 1;
            if !news.more {
                break;
            }
        }
        assert_eq!(text, line.repeat(20_000) + "last\n");
        assert_eq!(too_long, 1);
        assert!(reads >= 5, "{reads}");
    }
}
