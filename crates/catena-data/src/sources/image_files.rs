//! Which image files lie below a folder.
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::order::fingerprint;

/// What torchvision's `ImageFolder` would take as well, and is not read here.
const UNREAD: [&str; 6] = ["ppm", "bmp", "pgm", "tif", "tiff", "webp"];

/// The JPEG and PNG files in a folder and the folders in it, known by their endings, sorted by the bytes of their paths. Links are followed; hidden names, which begin with a dot, and other files are left out.
pub(super) fn image_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(folder, &mut Vec::new(), &mut files)?;
    files.sort_by(|one, other| one.as_os_str().as_encoded_bytes().cmp(other.as_os_str().as_encoded_bytes()));
    Ok(files)
}

/// The folders in a folder, sorted by the bytes of their names; hidden ones are left out. A name that is no UTF-8 is an error.
pub(super) fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for path in visible(folder)? {
        let at = |error: std::io::Error| format!("{}: {error}", path.display());
        if fs::metadata(&path).map_err(at)?.is_dir() {
            let name = path.file_name().and_then(|name| name.to_str());
            let name =
                name.ok_or_else(|| format!("{}: the name of a class must be UTF-8", path.display()))?;
            found.push((name.to_owned(), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}

/// A hash of the files' paths below a folder, so that a folder with other files is told from it.
pub(super) fn names_sha256<'a>(folder: &Path, files: impl IntoIterator<Item = &'a PathBuf>) -> String {
    let mut names = Vec::new();
    for file in files {
        let name = file.strip_prefix(folder).unwrap_or(file).as_os_str().as_encoded_bytes();
        names.extend(name.len().to_le_bytes());
        names.extend(name);
    }
    fingerprint(&names)
}

fn walk(folder: &Path, above: &mut Vec<PathBuf>, files: &mut Vec<PathBuf>) -> Result<()> {
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let real = folder.canonicalize().map_err(|error| at(folder, error))?;
    if above.contains(&real) {
        return Err(format!("{}: the link leads back to a folder that it lies in", folder.display()).into());
    }
    above.push(real);
    for path in visible(folder)? {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        let read = ["jpg", "jpeg", "png"].contains(&ending.as_str());
        let meant = read || UNREAD.contains(&ending.as_str());
        match fs::metadata(&path) {
            Ok(data) if data.is_dir() => walk(&path, above, files)?,
            Ok(_) if read => files.push(path),
            Ok(_) if meant => {
                return Err(format!(
                    "{}: only JPEG and PNG images are read: convert it, or put it elsewhere",
                    path.display()
                )
                .into());
            }
            Err(error) if meant => return Err(at(&path, error).into()),
            Ok(_) | Err(_) => {}
        }
    }
    above.pop();
    Ok(())
}

fn visible(folder: &Path) -> Result<Vec<PathBuf>> {
    let at = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        let entry = entry.map_err(at)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}
