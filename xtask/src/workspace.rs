//! Where the workspace is, and how its cargo commands are started.

use crate::folders::same_folder;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace that this program belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Found from the manifest's folder that cargo names, so that a copy of the repository is its own.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root =
            manifest.parent().with_context(|| format!("{} has no parent folder", manifest.display()))?;
        Ok(Self { root: root.to_path_buf() })
    }

    /// A path below the root.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The folder that `.cargo/config.toml` names as LIBTORCH.
    pub(crate) fn libtorch(&self) -> PathBuf {
        self.path(".libtorch")
    }

    /// The folder that cargo builds into.
    pub(crate) fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.path("target"), |dir| self.root.join(dir))
    }

    /// `cargo ARGS` at the root, in the environment that the user's own shell would give it: otherwise
    /// torch-sys, which watches these variables, would be compiled once for xtask and once for plain cargo.
    pub(crate) fn cargo<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut cargo = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(args);
        cargo
    }

    /// A program, at the root and in that environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env_remove("CARGO_MANIFEST_DIR");
        match std::env::var_os("LIBTORCH") {
            // torch-sys asks for LIBTORCH_USE_PYTORCH first, the set-up for LIBTORCH: see to it that they agree.
            Some(value) if !same_folder(Path::new(&value), &self.libtorch()) => {
                command.env_remove("LIBTORCH_USE_PYTORCH")
            }
            _ => command.env_remove("LIBTORCH"),
        };
        command
    }

    /// The README's test command.
    pub(crate) fn test(&self, args: &[String]) -> Command {
        let mut cargo = self.cargo(["test", "--workspace"]);
        cargo.args(args);
        cargo
    }

    /// Runs a command whose output goes to the terminal.
    pub(crate) fn run(&self, mut command: Command) -> Result<()> {
        let shown = show(&command);
        let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
        if !status.success() {
            bail!("`{shown}` failed ({status}); what it printed is above");
        }
        Ok(())
    }

    /// Runs a command for its standard output; its standard error goes to the terminal.
    pub(crate) fn output(&self, mut command: Command) -> Result<String> {
        let shown = show(&command);
        let output = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            eprint!("{text}");
            bail!("`{shown}` failed ({}); what it printed is above", output.status);
        }
        Ok(text)
    }

    /// What cargo finds by itself in a folder of the root: `NAME.rs`, or `NAME/main.rs`; sorted.
    pub(crate) fn programs(&self, folder: &str) -> Result<Vec<String>> {
        let folder = self.path(folder);
        let mut names = Vec::new();
        for entry in
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let path = entry?.path();
            let is_program = if path.is_dir() {
                path.join("main.rs").is_file()
            } else {
                path.extension() == Some(OsStr::new("rs"))
            };
            if let (true, Some(name)) = (is_program, path.file_stem()) {
                names.push(name.to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// A command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
