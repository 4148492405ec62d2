use std::collections::BTreeMap;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::*;
use crate::watch::checkpoints::Checkpoint;
use crate::watch::watched_run::Part;

/// A run in the middle of its second stage.
fn state() -> WatchedRun {
    let loaders = json!([
        { "name": "train", "mode": "train", "batches": 20 },
        { "name": "valid", "mode": "eval", "batches": 5 },
    ]);
    let stage = |name: &str, epochs: u64| json!({ "name": name, "epochs": epochs, "loaders": loaders });
    let run = json!({ "stages": [stage("warm", 2), stage("main", 10)], "machine": { "device": "cuda:0" } });
    let mut state = WatchedRun { name: "runs/a".into(), changed: Some(NOW), ..WatchedRun::default() };
    state.plan = serde_json::from_value(
        json!({ "status": "running", "started": "1970-01-12T13:44:40.000Z", "run": run }),
    )
    .unwrap();
    state.holder = Holder::Process(Some(4321));
    let line = |part: &mut dyn FnMut(&[u8]), row: Value| part(row.to_string().as_bytes());
    for batch in 1..=150_u64 {
        let (stage, epoch) =
            if batch <= 40 { ("warm", batch.div_ceil(20)) } else { ("main", (batch - 40).div_ceil(20)) };
        let x = batch as f64;
        let loss = 2.0 * (-x / 40.0).exp() + 0.05 * (x * 1.7).sin().abs();
        let lr = 0.01 * (1.0 + (x / 240.0 * std::f64::consts::PI).cos()) / 2.0;
        let bits = format!("{:016x}", loss.to_bits());
        let row = json!({ "stage": stage, "epoch": epoch, "global_batch": batch, "global_step": batch, "lr": lr, "loss": bits });
        line(&mut |row| state.journal.line(row), row);
        if batch % 20 == 0 {
            for (loader, more) in [("train", 0.0), ("valid", 0.1)] {
                let metrics = json!({ "loss": loss + more, "accuracy@1": 1.0 - loss / 3.0 - more / 2.0 });
                let row = json!({ "stage": stage, "epoch": epoch, "loader": loader, "global_step": batch, "global_batch": batch, "metrics": metrics });
                line(&mut |row| state.metrics.line(row), row);
            }
        }
    }
    let row =
        json!({ "time": "1970-01-12T13:46:30Z", "throughput": { "samples": 12_345.0, "batches": 96.4 } });
    line(&mut |row| state.timing.line(row), row);
    for (name, age, loss) in [("000000000100-e", 60.0, 0.2), ("000000000120-e", 12.0, 0.25)] {
        let measured = BTreeMap::from([("valid/loss".to_owned(), loss)]);
        state.kept.insert(
            name,
            Checkpoint { time: Some(NOW - age), bytes: Some(1_234_567), measured, damage: None },
        );
    }
    state
}

const NOW: f64 = 1_000_000.0;

fn drawn(state: &WatchedRun, view: &View, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let draw = |frame: &mut ratatui::Frame<'_>| {
        let area = frame.area();
        picture(state, view, NOW, area, frame.buffer_mut());
    };
    terminal.draw(draw).unwrap();
    terminal.backend().to_string()
}

#[test]
fn a_picture_for_every_size() {
    for size in [(60, 16), (80, 24), (140, 40)] {
        insta::assert_snapshot!(
            format!("size_{}x{}", size.0, size.1),
            drawn(&state(), &View::default(), size)
        );
    }
}

#[test]
fn ascii_is_enough() {
    let view = View { ascii: true, log: true, ..View::default() };
    let text = drawn(&state(), &view, (80, 24));
    assert!(text.is_ascii());
    insta::assert_snapshot!("ascii", text);
}

#[test]
fn warnings_are_told_and_counted_when_there_is_no_room() {
    let mut state = state();
    state.holder = Holder::Nobody;
    state.changed = Some(NOW - 100.0);
    state.journal.line(
        br#"{"stage":"main","epoch":6,"global_batch":151,"global_step":151,"loss":"7ff8000000000000"}"#,
    );
    state.metrics.line(b"{");
    state.kept.corrupt = vec!["000000000110-e.corrupt".into()];
    state.kept.crashes = vec!["crash/20260102T030405.000Z".into()];
    insta::assert_snapshot!("warnings", drawn(&state, &View::default(), (80, 24)));
    insta::assert_snapshot!("warnings_small", drawn(&state, &View::default(), (60, 16)));
}

