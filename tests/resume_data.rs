//! Data that differs at a resume: it is refused by the setting that differs, or it is what the run goes on with.
#[path = "common/warnings.rs"]
mod warnings;

use std::path::Path;
use std::sync::{Arc, Mutex};

use catena::chain::Every;
use catena::chain::testing::tiny_model;
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor};
use catena::tensor::batch::Batch;
use catena::tensor::data::{LoaderDescription, Start};
use catena::tensor::rng::Exclusive;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::warnings::warnings;

/// A loader's settings.
#[derive(Clone, Debug, PartialEq)]
struct Data {
    rows: i64,
    batch_size: u64,
    shuffle: bool,
    drop_last: bool,
    limit: Option<u64>,
    /// What is added to the inputs, if there is a fingerprint of them.
    shift: Option<i64>,
}

const NINE: Data = Data { rows: 9, batch_size: 3, shuffle: true, drop_last: false, limit: None, shift: None };

impl Data {
    fn loader(&self) -> Box<dyn Loader> {
        let x = Tensor::ones([self.rows, 4], (Kind::Float, Device::Cpu)) + self.shift.unwrap_or(0);
        let y = Tensor::zeros([self.rows], (Kind::Int64, Device::Cpu));
        let loader = TensorLoader::new(&x, &y, self.batch_size).unwrap();
        let loader = loader.shuffle(self.shuffle).drop_last(self.drop_last);
        let loader = if self.shift.is_some() { loader.fingerprint().unwrap() } else { loader };
        match self.limit {
            Some(limit) => Box::new(loader.limit(limit)),
            None => Box::new(loader),
        }
    }

    /// The samples of each batch of an epoch.
    fn epoch(&self, epoch: u64) -> Vec<Vec<u64>> {
        let mut loader = self.loader();
        loader.start(Start { epoch, ..Start::default() }).unwrap();
        std::iter::from_fn(|| loader.next_batch().unwrap().map(|batch| batch.ids)).collect()
    }
}

/// What came of a run: its train batches, or why there was none.
struct Went {
    ids: Vec<Vec<u64>>,
    error: Option<String>,
}

struct Run {
    train: Box<dyn Loader>,
    valid: Box<dyn Loader>,
    leave_at: Option<Event>,
    allowed: &'static [&'static str],
    epochs: u64,
}

impl Run {
    fn of(train: Box<dyn Loader>) -> Self {
        Self { train, valid: NINE.loader(), leave_at: None, allowed: &[], epochs: 2 }
    }

    fn go(self, dir: &Path, from: Resume) -> Went {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let ids = Arc::clone(&seen);
        let note = on(Event::BatchEnd, move |cx| {
            if cx.is_train() {
                ids.lock().unwrap().push(cx.batch.ids.clone());
            }
            Ok(Flow::GO)
        });
        let leave = self.leave_at;
        let stop = |event: Event| {
            on(event, move |cx| {
                if leave == Some(event) && (event != Event::BatchEnd || cx.is_train()) {
                    cx.interrupt("test");
                }
                Ok(Flow::GO)
            })
        };
        let stage = Stage::new("s").epochs(self.epochs).train(self.train).valid(self.valid);
        let stage = stage.loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
        let checkpoint = Checkpoint::new().every(Every::Batches(1)).every(Every::Epochs(1)).keep_every(1);
        let builder = Runner::builder(tiny_model()).stage(stage).run_dir(dir).callback(checkpoint);
        let builder = builder.callback(note.in_phase(Phase::Report).named("note"));
        let builder = builder.callback(stop(Event::BatchEnd).named("batches"));
        let mut builder = builder.callback(stop(Event::EpochEnd).named("epochs"));
        for name in self.allowed {
            builder = builder.allow(*name);
        }
        let error = builder.build().unwrap().resume(from).err().map(|error| error.to_string());
        let ids = std::mem::take(&mut *seen.lock().unwrap());
        Went { ids, error }
    }
}

