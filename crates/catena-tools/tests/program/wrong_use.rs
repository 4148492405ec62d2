//! What can't be done is said in a sentence, with exit status 2.
use crate::place::Place;

#[test]
fn wrong_use_is_a_sentence_and_exit_status_2() {
    let place = Place::new();
    place.run("run");
    std::fs::create_dir(place.path("empty")).unwrap();
    let mut all = String::new();
    for args in [
        "ckpt list nowhere",
        "ckpt list empty",
        "ckpt verify run/checkpoints/000000000010-e",
        "ckpt show run 11",
        "ckpt show empty",
        "ckpt diff run/checkpoints/000000000010-e nowhere",
        "ckpt diff run 10 best",
        "ckpt diff run 10",
        "ckpt show run empty",
        "ckpt prune nowhere --keep-last 1",
        "ckpt prune empty --keep-last 1",
        "ckpt export run 99 -o x",
        "run diff nowhere run",
        "run diff empty empty",
        "watch nowhere --once",
        "watch empty --once",
        "watch run/checkpoints/000000000010-e --once",
        "watch run --once --metric auc",
    ] {
        let output = place.catena(args);
        assert_eq!((output.status, output.out.as_str()), (2, ""), "{args}");
        all += &format!("$ catena {args}\n{}\n", output.err);
        let (status, json) = place.json(args);
        assert_eq!(status, 2);
        assert_eq!(format!("error: {}\n", json["error"].as_str().unwrap()), output.err);
    }
    insta::assert_snapshot!("wrong_use", all);
    assert!(!place.path("nowhere").exists());
    assert_eq!(std::fs::read_dir(place.path("empty")).unwrap().count(), 0);
}

#[test]
fn wrong_arguments_are_refused() {
    let place = Place::new();
    place.run("run");
    for args in [
        "",
        "ckpt",
        "ckpt list",
        "ckpt list run --verfiy",
        "ckpt diff run",
        "ckpt diff run 10 20 30",
        "ckpt export run",
        "ckpt prune run",
        "ckpt prune run --keep-last 0",
        "ckpt prune run --keep-last 1 --keep-every 0",
        "ckpt prune run --keep-last 1 --keep-best 1",
        "ckpt prune run --keep-last 1 --keep-best 1 --metric valid/loss",
        "ckpt prune run --keep-last 1 --metric valid/loss --mode min",
        "ckpt prune run --keep-last 1 --keep-best 1 --metric valid/loss --mode lowest",
        "run diff run",
        "watch",
        "watch run --size 80x24",
        "watch run --once --size 80",
        "watch run --once --size 0x9",
    ] {
        let output = place.catena(args);
        assert_eq!((output.status, output.out.as_str()), (2, ""), "{args}");
        assert!(output.err.contains("--help"), "{args}: {}", output.err);
    }
    assert_eq!(std::fs::read_dir(place.path("run/checkpoints")).unwrap().count(), 3);
}

#[test]
fn the_help_names_every_command() {
    let place = Place::new();
    let texts =
        ["--help", "ckpt --help", "ckpt diff --help", "ckpt prune --help", "report --help", "watch --help"]
            .map(|args| {
                let output = place.catena(args);
                assert_eq!(output.status, 0);
                format!("$ catena {args}\n{}\n", output.out)
            });
    insta::assert_snapshot!("help", texts.concat());
}
