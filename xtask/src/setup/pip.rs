//! One wheel by `pip download`, with a line of progress.

use super::pinned::{PLATFORMS, Wheel};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Downloads by the user's own pip and its configuration, but for the pinned platform and Python,
/// whatever Python runs pip.
pub(super) fn download(wheel: &Wheel, into: &Path, lock: &File) -> Result<()> {
    // pip writes where TMPDIR says: beside the result, where its growth is seen and the disk is the same.
    let temporary = into.join("tmp");
    super::layout::remove(&temporary)?;
    std::fs::create_dir_all(&temporary).with_context(|| format!("cannot create {}", temporary.display()))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--progress-bar=off", "--no-input"])
        .args(["--disable-pip-version-check", "--no-deps", "--only-binary=:all:"])
        .args(["--python-version=3.11", "--implementation=cp", "--abi=cp311"])
        .args(PLATFORMS.iter().map(|platform| format!("--platform={platform}")))
        .arg("--dest")
        .arg(into)
        .arg(format!("{}=={}", wheel.name, wheel.version))
        .env("TMPDIR", &temporary)
        .stdin(Stdio::from(lock.try_clone().context("cannot hand the lock on")?));
    let mut progress = Progress::new(wheel);
    let mut child = pip.spawn().context("cannot start python3: install python3 with pip, or set LIBTORCH")?;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for pip")? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(200));
        progress.show(largest(&temporary));
    };
    progress.end(status.success());
    if !status.success() {
        bail!(
            "pip could not download {}=={} ({status}; its message is above): check the connection, and that \
             `python3 -m pip --version` works; or set LIBTORCH to a libtorch of your own",
            wheel.name,
            wheel.version
        );
    }
    super::layout::remove(&temporary)
}

/// Bytes of the largest file in a folder: pip may write the wheel and, for its cache, a second copy.
/// What vanishes under the eyes counts nothing.
fn largest(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => largest(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.max().unwrap_or(0)
}

/// A line that is rewritten on a terminal, and a new one every few seconds elsewhere.
struct Progress<'a> {
    wheel: &'a Wheel,
    start: Instant,
    shown: Instant,
    most: u64,
    terminal: bool,
}

impl<'a> Progress<'a> {
    const PAUSE: Duration = Duration::from_secs(5);

    fn new(wheel: &'a Wheel) -> Self {
        let now = Instant::now();
        let progress =
            Self { wheel, start: now, shown: now, most: 0, terminal: std::io::stderr().is_terminal() };
        if !progress.terminal {
            eprintln!("downloading {} {} ({:.0} MB)", wheel.name, wheel.version, wheel.bytes as f64 / 1e6);
        }
        progress
    }

    fn show(&mut self, bytes: u64) {
        self.most = self.most.max(bytes.min(self.wheel.bytes));
        if self.terminal {
            eprint!("\r{}\x1b[K", self.line());
            std::io::stderr().flush().ok();
        } else if self.shown.elapsed() >= Self::PAUSE {
            self.shown = Instant::now();
            eprintln!("{}", self.line());
        }
    }

    fn end(&mut self, whole: bool) {
        if whole {
            self.most = self.wheel.bytes;
        }
        let start = if self.terminal { "\r" } else { "" };
        let end = if self.terminal { "\x1b[K" } else { "" };
        eprintln!("{start}{}{end}", self.line());
    }

    fn line(&self) -> String {
        line(self.wheel, self.most, self.start.elapsed())
    }
}

fn line(wheel: &Wheel, bytes: u64, elapsed: Duration) -> String {
    let megabytes = bytes as f64 / 1e6;
    let seconds = elapsed.as_secs_f64();
    format!(
        "{} {}: {megabytes:.0} of {:.0} MB, {:.1} MB/s, {seconds:.0} s",
        wheel.name,
        wheel.version,
        wheel.bytes as f64 / 1e6,
        megabytes / seconds.max(0.001)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_copy_is_not_counted() -> Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("pip-unpack"))?;
        std::fs::write(folder.path().join("pip-unpack/a.whl"), [0; 30])?;
        std::fs::write(folder.path().join("cache"), [0; 20])?;
        assert_eq!(largest(folder.path()), 30);
        Ok(())
    }

    #[test]
    fn the_line_says_how_much_how_fast_and_how_long() {
        let wheel = Wheel { name: "torch", version: "1", file: "", bytes: 526_574_961, sha256: "" };
        let shown = line(&wheel, 120_000_000, Duration::from_secs(8));
        assert_eq!(shown, "torch 1: 120 of 527 MB, 15.0 MB/s, 8 s");
    }
}