/// A run that is left after a batch, or at the end of an epoch.
fn left(dir: &Path, data: &Data, at: Event) {
    let went = Run { leave_at: Some(at), ..Run::of(data.loader()) }.go(dir, Resume::LatestIfAny);
    assert_eq!(went.error, None);
    assert!(!went.ids.is_empty());
}

fn resumed(dir: &Path, data: &Data, allowed: &'static [&'static str]) -> Went {
    Run { allowed, ..Run::of(data.loader()) }.go(dir, Resume::Latest)
}

const AT_END: &str = "at an epoch's end";

#[test]
fn inside_an_epoch_other_batches_are_refused_whatever_is_allowed() {
    let _exclusive = Exclusive::wait();
    for (other, expected) in [
        (Data { batch_size: 4, ..NINE }, "batch_size of loader `train` of stage `s`: 3 before, 4 now"),
        (Data { rows: 8, ..NINE }, "rows of loader `train` of stage `s`: 9 before, 8 now"),
        (Data { shuffle: false, ..NINE }, "shuffle of loader `train` of stage `s`: true before, false now"),
        (
            Data { drop_last: true, ..NINE },
            "drop_last of loader `train` of stage `s`: false before, true now",
        ),
        (Data { limit: Some(2), ..NINE }, "limit of loader `train` of stage `s`: none before, 2 now"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        left(dir.path(), &NINE, Event::BatchEnd);
        let all: [&'static [&'static str]; 2] = [&[], &["data", "loaders", "batch_size", ""]];
        for allowed in all {
            let went = resumed(dir.path(), &other, allowed);
            let error = went.error.unwrap();
            assert!(
                error.contains(expected) && error.contains(AT_END) && error.contains("`InitFrom`"),
                "{error}"
            );
            assert!(!error.contains("(`") && !error.contains("allow"), "no name is offered: {error}");
            assert_eq!(went.ids, Vec::<Vec<u64>>::new());
        }
        // as it was, it goes on where it was
        assert_eq!(resumed(dir.path(), &NINE, &[]).ids, [&NINE.epoch(1)[1..], &NINE.epoch(2)].concat());
    }
}

#[test]
fn the_refusal_names_the_snapshot_that_can_be_gone_on_from() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    left(dir.path(), &NINE, Event::EpochEnd);
    let stop = Run { leave_at: Some(Event::BatchEnd), ..Run::of(NINE.loader()) };
    assert_eq!(stop.go(dir.path(), Resume::Latest).error, None);
    let other = Data { batch_size: 5, ..NINE };
    let error = resumed(dir.path(), &other, &["data"]).error.unwrap();
    let path = dir.path().join("checkpoints/000000000003-e");
    assert!(error.contains(&format!("`Resume::Path({path:?})`")), "{error}");
    let run = Run { allowed: &["data"], ..Run::of(other.loader()) };
    let went = run.go(dir.path(), Resume::Path(path));
    assert_eq!((went.error, went.ids), (None, other.epoch(2)));
}

