//! What the other tests show on the CPU, on a GPU. `cargo test` leaves them out: `cargo test --test gpu`, on a machine that has one.
//! `optim.py` beside it holds the optimizers against PyTorch's on that GPU.
#[path = "../../examples/digits/main.rs"]
#[allow(dead_code, reason = "the program's main is not called here")]
mod digits;
#[path = "../common/resumable.rs"]
mod resumable;

use std::path::Path;

use catena::callbacks::metrics::{ClassScore, ConfusionMatrix, Measure, Task};
use catena::callbacks::{HostSyncs, MemoryInUse};
use catena::chain::Every;
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::{Exclusive, Generators, manual_seed};
use clap::Parser;
use resumable::{BATCHES, Ended, builder_on};

fn gpu() -> Device {
    catena::tensor::device::parse("cuda").unwrap()
}

#[test]
fn the_chain_and_the_explicit_loop_end_in_the_same_bits() {
    let _exclusive = Exclusive::wait();
    let data = digits::data::digits().unwrap().to(gpu()).unwrap();
    let mut ends = std::collections::BTreeSet::new();
    for optimizer in ["sgd", "adam", "adamw", "radam"] {
        for accumulate in ["1", "3"] {
            let flags = ["digits", "--optimizer", optimizer, "--accumulate", accumulate, "--epochs", "2"];
            let settings = digits::settings::Settings::parse_from(flags);
            let run = |chain: bool| {
                let vs = nn::VarStore::new(gpu());
                manual_seed(settings.seed);
                let net = digits::settings::model(&vs, 64, 10, 0.2, settings.fused).unwrap();
                let parameters = state_dict(&vs);
                let outcome = if chain {
                    digits::chain::train(vs, net, &data, &settings, RunLog::new())
                } else {
                    digits::explicit::train(&vs, &net, &data, &settings)
                };
                let outcome = outcome.unwrap();
                let losses = [outcome.train_loss, outcome.valid_loss].map(f64::to_bits);
                (sha256(&parameters).unwrap(), sha256(&outcome.optimizer).unwrap(), losses)
            };
            let (chain, explicit) = (run(true), run(false));
            assert_eq!(chain, explicit, "{flags:?}");
            ends.insert(chain.0);
        }
    }
    assert_eq!(ends.len(), 8, "the flags change the training");
}

/// The run of the resume tests, its dropout drawn and its state kept on the GPU, in mixed precision with a loss scale.
fn resumable(dir: &Path, stop: Option<u64>) -> catena::RunnerBuilder {
    let checkpoint = Checkpoint::new().every(Every::Batches(2)).keep_every(5);
    let mut left = stop.unwrap_or(u64::MAX);
    let stopping = on(Event::BatchStart, move |cx| {
        if cx.is_train() {
            left = left.checked_sub(1).ok_or("stopped by the test")?;
        }
        Ok(Flow::GO)
    });
    builder_on(gpu(), dir, checkpoint)
        .callback(Autocast::f16())
        .callback(LossScaler::new().growth_interval(4))
        .callback(stopping)
}

#[test]
fn stopped_after_any_batch_and_resumed_it_ends_in_the_same_bits() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let mut runner = resumable(dir.path(), None).build().unwrap();
    let report = runner.run().unwrap();
    assert_eq!(report.batches_run, BATCHES);
    let expected = Ended::of(&runner, &report, dir.path());
    for stop in 1..BATCHES {
        let dir = tempfile::tempdir().unwrap();
        let error = resumable(dir.path(), Some(stop)).build().unwrap().run().unwrap_err();
        assert!(error.to_string().contains("stopped by the test"), "{error}");
        manual_seed(999); // what a new process would have
        let mut runner = resumable(dir.path(), None).build().unwrap();
        let report = runner.resume(Resume::LatestIfAny).unwrap();
        assert_eq!(report.batches, BATCHES);
        let ended = Ended::of(&runner, &report, dir.path());
        assert_eq!(ended.differences(&expected), [""; 0], "stopped after {stop} batches");
    }
}

