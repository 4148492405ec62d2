//! What catena writes, in the programs that read it.

use crate::steps::{self, Step};
use crate::workspace::{Workspace, show};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;

const FOLDER: &str = "tests/interop";

/// What the programs share, and no program of its own.
const SHARED: &str = "common";

pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<()> {
    let known = programs(workspace)?;
    let steps = chosen(&known, names)?.iter().map(|name| {
        Step::new(name.clone(), move || {
            let mut python = workspace.command("python3");
            // what a program says comes before what the programs that it starts say
            python.env("PYTHONUNBUFFERED", "1").arg(format!("{FOLDER}/{name}.py"));
            eprintln!("$ {}", show(&python));
            workspace.run(python)
        })
    });
    steps::run(steps.collect())
}

/// The names of the folder's programs, sorted.
fn programs(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.path(FOLDER);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().filter(|_| path.extension() == Some(OsStr::new("py")));
        names.extend(name.map(|name| name.to_string_lossy().into_owned()).filter(|name| name != SHARED));
    }
    names.sort();
    Ok(names)
}

/// The programs that are named, or all.
fn chosen<'a>(known: &'a [String], names: &'a [String]) -> Result<&'a [String]> {
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("there is no \"{unknown}\" in {FOLDER}: name some of {}, or none for all", known.join(", "));
    }
    Ok(if names.is_empty() { known } else { names })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_and_an_unknown_one_is_named() -> Result<()> {
        let known = programs(&Workspace::find()?)?;
        assert_eq!(known, ["mlflow", "models", "optim", "report", "tensorboard", "trace", "watch"]);
        assert_eq!(chosen(&known, &[])?, known);
        assert_eq!(chosen(&known, &known[1..2])?, ["models"]);
        assert!(chosen(&known, &["common".to_owned()]).is_err_and(|e| e.to_string().contains("\"common\"")));
        Ok(())
    }
}
