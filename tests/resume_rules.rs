//! Going on from a snapshot: what is refused and by which name it is allowed, which snapshot it is, and what is left alone.
use std::path::{Path, PathBuf};

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::chain::{BoxError, Every};
use catena::prelude::*;
use catena::record::formats::state::StateFile;
use catena::tch::nn;
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::Exclusive;
use catena::tensor::schedule::PlateauMode;

fn stage(epochs: u64) -> Stage {
    Stage::new("only")
        .epochs(epochs)
        .train(tiny_loader(10, 4).shuffle(true))
        .valid(tiny_loader(6, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.5).momentum(0.9))
}

fn checkpoint() -> Checkpoint {
    Checkpoint::new().every(Every::Batches(1)).every(Every::Epochs(1)).keep_every(1)
}

fn builder(dir: &Path, stage: Stage) -> catena::RunnerBuilder {
    Runner::builder(tiny_model()).run_dir(dir).stage(stage).callback(checkpoint())
}

fn params(runner: &Runner) -> String {
    sha256(&state_dict(runner.model().var_store())).unwrap()
}

/// A run of two epochs of three batches, with all its snapshots.
fn finished(dir: &Path) -> String {
    let mut runner = builder(dir, stage(2)).build().unwrap();
    assert_eq!(runner.run().unwrap().batches, 6);
    params(&runner)
}

fn snapshots(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .map(|all| all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort_unstable();
    names
}

fn resume(builder: catena::RunnerBuilder, from: Resume) -> Result<(Report, String), String> {
    let mut runner = builder.build().unwrap();
    let report = runner.resume(from).map_err(|error| error.to_string())?;
    Ok((report, params(&runner)))
}

#[test]
fn a_finished_run_does_no_batch_and_gives_its_report() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let mut runner = builder(dir.path(), stage(2)).build().unwrap();
    let first = runner.run().unwrap();
    let expected = params(&runner);
    drop(runner);
    let before = snapshots(&dir.path().join("checkpoints"));
    let (report, params) = resume(builder(dir.path(), stage(2)), Resume::Latest).unwrap();
    assert_eq!((report.resumed_from, report.batches_run, report.batches), (Some(6), 0, 6));
    assert_eq!((&report.status, &report.metrics), (&Status::Completed, &first.metrics));
    assert_eq!(format!("{:?}", report.best), format!("{:?}", first.best));
    assert_eq!(params, expected);
    assert_eq!(snapshots(&dir.path().join("checkpoints")), before);
}

#[test]
fn a_directory_with_snapshots_is_not_begun_anew_and_one_without_is_not_gone_on_from() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let error = resume(builder(dir.path(), stage(1)), Resume::Latest).unwrap_err();
    assert_eq!(error, format!("{} holds no snapshot to go on from", dir.path().display()));
    finished(dir.path());
    let error = builder(dir.path(), stage(2)).build().unwrap().run().unwrap_err().to_string();
    assert!(error.contains("holds snapshots of a run already; go on from them with `resume`"), "{error}");
    let alone = Runner::builder(tiny_model()).stage(stage(1));
    assert!(resume(alone, Resume::Latest).unwrap_err().contains("give one with `.run_dir(path)`"));
    // whoever has begun or gone on has the directory for as long as the runner lives
    let mut running = builder(dir.path(), stage(2)).build().unwrap();
    running.resume(Resume::Latest).unwrap();
    let error = resume(builder(dir.path(), stage(1)), Resume::Latest).unwrap_err();
    assert!(error.contains("is in use by another process"), "{error}");
}

