//! A resume that differs: it is refused without a trace, or what is now is what happens.
use std::path::Path;

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::chain::{BoxError, Every, Only};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// All that a resume can differ in here.
#[derive(Clone, Debug, PartialEq)]
struct Settings {
    seed: u64,
    epochs: u64,
    lr: f64,
    weight_decay: f64,
    momentum: f64,
    bias_lr: Option<f64>,
    adam: bool,
    frozen: Option<&'static str>,
    schedule: Option<u64>,
    plateau: Option<f64>,
    accumulate: Option<u64>,
    patience: Option<u64>,
    clip: Option<f64>,
    second: Option<&'static str>,
    batch_size: u64,
    init_scale: Option<f64>,
}

const BEFORE: Settings = Settings {
    seed: 1,
    epochs: 3,
    lr: 0.5,
    weight_decay: 0.01,
    momentum: 0.9,
    bias_lr: Some(0.25),
    adam: false,
    frozen: None,
    schedule: Some(20),
    plateau: None,
    accumulate: None,
    patience: Some(50),
    clip: None,
    second: Some("second"),
    batch_size: 4,
    init_scale: None,
};

impl Settings {
    fn builder(&self, dir: &Path, stop_at: Option<u64>) -> catena::RunnerBuilder {
        let config = match self.adam {
            true => OptimizerConfig::from(AdamW::new(self.lr).weight_decay(self.weight_decay)),
            false => {
                let sgd = Sgd::new(self.lr).momentum(self.momentum).weight_decay(self.weight_decay);
                OptimizerConfig::from(sgd)
            }
        };
        let config = match self.bias_lr {
            Some(lr) => config.group(ParamGroup::new("*.bias").lr(lr)),
            None => config,
        };
        let data = || tiny_loader(12, self.batch_size).shuffle(true);
        let mut stage = Stage::new("first").epochs(self.epochs).train(data()).valid(tiny_loader(6, 4));
        stage = stage.loss(CrossEntropy::new()).optimizer(config);
        if let Some(pattern) = self.frozen {
            stage = stage.freeze(pattern);
        }
        if let Some(t_max) = self.schedule {
            stage = stage.schedule(Polynomial::new().total_iters(t_max));
        }
        let mut builder = Runner::builder(tiny_model()).seed(self.seed).run_dir(dir).stage(stage);
        if let Some(name) = self.second {
            let second = Stage::new(name).train(data()).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
            builder = builder.stage(second);
        }
        if let Some(factor) = self.plateau {
            builder = builder.callback(
                ReduceLrOnPlateau::new("valid/loss", Plateau::new().factor(factor))
                    .only(Only::Stage("first".into())),
            );
        }
        if let Some(n) = self.accumulate {
            builder = builder.callback(Accumulate::new(n));
        }
        if let Some(patience) = self.patience {
            builder = builder.callback(EarlyStopping::new("train/loss").patience(patience));
        }
        if let Some(max_norm) = self.clip {
            builder = builder.callback(ClipGradNorm::new(max_norm));
        }
        if let Some(scale) = self.init_scale {
            builder = builder.callback(LossScaler::new().init_scale(scale));
        }
        let stop = look(Event::BatchEnd, move |cx| {
            if cx.is_train() && Some(cx.global_batch()) == stop_at {
                cx.interrupt("the test");
            }
            Ok(())
        });
        builder.callback(stop.named("stop")).callback(Checkpoint::new().every(Every::Epochs(1)).keep_last(9))
    }

    /// What each step from here on uses: the rates of both groups, and the weight decay.
    fn watched(&self, dir: &Path, allowed: &[String]) -> Result<Vec<[f64; 3]>, String> {
        let (told, used) = std::sync::mpsc::channel();
        let see = look(Event::Step, move |cx| {
            if cx.stage() == "first" {
                let groups = cx.optimizer().map(|optimizer| optimizer.groups()).unwrap_or_default();
                let get =
                    |at: usize, name: &str| groups.get(at).and_then(|g| g.get(name)).unwrap_or(f64::NAN);
                let last = groups.len() - 1;
                told.send([get(0, "lr"), get(last, "lr"), get(last, "weight_decay")])?;
            }
            Ok(())
        });
        let mut builder = self.builder(dir, None).callback(see.named("see").in_phase(Phase::Clip));
        for name in allowed {
            builder = builder.allow(name);
        }
        let mut runner = builder.build().map_err(|error| error.to_string())?;
        runner.resume(Resume::Latest).map_err(|error| error.to_string())?;
        drop(runner);
        Ok(used.iter().collect())
    }
}

/// A hash over all that is in a run directory, but for the lock and the program's log.
fn hash(dir: &Path) -> String {
    fn walk(at: &Path, sum: &mut Sha256) {
        let mut entries: Vec<_> = std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name == "lock" || name == "run.log" {
                continue;
            }
            sum.update(name.as_bytes());
            if path.is_dir() {
                sum.update(b"/");
                walk(&path, sum);
            } else {
                sum.update(std::fs::read(&path).unwrap());
            }
        }
    }
    let mut sum = Sha256::new();
    walk(dir, &mut sum);
    format!("{:x}", sum.finalize())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The names that a refusal offers to allow.
