//! A table of contents, its own hash made right.
#![no_main]
use catena_fuzz::{SNAPSHOT, disk, rehash};
use std::path::Path;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = rehash(data);
    let files: &[(&str, &[u8])] = &[("manifest.json", &text), ("state.json", b"{}")];
    let disk = disk(files);
    let _read = catena_record::read_manifest(&disk, Path::new(SNAPSHOT));
    let _read = catena_record::load(&disk, Path::new(SNAPSHOT));
});
