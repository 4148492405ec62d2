//! Makes libtorch available: picks the source, and lays `.libtorch` out if nothing else serves.

mod fetch;
mod layout;
mod pinned;
mod pip;
mod pytorch;
mod source;
mod wanted;

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use layout::{Kind, Origin};
use source::Source;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::time::Instant;

pub(crate) use wanted::{VERSION, Wanted};

/// The folders of a set-up, siblings so that a rename is all it takes to put the finished one in its place.
#[derive(Debug)]
struct Folders {
    libtorch: PathBuf,
    download: PathBuf,
    partial: PathBuf,
    old: PathBuf,
    lock: PathBuf,
}

impl Folders {
    fn of(workspace: &Workspace) -> Self {
        Self {
            libtorch: workspace.libtorch(),
            download: workspace.path(".libtorch.download"),
            partial: workspace.path(".libtorch.partial"),
            old: workspace.path(".libtorch.old"),
            lock: workspace.path(".libtorch.lock"),
        }
    }
}

/// After this, cargo finds a libtorch of the right version.
pub(crate) fn run(workspace: &Workspace, wanted: Wanted) -> Result<()> {
    let folders = Folders::of(workspace);
    let found = || layout::read(&folders.libtorch);
    let choose = |found| {
        source::choose(&source::Environment {
            libtorch: std::env::var_os("LIBTORCH"),
            use_pytorch: std::env::var_os("LIBTORCH_USE_PYTORCH").is_some(),
            configured: folders.libtorch.clone(),
            found,
            wanted,
        })
    };
    match choose(found()) {
        Source::Libtorch(folder) => {
            source::check_folder(&folder, wanted.cuda)?;
            eprintln!("libtorch: {}, as LIBTORCH says; nothing to lay out", folder.display());
            if std::env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
                eprintln!(
                    "note: LIBTORCH_USE_PYTORCH is set too, and plain cargo commands would heed it: unset one of them"
                );
            }
            return Ok(());
        }
        Source::PyTorch => {
            let installed = pytorch::check(wanted.cuda)?;
            eprintln!(
                "libtorch: PyTorch in {}, as LIBTORCH_USE_PYTORCH says; nothing to lay out",
                installed.folder.display()
            );
            return Ok(());
        }
        Source::Found(kind) => {
            eprintln!("libtorch: {} ({kind} build), from an earlier set-up", folders.libtorch.display());
            return Ok(());
        }
        Source::LayOut => {}
    }
    let lock = lock(&folders)?;
    // Another set-up may have finished while this one waited for the lock.
    if let Source::Found(kind) = choose(found()) {
        eprintln!("libtorch: {} ({kind} build), from the set-up that ended", folders.libtorch.display());
        return Ok(());
    }
    lay_out(&folders, wanted, &lock)
}

/// One set-up at a time. The children get the lock as their standard input, so that a pip or a python that
/// outlives a killed set-up keeps the next one waiting until it is gone.
fn lock(folders: &Folders) -> Result<File> {
    let open = || format!("cannot open {}", folders.lock.display());
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&folders.lock)
        .with_context(open)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("another set-up holds {}: waiting for its end", folders.lock.display());
            file.lock().with_context(|| format!("cannot lock {}", folders.lock.display()))?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", folders.lock.display()));
        }
    }
    Ok(file)
}

fn lay_out(folders: &Folders, wanted: Wanted, lock: &File) -> Result<()> {
    if (std::env::consts::OS, std::env::consts::ARCH) != ("linux", "x86_64") {
        bail!(
            "there is no pinned libtorch for {} on {}: install PyTorch {VERSION} and set LIBTORCH_USE_PYTORCH=1, \
             or set LIBTORCH to the folder of a libtorch {VERSION}",
            std::env::consts::OS,
            std::env::consts::ARCH
        );
    }
    let start = Instant::now();
    if folders.libtorch.exists() && layout::read(&folders.libtorch).is_none() {
        eprintln!("{} is not the work of a finished set-up: laying it out again", folders.libtorch.display());
    }
    layout::remove(&folders.old)?;
    layout::remove(&folders.partial)?;
    let installed = if wanted.cuda { pytorch::with_cuda() } else { None };
    let kind = if wanted.cuda { Kind::Cuda } else { Kind::Cpu };
    let origin = if let Some(installed) = installed {
        layout::link(&folders.partial, &installed.folder)?;
        Origin::PyTorch(installed.folder)
    } else {
        unpack_wheels(folders, kind, lock)?;
        Origin::Wheels
    };
    layout::finish(&folders.partial, kind, &origin)?;
    layout::put_in_place(&folders.partial, &folders.libtorch, &folders.old)?;
    layout::remove(&folders.download)?;
    let (path, seconds) = (folders.libtorch.display(), start.elapsed().as_secs());
    match origin {
        Origin::Wheels => eprintln!("libtorch {VERSION} ({kind} build) is in {path}, after {seconds} s"),
        Origin::PyTorch(folder) => {
            eprintln!(
                "libtorch {VERSION} ({kind} build): {path} links to the PyTorch in {}",
                folder.display()
            );
        }
    }
    Ok(())
}

fn unpack_wheels(folders: &Folders, kind: Kind, lock: &File) -> Result<()> {
    std::fs::create_dir_all(&folders.download)
        .with_context(|| format!("cannot create {}", folders.download.display()))?;
    let wheels = pinned::wheels(kind);
    for (wheel, _) in &wheels {
        fetch::ensure(&folders.download, wheel, |wheel, into| pip::download(wheel, into, lock))?;
    }
    for (wheel, keep) in &wheels {
        eprintln!("unpacking {}", wheel.file);
        layout::unpack(&folders.download.join(wheel.file), &folders.partial, keep, lock)?;
    }
    Ok(())
}