#[test]
fn a_run_that_was_stopped_says_by_whom_and_why() {
    let mut state = state();
    let plan = json!({
        "status": "stopped", "started": "1970-01-12T13:44:40.000Z", "ended": "1970-01-12T13:46:30.000Z",
        "stopped_by": { "callback": "EarlyStopping", "why": "valid/loss has not got better for 3 epochs" },
    });
    state.plan = serde_json::from_value(plan).unwrap();
    let text = drawn(&state, &View::default(), (80, 24));
    assert!(
        text.contains(" stopped by EarlyStopping: valid/loss has not got better for 3 epochs "),
        "{text}"
    );
    assert!(text.contains(" stopped \""), "the status stands in the corner: {text}");
    state.journal.line(
        br#"{"stage":"main","epoch":6,"global_batch":151,"global_step":151,"loss":"7ff8000000000000"}"#,
    );
    let text = drawn(&state, &View::default(), (80, 24));
    assert!(text.contains("by EarlyStopping") && text.contains("! loss was NaN at step 151"), "{text}");
}

#[test]
fn the_keys_are_explained_over_the_picture() {
    let view = View { help: true, paused: true, metric: 1, ..View::default() };
    insta::assert_snapshot!("help", drawn(&state(), &view, (80, 24)));
}

#[test]
fn a_run_that_has_written_nothing_is_drawn_too() {
    insta::assert_snapshot!("empty", drawn(&WatchedRun::default(), &View::default(), (60, 16)));
}

#[test]
fn every_size_is_drawn_or_refused_in_words() {
    let (state, mut refused) = (state(), 0);
    for (width, height) in (1..=200).step_by(7).flat_map(|w| (1..=60).step_by(3).map(move |h| (w, h))) {
        for metric in [0, 2, 99] {
            for help in [false, true] {
                let text = drawn(&state, &View { metric, help, ..View::default() }, (width, height));
                refused += usize::from(text.contains("terminal too small"));
            }
        }
    }
    assert!(refused > 0);
    assert!(drawn(&state, &View::default(), (59, 16)).contains("terminal too small"));
    assert!(drawn(&state, &View::default(), (60, 15)).contains("60x15, at least 60x16"));
}

#[test]
fn strange_numbers_and_names_are_drawn() {
    let mut state = state();
    for (step, value) in [(0, 1e308), (u64::MAX, -1e308), (7, 5e-324), (8, 0.0)] {
        let long = "длинное имя \u{1b}[2J".repeat(9);
        let metrics = json!({ "huge": value, long: 1.0, "": 2.0, "宽宽宽宽宽宽宽宽宽宽": 3.0 });
        let row = json!({ "stage": "?", "epoch": u64::MAX, "loader": "loader of a long name", "global_step": step, "global_batch": u64::MAX, "metrics": metrics });
        state.metrics.line(row.to_string().as_bytes());
    }
    assert_eq!(state.metrics.bad.lines, 0);
    for metric in 0..state.curves().len() {
        for log in [false, true] {
            for size in [(60, 16), (80, 24), (140, 40)] {
                let text = drawn(&state, &View { metric, log, ..View::default() }, size);
                assert!(!text.contains('\u{1b}'));
            }
        }
    }
}

#[test]
fn only_the_sixteen_colours_are_used() {
    let (mut terminal, state) = (Terminal::new(TestBackend::new(140, 40)).unwrap(), state());
    for plain in [false, true] {
        let view = View { plain, ..View::default() };
        terminal.draw(|frame| picture(&state, &view, NOW, frame.area(), frame.buffer_mut())).unwrap();
        let cells = &terminal.backend().buffer().content;
        let is_rgb = |colour: Color| matches!(colour, Color::Rgb(..) | Color::Indexed(_));
        assert!(cells.iter().all(|cell| !is_rgb(cell.fg) && !is_rgb(cell.bg)));
        assert_eq!(cells.iter().all(|cell| cell.fg == Color::Reset), plain);
    }
}
