//! Files that a command is asked to write: whole or not at all, and nothing is replaced unasked.
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::failure::{Failure, Result};

/// Refuses a path in a checkpoint's folder, which another file there would damage.
pub(crate) fn check(path: &Path) -> Result<()> {
    if path.parent().is_some_and(|folder| folder.join("manifest.json").exists()) {
        let at = path.display();
        let wrong = format!("{at} would lie in a checkpoint's folder and damage it; give a path elsewhere");
        return Err(Failure::Usage(wrong));
    }
    Ok(())
}

/// Writes the whole file or none.
pub(crate) fn write(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let io = |error| Failure::io("can't write", path)(error);
    if path.file_name().is_none() {
        return Err(Failure::Usage(format!("{} is no file's path", path.display())));
    }
    if !force {
        // takes the name, so that two that write at once don't overwrite each other's
        File::create_new(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                let at = path.display();
                Failure::Usage(format!("{at} is there already; --force replaces it"))
            }
            _ => io(error),
        })?;
    }
    let temporary = path.with_file_name(format!(".tmp-catena-{}", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // what can't be removed either is no more news than the error
        let _removed = fs::remove_file(&temporary);
        if !force {
            let _removed = fs::remove_file(path);
        }
        io(error)
    })
}
