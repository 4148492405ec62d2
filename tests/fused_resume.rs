//! A run that was made with fused nodes is not gone on without them, unless that is allowed by name. The switch is the process's, so this file has one test.
#[path = "common/interrupted.rs"]
mod interrupted;

use catena::prelude::*;
use catena::tensor::fusing;

use self::interrupted::builder;

#[test]
fn whether_layers_are_fused_is_recorded_and_a_resume_with_another_answer_is_refused_by_name() {
    let whole = tempfile::tempdir().unwrap();
    let expected = builder(whole.path(), None).build().unwrap().run().unwrap().metrics;
    let dir = tempfile::tempdir().unwrap();
    assert!(fusing::is_on());
    builder(dir.path(), Some(2)).build().unwrap().run().unwrap();
    fusing::set(false);
    let error = builder(dir.path(), None).build().unwrap().resume(Resume::Latest).unwrap_err().to_string();
    let told = "whether layers and losses are fused: true before, false now (`fused`)";
    assert!(error.contains(told), "{error}");
    let report = builder(dir.path(), None).allow("fused").build().unwrap().resume(Resume::Latest).unwrap();
    fusing::set(true);
    // the numbers have the same bits either way
    assert_eq!((report.resumed_from, report.metrics), (Some(2), expected));
}