#[test]
fn a_run_that_is_not_the_one_that_was_saved_is_refused_by_name_and_touches_nothing() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    finished(dir.path());
    let at = dir.path().join("checkpoints/000000000002-b");
    let other = |stage: Stage| builder(dir.path(), stage);
    let train = |rows| {
        Stage::new("only").epochs(2).train(tiny_loader(rows, 4).shuffle(true)).valid(tiny_loader(6, 4))
    };
    let plain = |rows| train(rows).loss(CrossEntropy::new()).optimizer(Sgd::new(0.5).momentum(0.9));
    let vs = nn::VarStore::new(catena::tch::Device::Cpu);
    let wide = nn::linear(vs.root() / "fc", 4, 5, Default::default());
    let wide = Runner::builder(Net::new(vs, wide)).run_dir(dir.path()).stage(stage(2)).callback(checkpoint());
    let before = snapshots(&dir.path().join("checkpoints"));
    for (builder, expected) in [
        (other(stage(2)).seed(1), "the seed: 0 before, 1 now. The snapshot is inside an epoch"),
        (other(stage(3)), "the epochs of stage `only`: 2 before, 3 now (`epochs`)"),
        (
            other(plain(12).callback(Accumulate::new(2))),
            "0/Accumulate: not there before, there (n 2, tail step) now (`Accumulate`)",
        ),
        (other(plain(20)), "rows of loader `train` of stage `only`: 10 before, 20 now. The snapshot is"),
        (
            other(stage(2).freeze("fc.bias")),
            "what is frozen of stage `only`: none before, fc.bias now. The state of the stage that is open",
        ),
        (
            other(train(10).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1).momentum(0.9))),
            "`lr` of the optimizer of pass `main` of stage `only`: 0.5 before, 0.1 now (`optimizer`)",
        ),
        (
            other(stage(2)).stage(Stage::new("more").infer(tiny_loader(6, 4))),
            "the stages: only before, only, more now (`stages`)",
        ),
        (wide, "the model: 2 variables before, 2 now; the first that differs is fc.bias Float [3]"),
    ] {
        let error = resume(builder, Resume::Path(at.clone())).unwrap_err();
        assert!(error.starts_with("the run is not the one that was saved: "), "{error}");
        assert!(error.contains(expected), "{error}\n{expected}");
        assert_eq!(snapshots(&dir.path().join("checkpoints")), before, "{expected}");
    }
    let at = dir.path().join("checkpoints/000000000003-e");
    let error = resume(other(stage(2)).seed(1), Resume::Path(at.clone())).unwrap_err();
    assert!(error.contains("the seed: 0 before, 1 now (`seed`)"), "{error}");
    let (report, _) = resume(other(stage(2)).seed(1).allow("seed"), Resume::Path(at)).unwrap();
    assert_eq!((report.resumed_from, report.batches), (Some(3), 6));
}

#[test]
fn more_epochs_by_name_end_like_a_run_that_had_them_from_the_beginning() {
    let _exclusive = Exclusive::wait();
    let (dir, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut runner = builder(whole.path(), stage(4)).build().unwrap();
    runner.run().unwrap();
    let expected = params(&runner);
    finished(dir.path());
    let (report, params) = resume(builder(dir.path(), stage(4)).allow("epochs"), Resume::Latest).unwrap();
    assert_eq!((report.resumed_from, report.batches_run, report.epochs), (Some(6), 6, 4));
    assert_eq!(params, expected);
    for file in ["journal.jsonl", "metrics.jsonl", "metrics/train.csv", "metrics/valid.csv"] {
        let read = |dir: &Path| std::fs::read_to_string(dir.join(file)).unwrap();
        assert_eq!(read(dir.path()), read(whole.path()), "{file}");
    }
}

#[test]
fn a_stop_is_part_of_the_run_until_it_is_forgotten_by_name() {
    let _exclusive = Exclusive::wait();
    let (dir, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = finished(whole.path());
    let stopped = || builder(dir.path(), stage(2)).callback(MaxSteps(4));
    let first = stopped().build().unwrap().run().unwrap();
    assert!(matches!(&first.status, Status::Stopped(stopped) if stopped.by == "MaxSteps"), "{first:?}");
    let (again, _) = resume(stopped(), Resume::Latest).unwrap();
    assert_eq!((again.status, again.batches_run, again.batches), (first.status, 0, 4));
    let (report, params) =
        resume(builder(dir.path(), stage(2)).allow("MaxSteps").allow("stop"), Resume::Latest).unwrap();
    assert_eq!((report.status, report.batches), (Status::Completed, 6));
    assert_eq!(params, expected);
}

#[test]
fn an_older_one_sets_the_newer_ones_aside_each_time() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let expected = finished(dir.path());
    let checkpoints = dir.path().join("checkpoints");
    let names = snapshots(&checkpoints);
    for again in ["1", "2"] {
        let from = Resume::Path(checkpoints.join("000000000002-b"));
        let (report, params) = resume(builder(dir.path(), stage(2)), from).unwrap();
        assert_eq!((report.resumed_from, report.batches_run), (Some(2), 4));
        assert_eq!(params, expected);
        assert_eq!(snapshots(&checkpoints.join("superseded").join(again)), names[2..]);
    }
    let strange = |path: PathBuf| resume(builder(dir.path(), stage(2)), Resume::Path(path)).unwrap_err();
    let elsewhere = tempfile::tempdir().unwrap();
    finished(elsewhere.path());
    let error = strange(elsewhere.path().join("checkpoints/000000000002-b"));
    assert!(error.contains("to start from another run's weights, use `InitFrom`"), "{error}");
    assert!(strange(checkpoints.join("nothing")).contains("nothing"));
    assert!(strange(checkpoints.join("000000000099-b")).contains("000000000099-b"));
}

#[test]
fn what_a_killed_run_had_left_to_remove_is_removed_at_resume_and_without_a_policy_nothing_is() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    finished(dir.path());
    let checkpoints = dir.path().join("checkpoints");
    let all = snapshots(&checkpoints);
    let plain = || Runner::builder(tiny_model()).run_dir(dir.path()).stage(stage(2));
    resume(plain(), Resume::Latest).unwrap();
    assert_eq!(snapshots(&checkpoints), all);
    let (report, _) = resume(plain().callback(Checkpoint::new().keep_last(3)), Resume::Latest).unwrap();
    assert_eq!(report.batches_run, 0);
    // three states: of those of the last batch the newest stands for all
    assert_eq!(snapshots(&checkpoints), ["000000000004-b", "000000000005-b", "000000000006-z"]);
}

