//! A verified wheel in the download folder: taken as it lies there, or fetched, and fetched once more if damaged.

use super::pinned::Wheel;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// After this, `folder` holds the wheel, and it is the pinned one bit for bit.
pub(super) fn ensure(
    folder: &Path,
    wheel: &Wheel,
    mut fetch: impl FnMut(&Wheel, &Path) -> Result<()>,
) -> Result<()> {
    let path = folder.join(wheel.file);
    let mut fetched = 0;
    loop {
        if path.exists() {
            let found = sha256(&path)?;
            if found == wheel.sha256 {
                return Ok(());
            }
            std::fs::remove_file(&path).with_context(|| format!("cannot delete {}", path.display()))?;
            if fetched == 2 {
                bail!(
                    "{} came damaged twice (SHA-256 {found}, not {}): check the connection, or the package index \
                     that pip uses, and run the set-up again",
                    wheel.file,
                    wheel.sha256
                );
            }
            eprintln!("{} is damaged or cut short: deleted, fetching it again", wheel.file);
        }
        fetch(wheel, folder)?;
        fetched += 1;
        if !path.exists() {
            bail!(
                "pip did not bring {}: let pip use an index that has this file, or set LIBTORCH",
                wheel.file
            );
        }
    }
}

fn sha256(path: &Path) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).with_context(context)?;
        if read == 0 {
            return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hasher.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEEL: Wheel = Wheel {
        name: "abc",
        version: "1",
        file: "abc-1.whl",
        bytes: 3,
        // Of "abc": the standard's own example.
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    /// Runs `ensure` with what lies there and with what the fetches bring, in order; counts the fetches.
    fn run(there: Option<&str>, brings: &[Option<&str>]) -> (Result<()>, usize, Option<String>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(WHEEL.file);
        if let Some(text) = there {
            std::fs::write(&path, text).expect("writes");
        }
        let mut fetches = 0;
        let result = ensure(folder.path(), &WHEEL, |_, into| {
            if let Some(text) = brings.get(fetches).expect("no more fetches than this") {
                std::fs::write(into.join(WHEEL.file), text)?;
            }
            fetches += 1;
            Ok(())
        });
        (result, fetches, std::fs::read_to_string(&path).ok())
    }

    #[test]
    fn a_good_wheel_is_not_fetched_again() {
        let (result, fetches, left) = run(Some("abc"), &[]);
        assert!(result.is_ok());
        assert_eq!((fetches, left.as_deref()), (0, Some("abc")));
    }

    #[test]
    fn a_damaged_wheel_is_deleted_and_fetched_once_more() {
        for there in ["ab", "abd", ""] {
            let (result, fetches, left) = run(Some(there), &[Some("abc")]);
            assert!(result.is_ok());
            assert_eq!((fetches, left.as_deref()), (1, Some("abc")));
        }
        let (result, fetches, _) = run(None, &[Some("ab"), Some("abc")]);
        assert!(result.is_ok());
        assert_eq!(fetches, 2);
    }

    #[test]
    fn a_wheel_that_stays_damaged_is_an_error_and_is_not_left_behind() {
        let (result, fetches, left) = run(None, &[Some("ab"), Some("ab")]);
        assert!(result.is_err_and(|error| error.to_string().contains("damaged twice")));
        assert_eq!((fetches, left), (2, None));
    }

    #[test]
    fn a_fetch_that_brings_another_file_is_an_error() {
        let (result, fetches, _) = run(None, &[None]);
        assert!(result.is_err_and(|error| error.to_string().contains("did not bring abc-1.whl")));
        assert_eq!(fetches, 1);
    }
}