fn offered(error: &str) -> Vec<String> {
    let mut names: Vec<String> =
        error.split("(`").skip(1).filter_map(|rest| Some(rest.split_once("`)")?.0.to_owned())).collect();
    names.dedup();
    names
}

/// A run that was left after batch `at`.
fn left(dir: &Path, before: &Settings, at: u64) {
    let report = before.builder(dir, Some(at)).build().unwrap().run().unwrap();
    assert_eq!(report.batches, at);
}

/// Resumes with other settings: refused without a trace, or, with every name allowed that is offered, as it says.
fn refused_or_applied(after: &Settings, at: u64, whole: &Path) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    copy(whole, dir.path());
    let before = hash(dir.path());
    let Err(refusal) = after.watched(dir.path(), &[]) else {
        return if *after == BEFORE { Ok(()) } else { Err(format!("{after:?} was not refused")) };
    };
    if hash(dir.path()) != before {
        return Err(format!("the refusal changed the directory: {refusal}"));
    }
    let names = offered(&refusal);
    let used = match after.watched(dir.path(), &names) {
        Ok(used) => used,
        // nothing that was offered is refused once more; what is left is what can't be allowed, and says what to do
        Err(again) => {
            let says = again.contains("InitFrom") && offered(&again).is_empty();
            let same = hash(dir.path()) == before;
            return if says && same { Ok(()) } else { Err(format!("offered {names:?}, then: {again}")) };
        }
    };
    let first = used.first().ok_or("no step was made")?;
    let steps = at as f64;
    let decay = |lr: f64| after.schedule.map_or(lr, |n| lr * (1.0 - (steps / n as f64).min(1.0)));
    let expected = [decay(after.bias_lr.unwrap_or(after.lr)), decay(after.lr), after.weight_decay];
    let close = first.iter().zip(expected).all(|(is, wanted)| (is - wanted).abs() < 1e-12);
    if !close && after.accumulate.is_none() {
        return Err(format!("{after:?}: the first step used {first:?}, not {expected:?}"));
    }
    // what is written down is what was used
    let run = std::fs::read_to_string(dir.path().join("run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_str(&run).unwrap();
    let optimizer = &run["run"]["stages"][0]["passes"][0]["optimizer"];
    if optimizer["lr"] != after.lr || optimizer["weight_decay"] != after.weight_decay {
        return Err(format!("run.json has {optimizer}"));
    }
    Ok(())
}

fn variations() -> Vec<Settings> {
    let b = || BEFORE;
    vec![
        Settings { seed: 2, ..b() },
        Settings { epochs: 5, ..b() },
        Settings { epochs: 2, ..b() },
        Settings { lr: 0.05, ..b() },
        Settings { weight_decay: 0.3, ..b() },
        Settings { momentum: 0.5, ..b() },
        Settings { momentum: 0.0, ..b() },
        Settings { bias_lr: Some(0.75), ..b() },
        Settings { bias_lr: None, ..b() },
        Settings { adam: true, ..b() },
        Settings { frozen: Some("fc.bias"), bias_lr: None, ..b() },
        Settings { schedule: Some(40), ..b() },
        Settings { schedule: None, ..b() },
        Settings { schedule: None, lr: 0.05, ..b() },
        Settings { plateau: Some(0.5), ..b() },
        Settings { accumulate: Some(2), ..b() },
        Settings { patience: Some(40), ..b() },
        Settings { patience: None, ..b() },
        Settings { clip: Some(0.5), ..b() },
        Settings { second: None, ..b() },
        Settings { second: Some("another"), ..b() },
        Settings { batch_size: 3, ..b() },
        Settings { init_scale: Some(8.0), ..b() },
        Settings { lr: 0.05, schedule: Some(40), seed: 2, clip: Some(0.5), ..b() },
    ]
}

#[test]
fn every_refusal_leaves_the_directory_as_it_was_and_every_name_that_it_offers_works() {
    let _exclusive = Exclusive::wait();
    for at in [3, 4] {
        // 3 is an epoch's end, whose snapshot of the epoch's safe point is newer; 4 is inside one
        let whole = tempfile::tempdir().unwrap();
        left(whole.path(), &BEFORE, at);
        for after in variations() {
            if let Err(text) = refused_or_applied(&after, at, whole.path()) {
                panic!("left after batch {at}: {text}");
            }
        }
    }
}

#[test]
fn a_schedule_that_is_allowed_away_leaves_the_rate_that_the_optimizer_says() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    left(dir.path(), &BEFORE, 3);
    let after = Settings { schedule: None, ..BEFORE };
    let used = after.watched(dir.path(), &["LrSchedule".into()]).unwrap();
    assert!(used.iter().all(|[bias, rest, _]| (*bias, *rest) == (0.25, 0.5)), "{used:?}");
}

