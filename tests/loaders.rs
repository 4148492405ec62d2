//! What the runner tells a loader: where it starts and ends, its number, its place in a stream, and that it is left.
use std::path::Path;
use std::sync::{Arc, Mutex};

use catena::chain::testing::{tiny_batch, tiny_loader, tiny_model};
use catena::chain::{BoxError, Every};
use catena::prelude::*;
use catena::tensor::batch::Batch;
use catena::tensor::data::{Position, Start};
use catena::tensor::rng::Exclusive;

type Told = Arc<Mutex<Vec<String>>>;

/// A stream of `4 + epoch` batches, which finds its place by its position alone, and tells what it hears.
struct Stream {
    name: &'static str,
    told: Told,
    row: u64,
    left: u64,
    fails_at: Option<u64>,
}

impl Stream {
    fn new(name: &'static str, told: &Told) -> Self {
        Self { name, told: told.clone(), row: 0, left: 0, fails_at: None }
    }

    fn tell(&self, what: String) {
        self.told.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl Loader for Stream {
    fn batches(&self) -> Option<u64> {
        None
    }
    fn batches_of(&self, start: &Start) -> Option<u64> {
        Some(4 + start.epoch)
    }
    fn start(&mut self, start: Start) -> catena::Result<(), BoxError> {
        self.row = match start.position {
            None if start.batch > 0 => return Err("it has lost its place".into()),
            None => 100 * start.epoch,
            Some(position) => position.number("row")?,
        };
        self.left = 4 + start.epoch - start.batch;
        let until = start.until.map_or(String::new(), |until| format!(" until {until}"));
        self.tell(format!("{} starts {}:{}{until}", start.loader, start.epoch, start.batch));
        Ok(())
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>, BoxError> {
        if self.left == 0 {
            return Ok(None);
        }
        if Some(self.row) == self.fails_at {
            return Err("no more".into());
        }
        (self.left, self.row) = (self.left - 1, self.row + 3);
        Ok(Some(tiny_batch(2).ids(vec![self.row, self.row + 1])))
    }
    fn position(&self) -> Option<Position> {
        Position::new().with("row", self.row).ok()
    }
    fn leave(&mut self) {
        self.tell("is left".into());
    }
}

struct Seen {
    ids: Vec<u64>,
    known_ends: usize,
    error: Option<String>,
}

fn go(train: impl Loader + 'static, dir: &Path, stop_after: Option<u64>) -> Seen {
    let seen = Arc::new(Mutex::new((Vec::new(), 0)));
    let note = seen.clone();
    let note = on(Event::BatchEnd, move |cx| {
        let mut seen = note.lock().unwrap();
        seen.0.push(cx.batch.ids[0]);
        seen.1 += usize::from(cx.is_last_batch());
        if stop_after.is_some_and(|n| cx.global_batch() % n == 0) {
            cx.interrupt("test");
        }
        Ok(Flow::GO)
    });
    let stage = Stage::new("s").epochs(3).train(train).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    let builder = Runner::builder(tiny_model()).stage(stage).run_dir(dir);
    let builder = builder.callback(Checkpoint::new().every(Every::Epochs(1))).callback(note.named("note"));
    let error = builder.build().unwrap().resume(Resume::LatestIfAny).err().map(|error| error.to_string());
    let seen = seen.lock().unwrap();
    Seen { ids: seen.0.clone(), known_ends: seen.1, error }
}

#[test]
fn a_stream_goes_on_by_its_position_twice_in_an_epoch_and_its_epochs_have_their_own_lengths() {
    let _exclusive = Exclusive::wait();
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let told = Told::default();
    let unbroken = go(Stream::new("train", &told), whole.path(), None);
    assert_eq!((unbroken.ids.len(), unbroken.known_ends, unbroken.error), (5 + 6 + 7, 3, None));
    let mut ids = Vec::new();
    while ids.len() < unbroken.ids.len() {
        let went = go(Stream::new("train", &told), parts.path(), Some(2));
        assert_eq!(went.error, None);
        ids.extend(went.ids);
    }
    assert_eq!(ids, unbroken.ids);
    let (snapshots, mut with_position) = (std::fs::read_dir(parts.path().join("checkpoints")).unwrap(), 0);
    for snapshot in snapshots {
        let snapshot = snapshot.unwrap();
        let state = std::fs::read_to_string(snapshot.path().join("state.json")).unwrap();
        let is_inside = snapshot.file_name().to_string_lossy().ends_with("-b");
        assert_eq!(state.contains(r#""position""#), is_inside, "{state}");
        with_position += usize::from(is_inside);
    }
    assert!(with_position > 0);
}

#[test]
fn loaders_are_numbered_trains_first_and_left_at_a_stop_a_limit_an_error_and_the_end_of_their_stage() {
    let _exclusive = Exclusive::wait();
    let told = Told::default();
    let fails = |at| Stream { fails_at: at, ..Stream::new("b", &told) };
    let run = |b: Stream, stop: bool, check: bool| {
        told.lock().unwrap().clear();
        let stage = Stage::new("s").epochs(1).loader("v", Mode::Eval, Stream::new("v", &told));
        let stage = stage.loader("a", Mode::Train, Stream::new("a", &told).limit(2));
        let stage = stage.loader("b", Mode::Train, b).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
        let other = Stage::new("t").epochs(1).train(tiny_loader(4, 2)).loss(CrossEntropy::new());
        let other = other.optimizer(Sgd::new(0.1));
        let stop = on(Event::BatchEnd, move |cx| {
            Ok(if stop && cx.loader() == "b" { Flow::STOP_LOADER } else { Flow::GO })
        });
        let began = told.clone();
        let began = on(Event::StageStart, move |cx| {
            began.lock().unwrap().push(format!("stage {}", cx.stage()));
            Ok(Flow::GO)
        });
        let builder = Runner::builder(tiny_model()).stage(stage).stage(other);
        let mut runner = builder.callback(stop.named("stop")).callback(began.named("began")).build().unwrap();
        let error = if check { runner.check(1).err() } else { runner.run().err() };
        (told.lock().unwrap().join("; "), error.is_some())
    };
    let starts = "stage s; v 2 starts 1:0; a 0 starts 1:0 until 2; b 1 starts 1:0";
    let left = "v is left; a is left; b is left";
    assert_eq!(run(fails(None), false, false), (format!("{starts}; {left}; stage t"), false));
    assert_eq!(
        run(fails(None), true, false),
        (format!("{starts}; b is left; v is left; a is left; stage t"), false)
    );
    assert_eq!(run(fails(Some(103)), false, false), (format!("{starts}; {left}"), true));
    let limited = "stage s; v 2 starts 1:0 until 1; a 0 starts 1:0 until 1; b 1 starts 1:0 until 1";
    assert_eq!(run(fails(None), false, true), (format!("{limited}; {left}; stage t"), false));
}
