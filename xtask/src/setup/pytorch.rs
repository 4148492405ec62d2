//! The PyTorch that is installed: asked for its version and its folder.

use super::layout;
use super::wanted::{VERSION, is_version};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// An installed PyTorch of the right version.
#[derive(Debug)]
pub(super) struct Installed {
    /// The package's folder, with `include/` and `lib/` in it.
    pub(super) folder: PathBuf,
}

/// The interpreter that torch-sys asks too.
fn python() -> &'static str {
    if std::env::var_os("VIRTUAL_ENV").is_some() { "python" } else { "python3" }
}

/// What LIBTORCH_USE_PYTORCH promises, or what is wrong with it.
pub(super) fn check(cuda: bool) -> Result<Installed> {
    let flag = if cuda { " --cuda" } else { "" };
    let advice = format!(
        "install it (`{} -m pip install torch=={VERSION}`), \
         or unset LIBTORCH_USE_PYTORCH and run `cargo xtask setup{flag}`",
        python()
    );
    let script = "import os, torch; print(torch.__version__); print(os.path.dirname(torch.__file__))";
    let output = Command::new(python())
        .args(["-c", script])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("LIBTORCH_USE_PYTORCH is set, but {} cannot be started", python()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = said.trim().lines().last().unwrap_or("it said nothing").to_owned();
        bail!("LIBTORCH_USE_PYTORCH is set, but {} cannot import torch ({reason}): {advice}", python());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let (Some(version), Some(folder)) = (lines.next(), lines.next()) else {
        bail!("{} did not say where its torch is (it printed {text:?}): {advice}", python());
    };
    if !is_version(version) {
        bail!("LIBTORCH_USE_PYTORCH is set, but PyTorch in {folder} is {version}, not {VERSION}: {advice}");
    }
    let folder = PathBuf::from(folder);
    if cuda && !folder.join(layout::CUDA_LIBRARY).exists() {
        bail!(
            "LIBTORCH_USE_PYTORCH is set, but PyTorch in {} is a build without CUDA: \
             install one with it, or unset the variable and run `cargo xtask setup --cuda`",
            folder.display()
        );
    }
    Ok(Installed { folder })
}

/// The installed PyTorch, if it is of the right version and has CUDA.
pub(super) fn with_cuda() -> Option<Installed> {
    check(true).ok()
}
