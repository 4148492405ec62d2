//! `Runner::check` tries everything in a few batches, and leaves everything as it was.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use catena::callbacks::Mlflow;
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::{Exclusive, manual_seed};

/// Dropout and batch norm, so that weights, buffers and generators can be seen to move.
fn model() -> Net {
    manual_seed(3);
    let vs = nn::VarStore::new(Device::Cpu);
    let layers = nn::seq_t()
        .add(nn::linear(vs.root() / "fc1", 4, 6, Default::default()))
        .add(nn::batch_norm1d(vs.root() / "bn", 6, Default::default()))
        .add_fn_t(|x, train| x.dropout(0.3, train))
        .add(nn::linear(vs.root() / "fc2", 6, 3, Default::default()));
    Net::new(vs, layers)
}

fn stage(name: &str) -> Stage {
    Stage::new(name)
        .epochs(3)
        .train(tiny_loader(40, 4).shuffle(true))
        .valid(tiny_loader(40, 4))
        .on_request("now", tiny_loader(40, 4))
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(0.01))
        .schedule(OneCycle::new(0.01, 30))
        .callback(Accumulate::new(2))
        .callback(ClipGradNorm::new(1.0))
        .callback(EarlyStopping::new("valid/loss").patience(2))
        .callback(Swa::new(2))
        .callback(Lookahead::new())
}

type Heard = Arc<Mutex<BTreeMap<String, u64>>>;

fn runner(dir: Option<&Path>, heard: &Heard) -> Runner {
    let seen = heard.clone();
    let note = look(Event::BatchEnd, move |cx| {
        *seen.lock().unwrap().entry(format!("{} {}", cx.stage(), cx.loader())).or_default() += 1;
        Ok(())
    });
    let mut builder = Runner::builder(model())
        .stage(stage("a"))
        .stage(stage("b"))
        .callback(Ema::new(0.9))
        .callback(LossScaler::new())
        .callback(Accuracy::new())
        .callback(GradNorms::new())
        .callback(Signals::new())
        .callback(note.named("note"));
    if let Some(dir) = dir {
        let loggers = Loggers::new().with(JsonLines::new()).with(CsvFiles::new()).with(TensorBoard::new());
        // nobody is there: a check sends nothing, and waits for nobody
        let loggers =
            loggers.with(Mlflow::new("http://127.0.0.1:9").patience(std::time::Duration::from_millis(50)));
        builder = builder.run_dir(dir).callback(loggers.batches(Every::Batches(1))).callback(
            Checkpoint::new().every(Every::Batches(1)).keep_best(1, "valid/loss", PlateauMode::Min),
        );
    }
    builder.build().unwrap()
}

fn hash(runner: &Runner) -> String {
    sha256(&state_dict(runner.model().var_store())).unwrap()
}

#[test]
fn a_check_hears_everything_and_leaves_model_generators_and_directory_as_they_were() {
    let _exclusive = Exclusive::wait();
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("run");
    let heard = Heard::default();
    let mut checked = runner(Some(&dir), &heard);
    let before = hash(&checked);
    let drawn = |seed: i64| {
        let _ = seed;
        Tensor::randn([3], (Kind::Float, Device::Cpu))
    };
    manual_seed(5);
    let expected = drawn(5);
    manual_seed(5);
    let began = std::time::Instant::now();
    let report = checked.check(3).unwrap();
    assert!(began.elapsed().as_secs() < 5, "nobody is waited for");
    assert_eq!((report.epochs, report.batches), (2, 6));
    assert!(report.metrics.contains_key("valid/loss") && report.metrics.contains_key("now/loss"));
    let each: Vec<(String, u64)> = std::mem::take(&mut *heard.lock().unwrap()).into_iter().collect();
    let names = ["a now", "a train", "a valid", "b now", "b train", "b valid"];
    assert_eq!(each, names.map(|name| (name.to_owned(), 3)));
    assert_eq!(drawn(5), expected, "the generators are as before");
    assert_eq!(hash(&checked), before);
    assert!(
        checked
            .model()
            .var_store()
            .trainable_variables()
            .iter()
            .all(|p| p.requires_grad() && !p.grad().defined())
    );
    assert!(!dir.exists(), "the run directory is not made");
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().filter(|entry| {
        let own = format!("catena-check-{}", std::process::id());
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(&own)
    });
    assert_eq!(left.count(), 0, "the temporary one is removed");
}

#[test]
fn a_run_after_a_check_is_the_run_without_one() {
    let _exclusive = Exclusive::wait();
    let (plain, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |dir: &Path, checks: u64| {
        let mut runner = runner(Some(dir), &Heard::default());
        for n in 1..=checks {
            runner.check(n).unwrap();
        }
        let report = runner.run().unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        let metrics = format!("{:?} {:?}", report.metrics, report.stages);
        (hash(&runner), metrics, read("journal.jsonl"), read("metrics.jsonl"), read("metrics/valid.csv"))
    };
    assert_eq!(run(root.path(), 2), run(plain.path(), 0));
}

#[test]
fn a_check_that_fails_leaves_everything_as_it_was_too_and_says_what_is_wrong() {
    let _exclusive = Exclusive::wait();
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("run");
    let fails =
        on(Event::Step, |cx| if cx.global_batch() == 2 { Err("it fails".into()) } else { Ok(Flow::GO) });
    let stage = Stage::new("s").train(tiny_loader(20, 4)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    let builder =
        Runner::builder(tiny_model()).stage(stage.callback(fails)).run_dir(&dir).callback(Checkpoint::new());
    let mut runner = builder.build().unwrap();
    let before = hash(&runner);
    let error = runner.check(3).unwrap_err().to_string();
    assert!(error.contains("it fails") && error.contains("batch 2"), "{error}");
    assert_eq!(hash(&runner), before);
    assert!(!dir.exists());
    // a run directory that another process has is none of a check's business
    let _locked = catena::record::Store::open(&dir, Arc::new(catena::record::fs::Os)).unwrap();
    assert!(runner.check(1).is_ok());
    let error = runner.run().unwrap_err().to_string();
    assert!(error.contains("is in use by another process"), "{error}");
}
