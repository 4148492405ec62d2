//! A state and a tensor file in a snapshot whose sizes and hashes are right; a state that is read becomes one of a run.
#![no_main]
use catena_fuzz::{SNAPSHOT, disk, manifest};
use std::path::Path;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((n, rest)) = data.split_first_chunk::<2>() else { return };
    let (state, tensors) = rest.split_at(usize::from(u16::from_le_bytes(*n)).min(rest.len()));
    let mut files: Vec<(&str, &[u8])> = vec![("model.safetensors", tensors), ("state.json", state)];
    let manifest = manifest(&files);
    files.push(("manifest.json", &manifest));
    if let Ok(loaded) = catena_record::load(&disk(&files), Path::new(SNAPSHOT)) {
        let tensors: usize =
            loaded.files.values().flat_map(|file| &file.tensors).map(|entry| entry.bytes.len()).sum();
        assert!(tensors <= rest.len(), "no tensor has bytes that the file has not");
    }
});
