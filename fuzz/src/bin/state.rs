//! `state.json` as a run reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(state) = serde_json::from_slice(data) {
        let _read = catena::read_state(&state);
    }
});
