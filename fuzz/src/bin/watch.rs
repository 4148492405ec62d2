//! One picture of a run directory whose files have any content, and its list of checkpoints.
#![no_main]
use catena_fuzz::{files, run_directory};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let run = run_directory("watch", &files(data));
    let args = |command: &[&str]| {
        let mut args: Vec<std::ffi::OsString> = vec!["catena".into()];
        args.extend(
            command
                .iter()
                .map(|arg| if *arg == "RUN" { run.clone().into_os_string() } else { (*arg).into() }),
        );
        args
    };
    for command in [
        &["watch", "RUN", "--once"][..],
        &["watch", "RUN", "--once", "--json"],
        &["ckpt", "list", "RUN"],
        &["ckpt", "verify", "RUN"],
        &["ckpt", "show", "RUN"],
    ] {
        let answer = catena_tools::answer(args(command));
        let printed = answer.output + &answer.error;
        assert!(printed.chars().all(|c| c == '\n' || !c.is_control()), "{printed:?}");
    }
});
