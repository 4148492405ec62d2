//! A safetensors file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(entries) = catena_record::tensors::parse(data) {
        for entry in entries {
            assert!(entry.bytes.start <= entry.bytes.end && entry.bytes.end <= data.len(), "{entry:?}");
        }
    }
});
