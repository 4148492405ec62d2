//! The benchmarks, and the same work in other trainers.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages of the peers, and the program that measures them.
const REQUIREMENTS: &str = "benches/peers/requirements.txt";
const PROGRAM: &str = "benches/peers/run.py";

pub(crate) fn run(workspace: &Workspace, peers: bool, names: &[String]) -> Result<()> {
    let known = workspace.programs("benches")?;
    let benches = if peers && names.is_empty() { &[] } else { chosen(&known, names)? };
    if !benches.is_empty() {
        let mut command = workspace.cargo(["bench", "--package", "catena"]);
        command.args(benches.iter().flat_map(|name| ["--bench", name]));
        workspace.run(command)?;
    }
    if peers { run_peers(workspace) } else { Ok(()) }
}

/// The benchmarks that are named, or all.
fn chosen<'a>(known: &'a [String], names: &'a [String]) -> Result<&'a [String]> {
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!(
            "there is no benchmark \"{unknown}\" in benches: name some of {}, or none for all",
            known.join(", ")
        );
    }
    Ok(if names.is_empty() { known } else { names })
}

fn run_peers(workspace: &Workspace) -> Result<()> {
    let program = workspace.path(PROGRAM);
    if !program.is_file() {
        bail!("there is no {PROGRAM}: the peers cannot be measured with this checkout");
    }
    let folder = folder(|name| std::env::var_os(name))?;
    let python = folder.join("bin/python");
    if !python.exists() {
        eprintln!("creating a Python environment for the peers in {}", folder.display());
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&folder);
        workspace.run(venv)?;
    }
    install(workspace, &python, &folder.join("catena-requirements.txt"))?;
    let mut command = Command::new(python);
    command.arg(program);
    workspace.run(command)
}

/// Installs what the peers need, unless the stamp shows that it was done for the same list.
fn install(workspace: &Workspace, python: &Path, stamp: &Path) -> Result<()> {
    let requirements = workspace.path(REQUIREMENTS);
    let Ok(wanted) = std::fs::read_to_string(&requirements) else { return Ok(()) };
    if std::fs::read_to_string(stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("installing what {REQUIREMENTS} lists");
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--requirement"]).arg(&requirements);
    workspace.run(pip)?;
    std::fs::write(stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// The peers' Python environment: outside the repository, and kept.
fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("CATENA_PEERS_DIR") {
        return Ok(folder);
    }
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let cache = cache.context("neither XDG_CACHE_HOME nor HOME is set: set CATENA_PEERS_DIR to a folder")?;
    Ok(cache.join("catena-peers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environments_folder_follows_the_variables() {
        let with = |set: &[(&str, &str)]| {
            folder(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        let table = [
            (vec![("CATENA_PEERS_DIR", "/p"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], Some("/p")),
            (vec![("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], Some("/x/catena-peers")),
            (vec![("XDG_CACHE_HOME", ""), ("HOME", "/h")], Some("/h/.cache/catena-peers")),
            (vec![], None),
        ];
        for (set, expected) in table {
            assert_eq!(with(&set).ok(), expected.map(PathBuf::from), "{set:?}");
        }
    }

    #[test]
    fn an_unknown_benchmark_is_named() {
        let known = ["optim".to_owned(), "overhead".to_owned()];
        assert_eq!(chosen(&known, &[]).ok(), Some(&known[..]));
        assert_eq!(chosen(&known, &known[1..]).ok(), Some(&known[1..]));
        assert!(chosen(&known, &["speed".to_owned()]).is_err_and(|e| e.to_string().contains("\"speed\"")));
    }
}