#[test]
fn between_epochs_other_data_is_refused_by_name_and_applied_when_allowed() {
    let _exclusive = Exclusive::wait();
    for (other, expected) in [
        (
            Data { batch_size: 4, ..NINE },
            "batch_size of loader `train` of stage `s`: 3 before, 4 now (`data`)",
        ),
        (Data { rows: 10, ..NINE }, "rows of loader `train` of stage `s`: 9 before, 10 now (`data`)"),
        (
            Data { shuffle: false, ..NINE },
            "shuffle of loader `train` of stage `s`: true before, false now (`data`)",
        ),
        (
            Data { drop_last: true, ..NINE },
            "drop_last of loader `train` of stage `s`: false before, true now (`data`)",
        ),
        (
            Data { limit: Some(2), ..NINE },
            "limit of loader `train` of stage `s`: none before, 2 now (`data`)",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        left(dir.path(), &NINE, Event::EpochEnd);
        let error = resumed(dir.path(), &other, &[]).error.unwrap();
        assert!(error.contains(expected), "{error}");
        let went = resumed(dir.path(), &other, &["data"]);
        assert_eq!((went.error, went.ids), (None, other.epoch(2)), "{expected}");
    }
}

#[test]
fn content_with_a_fingerprint_is_told_apart_and_can_be_allowed_anywhere() {
    let _exclusive = Exclusive::wait();
    let (before, other) = (Data { shift: Some(0), ..NINE }, Data { shift: Some(1), ..NINE });
    for at in [Event::BatchEnd, Event::EpochEnd] {
        let dir = tempfile::tempdir().unwrap();
        left(dir.path(), &before, at);
        let error = resumed(dir.path(), &other, &[]).error.unwrap();
        assert!(error.contains("fingerprint of loader `train` of stage `s`: \""), "{error}");
        assert!(error.contains("now (`data`)"), "{error}");
        // the same content, however it came to be: with and without a fingerprint
        assert_eq!(resumed(dir.path(), &NINE, &[]).error, None);
    }
    let dir = tempfile::tempdir().unwrap();
    left(dir.path(), &before, Event::BatchEnd);
    let went = resumed(dir.path(), &other, &["data"]);
    assert_eq!((went.error, went.ids), (None, [&NINE.epoch(1)[1..], &NINE.epoch(2)].concat()));
}

/// Rows of the user's own.
struct Own(Box<dyn Loader>);

impl Loader for Own {
    fn batches(&self) -> Option<u64> {
        self.0.batches()
    }
    fn start(&mut self, start: Start) -> catena::Result<()> {
        self.0.start(start)
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        self.0.next_batch()
    }
}

/// One that tells a setting.
struct Augmented(Box<dyn Loader>, f64);

impl Loader for Augmented {
    fn batches(&self) -> Option<u64> {
        self.0.batches()
    }
    fn start(&mut self, start: Start) -> catena::Result<()> {
        self.0.start(start)
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        self.0.next_batch()
    }
    fn describe(&self) -> LoaderDescription {
        self.0.describe().set("noise", self.1)
    }
}

#[test]
fn a_loader_of_the_users_own_is_told_apart_by_its_type_its_batches_and_what_it_says() {
    let _exclusive = Exclusive::wait();
    let own = |data: &Data| Run::of(Box::new(Own(data.loader())));
    for (at, name) in [(Event::BatchEnd, ""), (Event::EpochEnd, " (`data`)")] {
        let dir = tempfile::tempdir().unwrap();
        left(dir.path(), &NINE, at);
        let error = own(&NINE).go(dir.path(), Resume::Latest).error.unwrap();
        let expected = format!("the type of loader `train` of stage `s`: TensorLoader before, Own now{name}");
        assert!(error.contains(&expected) && error.contains("allow") != name.is_empty(), "{error}");

        let dir = tempfile::tempdir().unwrap();
        Run { leave_at: Some(at), ..own(&NINE) }.go(dir.path(), Resume::LatestIfAny);
        let error = own(&Data { rows: 10, ..NINE }).go(dir.path(), Resume::Latest).error.unwrap();
        assert!(
            error.contains(&format!("batches of loader `train` of stage `s`: 3 before, 4 now{name}")),
            "{error}"
        );
        assert_eq!(own(&NINE).go(dir.path(), Resume::Latest).error, None);
    }
    let augmented = |noise| Run::of(Box::new(Augmented(NINE.loader(), noise)));
    let dir = tempfile::tempdir().unwrap();
    Run { leave_at: Some(Event::BatchEnd), ..augmented(0.5) }.go(dir.path(), Resume::LatestIfAny);
    let error = augmented(f64::INFINITY).go(dir.path(), Resume::Latest).error.unwrap();
    assert!(
        error.contains("noise of loader `train` of stage `s`: 0.5 before, \"inf\" now (`data`)"),
        "{error}"
    );
}

#[test]
fn data_that_trains_nothing_is_told_and_not_refused() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    left(dir.path(), &NINE, Event::BatchEnd);
    let valid = Data { rows: 20, batch_size: 7, shuffle: false, ..NINE }.loader();
    assert_eq!(Run { valid, ..Run::of(NINE.loader()) }.go(dir.path(), Resume::Latest).error, None);
}

