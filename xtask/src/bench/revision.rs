//! Another commit's tree, beside this one.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Prints medians in full when it is asked to. It knows nothing of catena, so it serves every commit that has it.
const SPREAD: &str = "benches/shared/spread.rs";

/// The variable that asks for all digits.
pub(super) const EXACT: &str = "CATENA_BENCH_EXACT";

/// A commit, checked out in a folder of its own.
#[derive(Debug)]
pub(super) struct Revision {
    /// Twelve digits of its hash.
    pub(super) name: String,
    pub(super) folder: PathBuf,
}

impl Revision {
    /// Checks the commit out, in a clone below the target folder that shares this repository's objects: nothing is left in the
    /// repository when the target folder is removed.
    ///
    /// Its benchmarks stay its own, because they call its own interfaces; but for the file that prints medians, if the commit's
    /// would round them.
    pub(super) fn check_out(workspace: &Workspace, rev: &str) -> Result<Self> {
        let hash = hash(workspace, rev)?;
        let name: String = hash.chars().take(12).collect();
        let folder = workspace.target().join("against").join(&name);
        if !folder.join(".git").is_dir() {
            let parent = folder.parent().context("a folder in the target folder has a parent")?;
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
            let mut clone = workspace.command("git");
            clone
                .args(["clone", "--quiet", "--shared", "--no-checkout"])
                .arg(workspace.path(""))
                .arg(&folder);
            workspace.run(clone)?;
        }
        let mut checkout = workspace.command("git");
        checkout.current_dir(&folder).args(["checkout", "--quiet", "--force", "--detach", &hash]);
        workspace.run(checkout)?;
        let (ours, theirs) = (workspace.path(SPREAD), folder.join(SPREAD));
        let read =
            |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        if theirs.is_file() && !read(&theirs)?.contains(EXACT) {
            fs::write(&theirs, read(&ours)?).with_context(|| format!("cannot write {}", theirs.display()))?;
        }
        Ok(Self { name, folder })
    }
}

/// What this tree is: its commit, and whether it has changes that are in none.
pub(super) fn this_tree(workspace: &Workspace) -> Result<String> {
    let mut status = workspace.command("git");
    status.args(["status", "--porcelain"]);
    let name: String = hash(workspace, "HEAD")?.chars().take(12).collect();
    let is_changed = !workspace.output(status)?.trim().is_empty();
    Ok(if is_changed { format!("{name} with changes") } else { name })
}

fn hash(workspace: &Workspace, rev: &str) -> Result<String> {
    let mut command: Command = workspace.command("git");
    command.args(["rev-parse", "--quiet", "--verify", "--end-of-options", &format!("{rev}^{{commit}}")]);
    let output = command.stderr(Stdio::null()).output().context("cannot start `git`")?;
    if !output.status.success() {
        bail!("git knows no commit \"{rev}\" here: name a commit, a branch or a tag that this clone has");
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