#[test]
fn the_best_is_that_of_the_metric_and_an_unknown_metric_has_none() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let mut runner = builder(dir.path(), stage(3)).build().unwrap();
    let report = runner.run().unwrap();
    drop(runner);
    let best = report.best["valid/loss"];
    assert!(best.min_epoch < 3, "there is something newer: {best:?}");
    let from = Resume::Best { metric: "valid/loss".into(), mode: PlateauMode::Min };
    let (again, _) = resume(builder(dir.path(), stage(3)), from).unwrap();
    assert_eq!(again.resumed_from, Some(3 * best.min_epoch));
    assert_eq!(again.metrics, report.metrics);
    let from = Resume::Best { metric: "valid/los".into(), mode: PlateauMode::Min };
    let error = resume(builder(dir.path(), stage(3)), from).unwrap_err();
    let known = "train/loss, valid/loss";
    assert_eq!(
        error,
        format!(
            "no snapshot has a number for `valid/los` that was measured of it; what was measured: {known}"
        )
    );
}

#[test]
fn an_error_inside_a_batch_leaves_what_was_there_and_is_never_gone_on_from() {
    let _exclusive = Exclusive::wait();
    let (dir, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = finished(whole.path());
    let fail = || {
        look(Event::Backward, |cx: &mut Context| match cx.global_batch() {
            5 => Err(BoxError::from("a bad sample")),
            _ => Ok(()),
        })
    };
    let error = builder(dir.path(), stage(2)).callback(fail()).build().unwrap().run().unwrap_err();
    assert!(error.to_string().contains("a bad sample"), "{error}");
    let crash = snapshots(&dir.path().join("crash"));
    assert_eq!(crash.len(), 1);
    let loaded =
        catena::record::load(&catena::record::fs::Os, &dir.path().join("crash").join(&crash[0])).unwrap();
    assert!(loaded.manifest.why[0].contains("a bad sample"), "{:?}", loaded.manifest.why);
    assert_eq!(loaded.state["progress"]["global_batch"], 5);
    // what other programs show of it
    let outer: StateFile = serde_json::from_value(loaded.state).unwrap();
    assert_eq!((outer.progress["global_batch"].as_u64(), outer.cursor["stage"].as_u64()), (Some(5), Some(0)));
    assert_eq!(snapshots(&dir.path().join("checkpoints")).last().unwrap(), "000000000004-b");
    let (report, params) = resume(builder(dir.path(), stage(2)), Resume::Latest).unwrap();
    assert_eq!((report.resumed_from, report.batches_run), (Some(4), 2));
    assert_eq!(params, expected);
    let quiet = tempfile::tempdir().unwrap();
    let builder = Runner::builder(tiny_model()).run_dir(quiet.path()).stage(stage(2)).callback(fail());
    builder.callback(checkpoint().crash(false)).build().unwrap().run().unwrap_err();
    assert_eq!(snapshots(&quiet.path().join("crash")), [""; 0]);
}

#[test]
fn a_stage_starts_from_the_best_of_the_stage_before() {
    let _exclusive = Exclusive::wait();
    let keeping_best = |dir: &Path, stage: Stage| {
        let checkpoint = checkpoint().keep_best(1, "valid/loss", PlateauMode::Min);
        Runner::builder(tiny_model()).run_dir(dir).stage(stage).callback(checkpoint)
    };
    let run = |start_from: StartFrom| {
        let dir = tempfile::tempdir().unwrap();
        let next = Stage::new("next").start_from(start_from).infer(tiny_loader(6, 4));
        let mut runner = keeping_best(dir.path(), stage(3)).stage(next).build().unwrap();
        let report = runner.run().unwrap();
        (params(&runner), report)
    };
    let best = |metric: &str| StartFrom::Best { metric: metric.into(), mode: PlateauMode::Min };
    let (last, report) = run(StartFrom::Last);
    let epoch = report.best["valid/loss"].min_epoch;
    assert_eq!(run(StartFrom::AsItIs).0, last);
    let whole = tempfile::tempdir().unwrap();
    let mut runner = builder(whole.path(), stage(epoch)).build().unwrap();
    runner.run().unwrap();
    let (found, _) = run(best("valid/loss"));
    assert_eq!(found, params(&runner));
    assert_ne!(found, last);
    let dir = tempfile::tempdir().unwrap();
    let next = Stage::new("next").start_from(best("nothing")).infer(tiny_loader(6, 4));
    let error = builder(dir.path(), stage(1)).stage(next).build().unwrap_err().to_string();
    assert!(
        error.contains("starts from the best snapshot by `nothing`, but nothing keeps that one"),
        "{error}"
    );
}

#[test]
fn settings_that_change_the_numbers_are_compared_one_by_one() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let of = |smoothing: f64, t_max: u64, norm_type: f64| {
        Stage::new("only")
            .epochs(2)
            .train(tiny_loader(10, 4))
            .loss(CrossEntropy::new().label_smoothing(smoothing))
            .optimizer(Sgd::new(0.5))
            .schedule(CosineAnnealing::new(t_max))
            .callback(ClipGradNorm::new(1.0).norm_type(norm_type))
    };
    resume(builder(dir.path(), of(0.1, 6, 2.0)), Resume::LatestIfAny).unwrap();
    assert!(resume(builder(dir.path(), of(0.1, 6, 2.0)), Resume::Latest).is_ok());
    let error = resume(builder(dir.path(), of(0.2, 8, 1.0)), Resume::Latest).unwrap_err();
    let said = [
        "`losses.main.label_smoothing` of 0/Criterion: 0.1 before, 0.2 now",
        "`norm_type` of 0/ClipGradNorm: 2.0 before, 1.0 now",
        "`schedule.t_max` of 0/LrSchedule: 6 before, 8 now",
    ];
    assert!(said.iter().all(|text| error.contains(text)), "{error}");
    let allowed =
        builder(dir.path(), of(0.2, 8, 1.0)).allow("Criterion").allow("ClipGradNorm").allow("LrSchedule");
    assert!(resume(allowed, Resume::Latest).is_ok());
}