#[test]
fn a_plateau_that_has_reduced_is_undone_when_it_is_allowed_away() {
    let _exclusive = Exclusive::wait();
    let before =
        Settings { plateau: Some(0.5), lr: 1e-6, bias_lr: None, schedule: None, epochs: 40, ..BEFORE };
    let used = |after: Settings, allowed: &[String]| {
        let dir = tempfile::tempdir().unwrap();
        left(dir.path(), &before, 100);
        let used = after.watched(dir.path(), allowed).unwrap();
        used.into_iter().map(|[_, lr, _]| lr).collect::<Vec<f64>>()
    };
    let reduced = used(before.clone(), &[]);
    assert!(reduced.iter().all(|lr| *lr < 1e-6), "{reduced:?}");
    let undone = used(Settings { plateau: None, ..before.clone() }, &["ReduceLrOnPlateau".into()]);
    assert!(!undone.is_empty() && undone.iter().all(|lr| *lr == 1e-6), "{undone:?}");
}

#[test]
fn damaged_snapshots_and_left_overs_stay_until_a_resume_goes_through_and_a_refusal_names_them() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let both = Settings { epochs: 4, ..BEFORE };
    left(dir.path(), &both, 7);
    let checkpoints = dir.path().join("checkpoints");
    std::fs::create_dir(checkpoints.join(".tmp-000000000009-b")).unwrap();
    std::fs::write(checkpoints.join(".tmp-000000000009-b/model.safetensors"), b"half").unwrap();
    std::fs::write(checkpoints.join("000000000007-b/state.json"), b"{}").unwrap();
    let before = hash(dir.path());
    let refusal = Settings { adam: true, ..both.clone() }.watched(dir.path(), &[]).unwrap_err();
    assert!(refusal.contains("damaged and passed over: 000000000007-b"), "{refusal}");
    assert_eq!(hash(dir.path()), before);
    both.watched(dir.path(), &[]).unwrap();
    let names: Vec<String> = std::fs::read_dir(&checkpoints)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.contains(&"000000000007-b.corrupt".to_owned()), "{names:?}");
    assert!(names.iter().all(|name| !name.starts_with(".tmp-")), "{names:?}");
}

#[test]
fn a_state_that_a_callback_or_a_log_refuses_leaves_no_trace() {
    struct Picky(u64);
    impl Callback for Picky {
        fn state(&self) -> State {
            State::of(&self.0).unwrap_or_default()
        }
        fn load_state(&mut self, state: State) -> Result<(), BoxError> {
            let saved: u64 = state.read()?;
            if saved == self.0 { Ok(()) } else { Err(format!("{saved} is not {}", self.0).into()) }
        }
    }
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let builder =
        |n: u64, stop| BEFORE.builder(dir.path(), stop).callback(Picky(n)).callback(Timeline::new());
    builder(1, Some(4)).build().unwrap().run().unwrap();
    let before = hash(dir.path());
    let refuse = |builder: catena::RunnerBuilder| {
        builder.build().unwrap().resume(Resume::Latest).unwrap_err().to_string()
    };
    let text = refuse(builder(2, None));
    assert!(text.contains("Picky: load_state failed: 1 is not 2"), "{text}");
    assert_eq!(hash(dir.path()), before);
    for log in ["journal.jsonl", "metrics.jsonl"] {
        let path = dir.path().join(log);
        let whole = std::fs::read(&path).unwrap();
        if whole.is_empty() {
            continue;
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let before = hash(dir.path());
        let text = refuse(builder(1, None));
        assert!(text.contains(log), "{text}");
        assert_eq!(hash(dir.path()), before, "{log}");
        std::fs::write(&path, &whole).unwrap();
    }
    builder(1, None).build().unwrap().resume(Resume::Latest).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_settings_that_differ_are_refused_or_applied(
        seed in 1u64..3, epochs in 2u64..6, lr in prop::sample::select(vec![0.5, 0.05]), decay in prop::sample::select(vec![0.01, 0.2]),
        momentum in prop::sample::select(vec![0.9, 0.5]), bias in prop::sample::select(vec![Some(0.25), Some(0.7)]),
        schedule in prop::sample::select(vec![Some(20), Some(31), None]), clip in prop::sample::select(vec![None, Some(0.5)]),
        patience in prop::sample::select(vec![Some(50), Some(49), None]), at in 2u64..6,
    ) {
        let _exclusive = Exclusive::wait();
        let whole = tempfile::tempdir().unwrap();
        left(whole.path(), &BEFORE, at);
        let after = Settings { seed, epochs, lr, weight_decay: decay, momentum, bias_lr: bias, schedule, clip, patience, ..BEFORE };
        let done = refused_or_applied(&after, at, whole.path());
        prop_assert!(done.is_ok(), "{}", done.unwrap_err());
    }
}
