//! The folder `.libtorch`: unpacked beside, marked last, and renamed when it is whole.

use super::wanted::{VERSION, is_version};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Grows when the layout changes, so that an older one is laid out again.
const LAYOUT: u64 = 1;

/// Written when everything else is there: a folder without it is never taken for whole.
const MARKER: &str = "catena-setup.json";

/// The library that only the build with CUDA has.
pub(super) const CUDA_LIBRARY: &str = "lib/libtorch_cuda.so";

/// Which build of libtorch it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Cpu,
    Cuda,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU",
            Self::Cuda => "CUDA",
        })
    }
}

/// What the folder was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Wheels,
    /// Links into the folder of an installed PyTorch.
    PyTorch(PathBuf),
}

/// The build that a finished set-up left in a folder, if its marker is valid and the files are there.
pub(super) fn read(folder: &Path) -> Option<Kind> {
    let (kind, origin) = parse(&std::fs::read_to_string(folder.join(MARKER)).ok()?)?;
    let library = if kind == Kind::Cuda { CUDA_LIBRARY } else { "lib/libtorch_cpu.so" };
    let there = folder.join("include").exists() && folder.join(library).exists();
    let same = match origin {
        Origin::Wheels => true,
        Origin::PyTorch(torch) => installed_version(&torch).is_some_and(|version| is_version(&version)),
    };
    (there && same).then_some(kind)
}

/// The version that an installed PyTorch's `version.py` states, without starting Python.
fn installed_version(torch: &Path) -> Option<String> {
    let text = std::fs::read_to_string(torch.join("version.py")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(line.trim().trim_matches(['\'', '"']).to_owned())
}

fn parse(marker: &str) -> Option<(Kind, Origin)> {
    let marker: Value = serde_json::from_str(marker).ok()?;
    let kind = match marker["kind"].as_str()? {
        "cpu" => Kind::Cpu,
        "cuda" => Kind::Cuda,
        _ => return None,
    };
    let origin = match &marker["pytorch"] {
        Value::Null => Origin::Wheels,
        folder => Origin::PyTorch(folder.as_str()?.into()),
    };
    let this = marker["layout"] == LAYOUT && marker["libtorch"] == VERSION;
    this.then_some((kind, origin))
}

fn marker(kind: Kind, origin: &Origin) -> String {
    let kind = if kind == Kind::Cuda { "cuda" } else { "cpu" };
    let pytorch = match origin {
        Origin::Wheels => Value::Null,
        Origin::PyTorch(folder) => folder.to_string_lossy().into(),
    };
    format!("{}\n", json!({ "layout": LAYOUT, "kind": kind, "libtorch": VERSION, "pytorch": pytorch }))
}

/// Unpacks what matches `keep` of a wheel into `folder`: `include/`, and the libraries flat in `lib/`, where the
/// `$ORIGIN` that ends the run path of each of them finds the others.
pub(super) fn unpack(wheel: &Path, folder: &Path, keep: &[&str], lock: &File) -> Result<()> {
    let output = Command::new("python3")
        .args(["-c", include_str!("unpack.py")])
        .args([wheel, folder])
        .args(keep)
        .stdin(Stdio::from(lock.try_clone().context("cannot hand the lock on")?))
        .output()
        .context("cannot start python3 to unpack a wheel: install python3")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = said.trim().lines().last().unwrap_or("it said nothing").to_owned();
        bail!(
            "cannot unpack {} into {} ({reason}): see that the disk has room, and run the set-up again",
            wheel.display(),
            folder.display()
        );
    }
    Ok(())
}

/// Makes `folder` stand for an installed PyTorch. The run path of its libraries starts at the linked folder and
/// goes up from there, so they find theirs where pip put them.
pub(super) fn link(folder: &Path, torch: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for part in ["include", "lib"] {
        symlink(&torch.join(part), &folder.join(part))?;
    }
    Ok(())
}

fn symlink(target: &Path, link: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, link)
        .with_context(|| format!("cannot create the link {}", link.display()))
}

