//! Windows of token ids over a flat file.
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::array::Array;
use crate::dataset::Dataset;
use crate::draws::Draws;
use crate::order::settings;
use crate::sample::Sample;
use crate::{Result, Settings};

/// Windows over a flat file of token ids, little-endian u16 or u32 without a header: with windows of `T` tokens, sample `i` holds ids `i * T` to
/// `i * T + T - 1` as `input` and those one further as `target` (both i64 of the shape `[T]`), so that each id but the file's first is a target once.
/// What is left at the end, fewer than `T + 1` ids, is in no window.
///
/// Nothing of the file is kept in memory: a sample is one read at its place. The file must not change while it is in use.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("ids.bin");
/// use catena_data::{Dataset, Draws, sources::TokenWindows};
///
/// std::fs::write(&path, [5_u16, 6, 7, 8, 9, 10].map(u16::to_le_bytes).concat())?;
/// let windows = TokenWindows::u16(&path, 2)?;
/// assert_eq!(windows.len(), 2);
/// let second = windows.get(1, &mut Draws::new(Default::default(), 1, 0))?;
/// assert_eq!(second.get("input")?.as_slice::<i64>()?, [7, 8]);
/// assert_eq!(second.get("target")?.as_slice::<i64>()?, [8, 9]);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Debug)]
pub struct TokenWindows {
    file: File,
    path: PathBuf,
    each: usize,
    tokens: usize,
    len: u64,
}

impl TokenWindows {
    /// Windows of `tokens` ids, of two bytes each. It is an error if the file's length is odd, or if the file has no window.
    pub fn u16(path: impl AsRef<Path>, tokens: usize) -> Result<Self> {
        Self::open(path.as_ref(), tokens, 2)
    }

    /// Windows of `tokens` ids, of four bytes each. It is an error if the file's length is no multiple of four, or if the file has no window.
    pub fn u32(path: impl AsRef<Path>, tokens: usize) -> Result<Self> {
        Self::open(path.as_ref(), tokens, 4)
    }

    fn open(path: &Path, tokens: usize, each: usize) -> Result<Self> {
        let at = |error: std::io::Error| format!("{}: {error}", path.display());
        let file = File::open(path).map_err(at)?;
        let length = file.metadata().map_err(at)?.len();
        if tokens == 0 {
            return Err(format!(
                "{}: a window of 0 tokens was asked for; at least 1 is needed",
                path.display()
            )
            .into());
        }
        if length % each as u64 != 0 {
            return Err(format!(
                "{}: {length} bytes are no whole number of ids of {each} bytes: the file is cut off, or its ids have another size",
                path.display()
            )
            .into());
        }
        let ids = length / each as u64;
        let len = ids.saturating_sub(1) / tokens as u64;
        if len == 0 {
            return Err(format!(
                "{}: a window of {tokens} tokens needs one id more than that, but the file has {ids} ids",
                path.display()
            )
            .into());
        }
        Ok(Self { file, path: path.to_owned(), each, tokens, len })
    }
}

impl Dataset for TokenWindows {
    fn len(&self) -> u64 {
        self.len
    }

    fn get(&self, index: u64, _: &mut Draws) -> Result<Sample> {
        if index >= self.len {
            return Err(format!("there is no window {index}: the windows end at {}", self.len).into());
        }
        let mut bytes = vec![0; (self.tokens + 1) * self.each];
        let place = index * self.tokens as u64 * self.each as u64;
        self.file
            .read_exact_at(&mut bytes, place)
            .map_err(|error| format!("{}: at byte {place}: {error}", self.path.display()))?;
        let ids: Vec<i64> = match self.each {
            2 => bytes.as_chunks().0.iter().map(|id| i64::from(u16::from_le_bytes(*id))).collect(),
            _ => bytes.as_chunks().0.iter().map(|id| i64::from(u32::from_le_bytes(*id))).collect(),
        };
        Ok(Sample::new()
            .with("input", Array::from(ids[..self.tokens].to_vec()))
            .with("target", Array::from(ids[1..].to_vec())))
    }

    fn describe(&self) -> Settings {
        settings([("tokens", self.tokens.into()), ("bytes_an_id", self.each.into())])
    }

    fn origin(&self, index: u64) -> Option<String> {
        Some(format!("{}, ids from {}", self.path.display(), index.saturating_mul(self.tokens as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids.bin");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn each_id_but_the_first_is_a_target_once_and_the_last_whole_window_counts() {
        for (ids, windows) in [(3, 1), (4, 1), (5, 2), (6, 2), (7, 3)] {
            let all: Vec<u32> = (0..ids).map(|id| u32::MAX - id).collect();
            let (_folder, path) = write(&all.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<_>>());
            let set = TokenWindows::u32(&path, 2).unwrap();
            assert_eq!(set.len(), windows);
            let mut targets = Vec::new();
            for index in 0..windows {
                let sample = set.get(index, &mut Draws::new(Default::default(), index, 0)).unwrap();
                targets.extend(sample.get("target").unwrap().as_slice::<i64>().unwrap().to_vec());
            }
            let expected: Vec<i64> = all[1..=2 * windows as usize].iter().map(|id| i64::from(*id)).collect();
            assert_eq!(targets, expected);
            assert!(set.get(windows, &mut Draws::new(Default::default(), 0, 0)).is_err());
        }
    }

    #[test]
    fn a_file_of_odd_length_and_one_without_a_window_are_refused_by_name() {
        let (_folder, path) = write(&[0; 7]);
        let error = TokenWindows::u16(&path, 2).unwrap_err().to_string();
        assert!(error.contains("ids.bin: 7 bytes are no whole number of ids of 2 bytes"), "{error}");
        let (_folder, path) = write(&[0; 4]);
        assert!(TokenWindows::u16(&path, 2).unwrap_err().to_string().contains("the file has 2 ids"));
        assert!(TokenWindows::u16(&path, 0).unwrap_err().to_string().contains("window of 0 tokens"));
        assert!(TokenWindows::u16(&path, usize::MAX).is_err());
        let (_folder, path) = write(&[]);
        assert!(TokenWindows::u32(&path, 1).unwrap_err().to_string().contains("the file has 0 ids"));
    }
}
