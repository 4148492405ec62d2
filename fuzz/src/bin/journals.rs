//! Two journals that are compared.
#![no_main]
use catena_fuzz::{files, folder};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let files = files(data);
    let [a, b] = ["a", "b"].map(|name| {
        let folder = folder(name);
        if let Some((_, content)) = files.iter().find(|(file, _)| file == name) {
            std::fs::write(folder.join("journal.jsonl"), content).expect("space in memory");
        }
        folder
    });
    let args = ["catena", "run", "diff"].map(std::ffi::OsString::from);
    for json in [false, true] {
        let more = [a.clone().into_os_string(), b.clone().into_os_string()];
        let flag = json.then(|| "--json".into());
        let answer = catena_tools::answer(args.iter().cloned().chain(more).chain(flag));
        assert!(answer.status <= 2);
    }
});
