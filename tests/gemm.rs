//! Who multiplies matrices: recorded in run.json, told at a resume, chosen by the environment. A run is exact with either. The switch is the process's, so this
//! file has one test; what another environment does is tried in other processes.
#[path = "common/interrupted.rs"]
mod interrupted;
#[path = "common/warnings.rs"]
mod warnings;

use std::process::Command;

use catena::prelude::*;
use catena::record::formats::run::RunFile;
use catena::tensor::gemm::{self, Gemm};

use self::interrupted::builder;

fn recorded(dir: &std::path::Path) -> Option<String> {
    let text = std::fs::read_to_string(dir.join("run.json")).unwrap();
    serde_json::from_str::<RunFile>(&text).unwrap().run.machine.gemm
}

#[test]
fn who_multiplies_is_recorded_and_a_resume_is_exact_with_either() {
    // in another process: nobody has asked yet, so the environment decides
    if let Some(dir) = std::env::var_os("GEMM_TEST_DIR") {
        match builder(dir.as_ref(), None).build() {
            Ok(mut runner) => drop(runner.run().unwrap()),
            Err(error) => eprintln!("refused: {error}"),
        }
        return;
    }
    let mut ends = Vec::new();
    for choice in [Gemm::Auto, Gemm::Libtorch] {
        gemm::set(choice).unwrap();
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let expected = builder(whole.path(), None).build().unwrap().run().unwrap().metrics;
        assert_eq!(recorded(whole.path()).as_deref(), Some(gemm::name()));
        builder(parts.path(), Some(2)).build().unwrap().run().unwrap();
        let report = builder(parts.path(), None).build().unwrap().resume(Resume::Latest).unwrap();
        assert_eq!((report.resumed_from, &report.metrics), (Some(2), &expected), "{choice:?}");
        ends.push((gemm::name(), parts));
    }
    assert_eq!(ends[1].0, "libtorch");
    let dir = tempfile::tempdir().unwrap();
    gemm::set(Gemm::Auto).unwrap();
    let was = gemm::name();
    builder(dir.path(), Some(2)).build().unwrap().run().unwrap();
    gemm::set(Gemm::Libtorch).unwrap();
    let told = warnings::warnings(|| {
        let report = builder(dir.path(), None).build().unwrap().resume(Resume::Latest).unwrap();
        assert_eq!(report.status, Status::Completed);
    });
    let told =
        told.iter().filter(|text| text.contains("who multiplies matrices: catena before, libtorch now"));
    assert_eq!(told.count(), usize::from(was == "catena"));
    gemm::set(Gemm::Auto).unwrap();

    let this = std::env::current_exe().unwrap();
    let with = |word: &str| {
        let dir = tempfile::tempdir().unwrap();
        let name = "who_multiplies_is_recorded_and_a_resume_is_exact_with_either";
        let run = Command::new(&this)
            .args(["--exact", name, "--nocapture"])
            .env("CATENA_GEMM", word)
            .env("GEMM_TEST_DIR", dir.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&run.stderr).into_owned();
        (dir.path().join("run.json").exists().then(|| recorded(dir.path())).flatten(), errors)
    };
    assert_eq!(with("libtorch").0.as_deref(), Some("libtorch"));
    assert_eq!(with("auto").0.as_deref(), Some(gemm::name()));
    let (none, errors) = with("mkl");
    assert_eq!(none, None);
    assert!(errors.contains("refused: CATENA_GEMM: `mkl` is nobody who multiplies matrices"), "{errors}");
}
