//! What several test programs share.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// An example program, built from the sources as they are: `cargo test --test x` leaves an old one where it is.
pub(crate) fn example(name: &str) -> PathBuf {
    static BUILT: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut built = BUILT.lock().unwrap();
    if !built.iter().any(|b| b == name) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "catena", "--example", name]);
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        built.push(name.to_owned());
    }
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples").join(name)
}

/// Runs an example program with some flags.
pub(crate) fn run(name: &str, flags: &[&str]) -> Output {
    // threads that wait do not spin: the tests run beside each other, and results do not depend on it
    let mut program = Command::new(example(name));
    program.args(flags).env_remove("RUST_LOG").env("OMP_WAIT_POLICY", "passive").output().unwrap()
}

/// The JSON object on the last line of `digits`' standard output.
#[allow(dead_code, reason = "not every test program runs digits")]
pub(crate) fn digits(flags: &[&str]) -> serde_json::Value {
    let output = run("digits", flags);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "digits {flags:?}: {err}");
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}
