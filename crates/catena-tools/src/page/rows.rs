//! Files of JSON lines, read in bounded memory: what can't be read is left out and counted.
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::failure::{Failure, Result};

/// The longest line that is read.
const MAX_LINE: u64 = 1 << 20;

/// The lines of a file, of which a process may be writing the last.
#[derive(Debug)]
pub(crate) struct Rows<R> {
    file: R,
    /// How many lines were left out because they are damaged.
    pub(crate) damaged: u64,
}

impl Rows<BufReader<File>> {
    /// The lines of a file; none if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        if !path.is_file() {
            return Ok(None);
        }
        let file = File::open(path).map_err(Failure::io("can't read", path))?;
        Ok(Some(Rows::new(BufReader::new(file))))
    }
}

impl<R: BufRead> Rows<R> {
    fn new(file: R) -> Self {
        Self { file, damaged: 0 }
    }

    /// The next line that can be read, or none at the end. A last line that was cut short is no damage: it may be in the making.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> std::io::Result<Option<T>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.file.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            let whole = line.ends_with(b"\n");
            if line.is_empty() {
                return Ok(None);
            }
            match serde_json::from_slice(&line) {
                Ok(row) => return Ok(Some(row)),
                Err(_) if whole => self.damaged += 1,
                Err(_) if (line.len() as u64) < MAX_LINE => return Ok(None),
                Err(_) => {
                    self.damaged += 1;
                    self.skip_line()?;
                }
            }
        }
    }

    fn skip_line(&mut self) -> std::io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> (Vec<u64>, u64) {
        let mut rows = Rows::new(text);
        let mut read = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            read.push(row);
        }
        (read, rows.damaged)
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
