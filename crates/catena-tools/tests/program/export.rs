//! `ckpt export`.
use std::fs;
use std::process::Command;

use serde_json::json;

use crate::place::{Place, save};

#[test]
fn the_model_is_written_as_it_is_and_nothing_is_overwritten() {
    let place = Place::new();
    place.run("run");
    let model =
        |name: &str| fs::read(place.path(&format!("run/checkpoints/{name}/model.safetensors"))).unwrap();
    let output = place.catena("ckpt export run -o model.safetensors");
    assert_eq!((output.status, output.err.as_str()), (0, ""));
    insta::assert_snapshot!("export", output.out);
    assert_eq!(fs::read(place.path("model.safetensors")).unwrap(), model("000000000030-e"));

    let output = place.catena("ckpt export run 10 -o model.safetensors");
    assert_eq!(output.status, 2);
    assert_eq!(output.err, "error: model.safetensors is there already; --force replaces it\n");
    assert_eq!(fs::read(place.path("model.safetensors")).unwrap(), model("000000000030-e"));

    let (status, json) = place.json("ckpt export run 10 -o model.safetensors --force");
    assert_eq!((status, &json["tensors"]), (0, &json!(2)));
    assert_eq!(fs::read(place.path("model.safetensors")).unwrap(), model("000000000010-e"));
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn a_damaged_model_is_not_exported() {
    let place = Place::new();
    place.run("run");
    place.flip("run/checkpoints/000000000030-e/model.safetensors");
    let output = place.catena("ckpt export run -o model.safetensors");
    assert_eq!(output.status, 1);
    assert!(!place.path("model.safetensors").exists());
}

#[test]
fn an_export_never_damages_a_checkpoint() {
    let place = Place::new();
    place.run("run");
    let before = place.content("run");
    for name in ["mine.safetensors", "model.safetensors"] {
        let args = format!("ckpt export run 10 --force -o run/checkpoints/000000000020-e/{name}");
        let output = place.catena(&args);
        assert_eq!(output.status, 2);
        assert!(output.err.contains("would lie in a checkpoint's folder"), "{}", output.err);
    }
    assert_eq!(place.content("run"), before);
}

#[test]
fn what_can_not_be_written_is_said_and_leaves_nothing() {
    let place = Place::new();
    place.run("run");
    save(&mut place.store("bare"), "000000000001-b", &[], vec![]);
    fs::create_dir(place.path("folder")).unwrap();
    for (args, expected) in [
        ("ckpt export run -o nowhere/model.safetensors", "error: can't write nowhere/model.safetensors: "),
        ("ckpt export run --force -o folder", "error: can't write folder: "),
        ("ckpt export bare -o x", "error: bare/checkpoints/000000000001-b has no model.safetensors\n"),
    ] {
        let output = place.catena(args);
        assert_eq!(output.status, 2);
        assert!(output.err.starts_with(expected), "{}", output.err);
    }
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 3);
}

#[test]
fn a_write_that_fails_midway_leaves_what_was_there() {
    let place = Place::new();
    place.run("run");
    fs::write(place.path("old"), "old").unwrap();
    for args in ["-o new", "-o old --force"] {
        // no file may get any bytes, and the signal that tells so is ignored: the write fails
        let program = env!("CARGO_BIN_EXE_catena");
        let script = format!("trap '' XFSZ; ulimit -f 0; exec '{program}' ckpt export run {args}");
        let output = place.output(Command::new("sh").args(["-c", &script]));
        assert_eq!(output.status, 2);
        assert!(output.err.starts_with("error: can't write "), "{output:?}");
    }
    assert_eq!(fs::read_to_string(place.path("old")).unwrap(), "old");
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 2, "the run and the old file");
}

#[test]
fn an_average_is_written_under_the_models_names() {
    let place = Place::new();
    let bytes = |x: f32| x.to_le_bytes().to_vec();
    let tensors = vec![
        ("model.safetensors", "fc.weight", "F32", vec![1], bytes(1.0)),
        ("callbacks.safetensors", "0/Swa/fc.weight", "F32", vec![1], bytes(3.0)),
        ("callbacks.safetensors", "Ema/fc.bias", "F32", vec![1], bytes(4.0)),
        ("callbacks.safetensors", "Ema/fc.weight", "F32", vec![1], bytes(2.0)),
    ];
    save(&mut place.store("run"), "000000000010-e", &[], tensors);
    for (args, expected) in [
        ("ckpt export run --average Ema -o ema", vec![("fc.bias", 4.0f32), ("fc.weight", 2.0)]),
        ("ckpt export run --average Swa -o swa", vec![("fc.weight", 3.0)]),
        ("ckpt export run -o model", vec![("fc.weight", 1.0)]),
    ] {
        let output = place.catena(args);
        assert_eq!((output.status, output.err.as_str()), (0, ""), "{args}");
        let file = fs::read(place.path(args.rsplit(' ').next().unwrap())).unwrap();
        let read = catena_record::tensors::parse(&file).unwrap();
        let number = |at: std::ops::Range<usize>| f32::from_le_bytes(file[at].try_into().unwrap());
        let read: Vec<(&str, f32)> =
            read.iter().map(|e| (e.name.as_str(), number(e.bytes.clone()))).collect();
        assert_eq!(read, expected);
    }
    let output = place.catena("ckpt export run --average Emma -o x");
    assert_eq!(output.status, 2);
    assert!(output.err.ends_with("has no average of `Emma`\n"), "{}", output.err);
}