#[test]
fn a_checkpoint_that_is_given_to_a_stage_is_refused_before_a_batch() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let runner = Runner::builder(tiny_model()).run_dir(dir.path()).stage(stage(1).callback(checkpoint()));
    let error = runner.build().unwrap().run().unwrap_err().to_string();
    assert!(error.contains("belongs to the run: give it to `Runner::builder(…).callback(…)`"), "{error}");
    assert!(error.contains("Checkpoint") && error.contains("stage_start"), "{error}");
}

#[test]
fn settings_do_not_change_while_a_run_goes() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let busy = || {
        let plateau = Plateau::new().patience(0);
        stage(3)
            .schedule(OneCycle::new(0.5, 9).cycle_momentum(false))
            .callback(ReduceLrOnPlateau::new("valid/loss", plateau))
            .callback(LossScaler::new().init_scale(4.0).growth_interval(1))
            .callback(EarlyStopping::new("valid/loss").patience(100))
            .callback(Ema::new(0.9))
            .callback(Lookahead::new().k(2))
            .callback(GradientNoise::new(0.1))
            .callback(AdaptiveClip::new(0.1))
            .callback(ClipGradValue::new(1.0))
            .callback(Accumulate::new(2))
            .callback(NanGuard::new())
            .callback(MaxSteps(7))
    };
    let (report, _) = resume(builder(dir.path(), busy()), Resume::LatestIfAny).unwrap();
    assert!(report.steps > 3);
    for at in snapshots(&dir.path().join("checkpoints")) {
        let from = Resume::Path(dir.path().join("checkpoints").join(&at));
        assert!(builder(dir.path(), busy()).build().unwrap().resume(from).is_ok(), "{at}");
    }
}
