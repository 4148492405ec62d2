//! The page of a run directory whose files have any content.
#![no_main]
use catena_fuzz::{files, run_directory};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let run = run_directory("report", &files(data));
    if let Some(page) = catena_tools::fuzzing::page(&run) {
        // whatever stands in names, none of it is markup
        assert!(!page.contains("<script>alert"), "{page}");
    }
});