/// Takes out what loaders say of themselves, as it was before they did. Hashes are made to fit.
fn without_descriptions(snapshot: &Path) {
    let hex = |bytes: &[u8]| -> String { Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect() };
    let at = snapshot.join("state.json");
    let old = std::fs::read(&at).unwrap();
    let mut state: serde_json::Value = serde_json::from_slice(&old).unwrap();
    for loader in state["run"]["stages"][0]["loaders"].as_array_mut().unwrap() {
        assert!(loader.as_object_mut().unwrap().remove("data").is_some());
    }
    let new = serde_json::to_vec(&state).unwrap();
    std::fs::write(&at, &new).unwrap();
    let at = snapshot.join("manifest.json");
    let manifest = std::fs::read_to_string(&at).unwrap();
    let manifest = manifest.replace(&hex(&old), &hex(&new));
    let manifest =
        manifest.replace(&format!("\"size\": {},", old.len()), &format!("\"size\": {},", new.len()));
    // the manifest's own hash stands at its end, and is over the file with zeros in its place
    let end = manifest.len() - "\"\n}\n".len();
    let (head, tail) = (&manifest[..end - 64], &manifest[end..]);
    let own = hex(format!("{head}{}{tail}", "0".repeat(64)).as_bytes());
    std::fs::write(&at, format!("{head}{own}{tail}")).unwrap();
}

#[test]
fn a_snapshot_whose_loaders_say_nothing_is_gone_on_from_with_a_warning() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    left(dir.path(), &NINE, Event::BatchEnd);
    without_descriptions(&dir.path().join("checkpoints/000000000001-b"));
    let error = resumed(dir.path(), &Data { batch_size: 2, ..NINE }, &[]).error.unwrap();
    assert!(
        error.contains("batches of loader `train` of stage `s`: 3 before, 5 now. The snapshot"),
        "{error}"
    );
    let warnings = warnings(|| {
        let went = resumed(dir.path(), &Data { batch_size: 4, ..NINE }, &[]);
        assert_eq!((went.error, went.ids.len()), (None, 5));
    })
    .join("\n");
    assert!(
        warnings.contains("loader `train` of stage `s`: the snapshot does not say what it gave"),
        "{warnings}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever differs is refused; at an epoch's end it can be allowed, and is what the run goes on with then.
    #[test]
    fn data_that_differs_is_refused_or_applied(
        before in data(),
        now in data(),
        at in prop::sample::select(vec![Event::BatchEnd, Event::EpochEnd]),
    ) {
        let _exclusive = Exclusive::wait();
        let dir = tempfile::tempdir().unwrap();
        left(dir.path(), &before, at);
        // the last batch of an epoch is not inside it for long: the snapshot after it is
        let differs = tells(&before) != tells(&now);
        let went = resumed(dir.path(), &now, &[]);
        if !differs {
            prop_assert_eq!(went.error, None);
        } else {
            let error = went.error.unwrap();
            prop_assert!(went.ids.is_empty());
            let went = resumed(dir.path(), &now, &["data"]);
            if at == Event::EpochEnd {
                prop_assert!(error.contains("(`data`)"), "{}", error);
                prop_assert_eq!(went.error, None);
                prop_assert_eq!(went.ids, now.epoch(2));
            } else {
                prop_assert!(!error.contains("(`"), "{}", error);
                prop_assert!(went.error.is_some() && went.ids.is_empty());
            }
        }
    }
}

/// What of the settings can be told: a limit that leaves nothing out is none.
fn tells(data: &Data) -> Data {
    let batches = if data.drop_last {
        data.rows as u64 / data.batch_size
    } else {
        (data.rows as u64).div_ceil(data.batch_size)
    };
    Data { limit: data.limit.filter(|limit| *limit < batches), ..data.clone() }
}

fn data() -> impl Strategy<Value = Data> {
    (7i64..11, 3u64..5, any::<bool>(), any::<bool>(), prop::option::of(1u64..4)).prop_map(
        |(rows, batch_size, shuffle, drop_last, limit)| Data {
            rows,
            batch_size,
            shuffle,
            drop_last,
            limit,
            shift: None,
        },
    )
}
