//! Frequencies and names that stand in data, callbacks and optimizers as data, answers of servers, and what is left of them in a run directory.
#![no_main]
use catena_fuzz::folder;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((status, text)) = data.split_first_chunk::<2>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(every) = text.parse::<catena::chain::Every>() {
        assert_eq!(every.to_string().parse::<catena::chain::Every>().ok(), Some(every));
    }
    if let Ok(name) = text.parse::<catena_record::SnapshotName>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        let _made = catena::tensor::optim::OptimizerConfig::from_value(value.clone());
        let _made = catena::tensor::schedule::AnySchedule::from_value(value);
    }
    catena::callbacks::fuzzing::answer(u16::from_le_bytes(*status), text);
    let folder = folder("names");
    for name in ["mlflow.json", "mlflow.backlog.jsonl"] {
        std::fs::write(folder.join(name), text).expect("space in memory");
    }
    catena::callbacks::fuzzing::files(&folder);
});