/// What the wheels lack, and the marker, last.
pub(super) fn finish(folder: &Path, kind: Kind, origin: &Origin) -> Result<()> {
    // libtorch.so of the wheel only pulls the others in, the CUDA ones too.
    let libtorch = folder.join("lib/libtorch.so");
    if kind == Kind::Cpu && *origin == Origin::Wheels {
        symlink(Path::new("libtorch_cpu.so"), &libtorch)?;
    }
    for (name, text) in [("build-version", format!("{VERSION}\n")), (MARKER, marker(kind, origin))] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Renames the finished folder over what was there.
pub(super) fn put_in_place(partial: &Path, target: &Path, old: &Path) -> Result<()> {
    let rename = |from: &Path, to: &Path| {
        std::fs::rename(from, to)
            .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
    };
    if target.symlink_metadata().is_ok() {
        rename(target, old)?;
    }
    rename(partial, target)?;
    remove(old)
}

/// Deletes a file, a link (not what it points to) or a folder, if it is there.
pub(super) fn remove(path: &Path) -> Result<()> {
    let result = match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
        Ok(data) if data.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
    };
    result.with_context(|| format!("cannot delete {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as the unpacking leaves it, before `finish`.
    fn unpacked(parent: &Path) -> Result<PathBuf> {
        let folder = parent.join(".libtorch.partial");
        std::fs::create_dir_all(folder.join("include"))?;
        std::fs::create_dir_all(folder.join("lib"))?;
        std::fs::write(folder.join("lib/libtorch_cpu.so"), "")?;
        Ok(folder)
    }

    #[test]
    fn a_marker_is_read_as_it_was_written_and_no_other_is() {
        for kind in [Kind::Cpu, Kind::Cuda] {
            for origin in [Origin::Wheels, Origin::PyTorch("/py/torch".into())] {
                assert_eq!(parse(&marker(kind, &origin)), Some((kind, origin)));
            }
        }
        let good = marker(Kind::Cpu, &Origin::Wheels);
        for (from, to) in [("2.13.0", "2.12.0"), (":1,", ":0,"), ("cpu", "tpu"), ("}", ""), ("null", "7")] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert_eq!(parse(&bad), None, "{bad}");
        }
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_half_unpacked_folder_is_not_taken_for_whole() -> Result<()> {
        let parent = tempfile::tempdir()?;
        let folder = unpacked(parent.path())?;
        assert_eq!(read(&folder), None, "no marker yet");
        finish(&folder, Kind::Cpu, &Origin::Wheels)?;
        assert_eq!(read(&folder), Some(Kind::Cpu));
        std::fs::remove_file(folder.join("lib/libtorch_cpu.so"))?;
        assert_eq!(read(&folder), None, "a marker without the library");
        Ok(())
    }

    #[test]
    fn the_finished_folder_replaces_what_was_there() -> Result<()> {
        let parent = tempfile::tempdir()?;
        let (target, old) = (parent.path().join(".libtorch"), parent.path().join(".libtorch.old"));
        std::fs::create_dir_all(target.join("left-over"))?;
        let folder = unpacked(parent.path())?;
        finish(&folder, Kind::Cpu, &Origin::Wheels)?;
        put_in_place(&folder, &target, &old)?;
        assert_eq!(read(&target), Some(Kind::Cpu));
        assert!(!target.join("left-over").exists() && !old.exists() && !folder.exists());
        Ok(())
    }

    #[test]
    fn links_to_a_pytorch_that_changed_or_went_are_not_whole() -> Result<()> {
        let parent = tempfile::tempdir()?;
        let torch = parent.path().join("torch");
        std::fs::create_dir_all(torch.join("include"))?;
        std::fs::create_dir_all(torch.join("lib"))?;
        std::fs::write(torch.join(CUDA_LIBRARY), "")?;
        std::fs::write(torch.join("version.py"), "x = 1\n__version__ = '2.13.0+cu130'\n")?;
        let folder = parent.path().join(".libtorch");
        link(&folder, &torch)?;
        finish(&folder, Kind::Cuda, &Origin::PyTorch(torch.clone()))?;
        assert_eq!(read(&folder), Some(Kind::Cuda));
        std::fs::write(torch.join("version.py"), "__version__ = '2.14.0'\n")?;
        assert_eq!(read(&folder), None);
        remove(&torch)?;
        assert_eq!(read(&folder), None);
        Ok(())
    }
}
