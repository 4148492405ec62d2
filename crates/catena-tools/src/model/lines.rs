//! Files of JSON lines, read in bounded memory.
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;

use crate::failure::{Failure, Result};

/// The longest line that is read.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// The lines of a file, of which a process may be writing the last.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    file: R,
    line: Vec<u8>,
    count: u64,
}

/// A line.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// Its number in the file, from 1.
    pub(crate) number: u64,
    pub(crate) end: End,
    bytes: &'a [u8],
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a line feed.
    Whole,
    /// With the file: it may be in the making.
    CutShort,
    /// Later than a line may; the rest of it is passed over.
    TooLong,
}

impl Lines<BufReader<File>> {
    /// The lines of a file; none if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        if !path.is_file() {
            return Ok(None);
        }
        let file = File::open(path).map_err(Failure::io("can't read", path))?;
        Ok(Some(Lines::new(BufReader::new(file))))
    }
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(file: R) -> Self {
        Self { file, line: Vec::new(), count: 0 }
    }

    /// The next line, or none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        self.file.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        self.count += 1;
        let end = match self.line.ends_with(b"\n") {
            true => End::Whole,
            false if self.line.len() < MAX_LINE => End::CutShort,
            false => {
                self.pass_over_rest()?;
                End::TooLong
            }
        };
        Ok(Some(Line { number: self.count, end, bytes: &self.line }))
    }

    fn pass_over_rest(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.file.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let (used, done) = (end.map_or(buffer.len(), |end| end + 1), end.is_some() || buffer.is_empty());
            self.file.consume(used);
            if done {
                return Ok(());
            }
        }
    }
}

impl<'a> Line<'a> {
    /// What the line says, or why it can't be read.
    pub(crate) fn read<T: Deserialize<'a>>(&self) -> std::result::Result<T, String> {
        if self.end == End::TooLong {
            return Err(format!("it is longer than {MAX_LINE} bytes"));
        }
        serde_json::from_slice(self.bytes).map_err(|error| error.to_string())
    }

    /// What the line says. One that can't be read is counted as damaged, but for a last one that was cut short.
    pub(crate) fn row<T: Deserialize<'a>>(&self, damaged: &mut u64) -> Option<T> {
        let row = self.read().ok();
        *damaged += u64::from(row.is_none() && self.end != End::CutShort);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> (Vec<u64>, u64) {
        let mut lines = Lines::new(text);
        let (mut read, mut damaged) = (Vec::new(), 0);
        while let Some(line) = lines.next().unwrap() {
            read.extend(line.row::<u64>(&mut damaged));
        }
        (read, damaged)
    }

    #[test]
    fn damaged_lines_are_left_out_and_counted() {
        assert_eq!(read(b"1\nx\n2\n\n\xff\n3\n"), (vec![1, 2, 3], 3));
        assert_eq!(read(b""), (vec![], 0));
    }

    #[test]
    fn a_last_line_in_the_making_is_no_damage() {
        assert_eq!(read(b"1\n[2"), (vec![1], 0));
        assert_eq!(read(b"1\n2"), (vec![1, 2], 0));
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_as_a_whole() {
        let mut text = b"1\n".to_vec();
        text.extend(vec![b'7'; 3 << 20]);
        text.extend(b"\n2\n");
        assert_eq!(read(&text), (vec![1, 2], 1));
    }
}
