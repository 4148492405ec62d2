//! The demo's end: a run that is killed, and goes on.
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::workspace::Workspace;

/// How long the run may take to its second snapshot.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kills a run at its second snapshot, lets it go on, and gives the result.
pub(super) fn run(workspace: &Workspace, args: &[String]) -> Result<Map<String, Value>> {
    let dir = workspace.target().join("demo-run");
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    let flags = ["--resume", "--checkpoint-every", "20 batches", "--dir"];
    // the program itself, not cargo, is what the signal must reach
    let program = workspace.target().join("debug/examples/digits");
    let digits = || {
        let mut digits = std::process::Command::new(&program);
        digits.current_dir(workspace.path("")).args(flags).arg(&dir).args(args);
        digits
    };
    eprintln!("training with a run directory, until it is killed (SIGKILL)");
    let child = digits().stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.with_context(|| format!("cannot start {}", program.display()))?;
    wait_for_snapshots(&mut child, &dir.join("checkpoints"))?;
    child.kill().context("cannot kill the run")?;
    let status = child.wait().context("cannot wait for the run")?;
    if status.success() {
        bail!(
            "the run was complete before it could be killed; give it more epochs: `cargo xtask demo -- --epochs 100`"
        );
    }
    eprintln!("killed ({status}); going on with --resume");
    super::last_line("chain", &workspace.output(digits())?)
}

fn wait_for_snapshots(child: &mut Child, checkpoints: &Path) -> Result<()> {
    let since = Instant::now();
    loop {
        let names = std::fs::read_dir(checkpoints).into_iter().flatten().filter_map(Result::ok);
        if names.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count() >= 2 {
            return Ok(());
        }
        if let Some(status) = child.try_wait().context("cannot wait for the run")? {
            bail!(
                "the run ended ({status}) before its second snapshot; give it more epochs: `cargo xtask demo -- --epochs 100`"
            );
        }
        if since.elapsed() > PATIENCE {
            child.kill().context("cannot kill the run")?;
            bail!("the run took no two snapshots in {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
