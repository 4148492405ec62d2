//! What several test programs share.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An example program, built if it isn't there: `cargo test` builds all, `cargo test --test x` none.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    let build = || {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "catena", "--example", name]);
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    };
    if !path.exists() {
        build();
    }
    path
}

/// Runs an example program with some flags.
pub(crate) fn run(name: &str, flags: &[&str]) -> Output {
    Command::new(example(name)).args(flags).env_remove("RUST_LOG").output().unwrap()
}

/// The JSON object on the last line of `digits`' standard output.
#[allow(dead_code, reason = "not every test program runs digits")]
pub(crate) fn digits(flags: &[&str]) -> serde_json::Value {
    let output = run("digits", flags);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "digits {flags:?}: {err}");
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}
