//! Lines of a text file.
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::array::Array;
use crate::dataset::Dataset;
use crate::draws::Draws;
use crate::order::{fingerprint, settings};
use crate::sample::Sample;
use crate::{Result, Settings};

/// The lines of a UTF-8 text file: sample `i` is line `i + 1` as `input`, its bytes (u8, shape `[bytes]`) without the line's end (`\n` or `\r\n`).
///
/// The file is read once when it is opened, for where its lines start: 8 bytes of memory a line. A sample is then one read at its place. The
/// file must not change while it is in use.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("poem.txt");
/// use catena_data::{Dataset, Draws, sources::TextLines};
///
/// std::fs::write(&path, "so much depends\nupon\n")?;
/// let lines = TextLines::open(&path)?;
/// assert_eq!(lines.len(), 2);
/// let second = lines.get(1, &mut Draws::new(Default::default(), 1, 0))?;
/// assert_eq!(second.get("input")?.as_slice::<u8>()?, b"upon");
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Debug)]
pub struct TextLines {
    file: File,
    path: PathBuf,
    /// Where each line starts, and where the last ends.
    starts: Vec<u64>,
}

impl TextLines {
    /// Looks for the lines of a file. It is an error, with the path, if the file can't be read or has no line.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let at = |error: std::io::Error| format!("{}: {error}", path.display());
        let file = File::open(path).map_err(at)?;
        let (mut starts, mut place, mut line_ended) = (vec![0], 0_u64, true);
        let mut reader = BufReader::with_capacity(1 << 16, &file);
        loop {
            let bytes = reader.fill_buf().map_err(at)?;
            let Some(last) = bytes.last() else { break };
            line_ended = *last == b'\n';
            let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            starts.extend(ends.map(|(end, _)| place + end as u64 + 1));
            let read = bytes.len();
            place += read as u64;
            reader.consume(read);
        }
        if place == 0 {
            return Err(format!("{}: the file is empty, so it has no line", path.display()).into());
        }
        if !line_ended {
            starts.push(place);
        }
        Ok(Self { file, path: path.to_owned(), starts })
    }
}

impl Dataset for TextLines {
    fn len(&self) -> u64 {
        self.starts.len() as u64 - 1
    }

    fn get(&self, index: u64, _: &mut Draws) -> Result<Sample> {
        let at = usize::try_from(index).ok().and_then(|at| self.starts.get(at..)?.get(..2));
        let Some(&[start, end]) = at else {
            return Err(
                format!("there is no line {index}, counted from 0: the file has {}", self.len()).into()
            );
        };
        let mut line = vec![0; usize::try_from(end - start)?];
        let named = |error: String| format!("{}, line {}: {error}", self.path.display(), index + 1);
        self.file.read_exact_at(&mut line, start).map_err(|error| named(error.to_string()))?;
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        std::str::from_utf8(&line).map_err(|error| named(error.to_string()))?;
        Ok(Sample::new().with("input", Array::from(line)))
    }

    fn describe(&self) -> Settings {
        settings([("starts_sha256", fingerprint(&self.starts).into())])
    }

    fn origin(&self, index: u64) -> Option<String> {
        Some(format!("{}, line {}", self.path.display(), index.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Result<Vec<Result<Vec<u8>>>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("some.txt");
        std::fs::write(&path, bytes)?;
        let set = TextLines::open(&path)?;
        assert!(set.get(set.len(), &mut Draws::new(Default::default(), 0, 0)).is_err());
        let line = |index| {
            let sample = set.get(index, &mut Draws::new(Default::default(), index, 0))?;
            Ok(sample.get("input")?.as_slice::<u8>()?.to_vec())
        };
        Ok((0..set.len()).map(line).collect())
    }

    #[test]
    fn lines_are_those_of_the_standard_library() {
        let long = "x".repeat(70_000) + "\ny";
        for text in ["a", "a\n", "\n", "\n\n", "a\r\nb", "a\r\n\r\n", "ä\n\nb\n", "a\rb\n", &long] {
            let got: Vec<_> = lines(text.as_bytes()).unwrap().into_iter().map(Result::unwrap).collect();
            let expected: Vec<_> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
            assert_eq!(got, expected, "{text:?}");
        }
    }

    #[test]
    fn an_empty_file_and_a_line_that_is_no_text_are_errors_by_name() {
        let error = lines(b"").unwrap_err().to_string();
        assert!(error.contains("some.txt: the file is empty"), "{error}");
        let error = lines(b"a\n\xff\nb").unwrap()[1].as_ref().unwrap_err().to_string();
        assert!(error.contains("some.txt, line 2: invalid utf-8"), "{error}");
    }
}