#[test]
fn what_the_gpus_generator_draws_after_a_put_back_is_what_it_drew_before() {
    let _exclusive = Exclusive::wait();
    let draw = || Vec::<f32>::try_from(Tensor::randn([1000], (Kind::Float, gpu()))).unwrap();
    let kept = Generators::keep().unwrap();
    assert_eq!(kept.states().count(), 1 + catena::tch::Cuda::device_count() as usize);
    let first = draw();
    assert_ne!(first, draw());
    kept.put_back().unwrap();
    assert_eq!(first, draw());
}

/// Rows whose label is the place of the largest of their first ten numbers, in the memory of a device.
fn loader(rows: i64, batch_size: u64, device: Device) -> TensorLoader {
    manual_seed(2);
    let x = Tensor::randn([rows, 64], (Kind::Float, Device::Cpu));
    let y = x.narrow(1, 0, 10).argmax(1, false);
    TensorLoader::new(&x.to_device(device), &y.to_device(device), batch_size).unwrap().shuffle(true)
}

fn net() -> Net {
    manual_seed(0);
    let vs = nn::VarStore::new(gpu());
    let layers = nn::seq_t()
        .add(nn::linear(vs.root() / "fc1", 64, 256, Default::default()))
        .add_fn(|x| x.relu())
        .add_fn_t(|x, train| x.dropout(0.1, train))
        .add(nn::linear(vs.root() / "fc2", 256, 10, Default::default()));
    Net::new(vs, layers)
}

fn train(data: Device, prepare: impl FnOnce(Stage) -> Stage) -> (Report, Runner) {
    let stage = Stage::new("train")
        .epochs(3)
        .train(loader(2000, 50, data))
        .valid(loader(200, 50, data))
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(3e-3));
    let mut runner = Runner::builder(net()).stage(prepare(stage)).build().unwrap();
    (runner.run().unwrap(), runner)
}

#[test]
fn half_precision_follows_single_precision_closely() {
    let _exclusive = Exclusive::wait();
    let (full, _) = train(gpu(), |stage| stage);
    assert!(full.metrics["train/loss"] < 0.7, "{}", full.metrics["train/loss"]);
    let (bf16, _) = train(gpu(), |stage| stage.callback(Autocast::bf16()));
    let (f16, _) = train(gpu(), |stage| stage.callback(Autocast::f16()).callback(LossScaler::new()));
    for half in [bf16, f16] {
        let (half, full) = (half.metrics["valid/loss"], full.metrics["valid/loss"]);
        assert!(half != full && (half - full).abs() < 0.05, "{half} and {full}");
    }
}

#[test]
fn data_in_the_cpus_memory_gives_the_same_training() {
    let _exclusive = Exclusive::wait();
    let [here, there] = [Device::Cpu, gpu()].map(|data| {
        let (report, runner) = train(data, |stage| stage);
        (report.metrics, sha256(&state_dict(runner.model().var_store())).unwrap())
    });
    assert_eq!(here, there);
}

#[test]
fn no_batch_waits_for_the_gpu() {
    let _exclusive = Exclusive::wait();
    let (_, runner) = train(gpu(), |stage| {
        stage
            .schedule(OneCycle::new(3e-3, 120))
            .callback(Accumulate::new(2))
            .callback(ClipGradNorm::new(1.0))
            .callback(Ema::new(0.9))
            .callback(Accuracy::new())
            .callback(Measure::new(ClassScore::f1_score(Task::Multiclass(10))))
            .callback(Measure::new(ConfusionMatrix::new(Task::Multiclass(10))))
            .callback(SyncAudit::new())
    });
    let syncs = runner.driver().context().ext.get::<HostSyncs>().unwrap();
    println!("{syncs}");
    for row in &syncs.rows {
        assert!(row.syncs.total() < 100, "less than one a batch: {row:?}");
    }
}

#[test]
fn the_memory_of_the_gpu_is_told() {
    let before = MemoryInUse::now(gpu()).device.unwrap();
    let taken = Tensor::zeros([64, 1 << 20], (Kind::Uint8, gpu()));
    let now = MemoryInUse::now(gpu()).device.unwrap();
    assert!(now.allocated >= before.allocated + (taken.numel() as u64), "{before:?} {now:?}");
    assert!(now.peak >= now.allocated && now.reserved >= now.allocated, "{now:?}");
}
