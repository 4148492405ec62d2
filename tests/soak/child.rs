//! The program that trains, and is disturbed.
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use catena::callbacks::Mlflow;
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use serde::{Deserialize, Serialize};

/// Batches of an epoch.
pub(crate) const IN_EPOCH: u64 = 10;

/// What a life of the program is to do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) dir: PathBuf,
    pub(crate) epochs: u64,
    /// After how many batches it interrupts itself; 0 for never.
    pub(crate) batches: u64,
    /// Of `j`son lines, `c`sv, `t`ensorboard, `m`lflow.
    pub(crate) loggers: String,
    pub(crate) server: String,
    pub(crate) allow: Vec<String>,
    /// Another learning rate, with which it is another run.
    pub(crate) other_lr: bool,
    /// A file that fills the disk for some batches.
    pub(crate) fill: Option<PathBuf>,
    /// What is removed in mid-run.
    pub(crate) remove: Option<PathBuf>,
    /// How long a batch takes at least.
    pub(crate) pause_ms: u64,
}

pub(crate) fn train(life: &Life) {
    env_logger::Builder::new().filter_level(log::LevelFilter::Warn).init();
    catena::tch::set_num_threads(1);
    match run(life) {
        Ok(text) => println!("ended {text}"),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
    }
}

fn run(life: &Life) -> catena::Result<String> {
    catena::tensor::rng::manual_seed(3);
    let vs = nn::VarStore::new(Device::Cpu);
    let layers = nn::seq_t()
        .add(nn::linear(vs.root() / "fc1", 4, 8, Default::default()))
        .add(nn::batch_norm1d(vs.root() / "bn", 8, Default::default()))
        .add_fn_t(|x, train| x.relu().dropout(0.2, train))
        .add(nn::linear(vs.root() / "fc2", 8, 3, Default::default()));
    let rows = (IN_EPOCH * 4) as i64;
    let x = (Tensor::arange(rows * 4, (Kind::Float, Device::Cpu)) * 0.37).sin().view([rows, 4]);
    let y = Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(3);
    let stage = Stage::new("s")
        .epochs(life.epochs)
        .train(TensorLoader::new(&x, &y, 4)?.shuffle(true))
        .valid(TensorLoader::new(&x.narrow(0, 0, 12), &y.narrow(0, 0, 12), 4)?)
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(if life.other_lr { 0.5 } else { 0.01 }))
        .schedule(CosineAnnealing::new(life.epochs * IN_EPOCH));
    let mut loggers = Loggers::new().batches(Every::Batches(3));
    for letter in life.loggers.chars() {
        loggers = match letter {
            'j' => loggers.with(JsonLines::new()),
            'c' => loggers.with(CsvFiles::new()),
            't' => loggers.with(TensorBoard::new()),
            _ => loggers.with(Mlflow::new(&life.server).patience(Duration::from_millis(200))),
        };
    }
    let (own, mut done) = (life.clone(), 0);
    let disturb = look(Event::BatchEnd, move |cx| {
        if !cx.is_train() {
            return Ok(());
        }
        done += 1;
        if done == 1 {
            println!("goes");
            std::io::stdout().flush()?;
        }
        if let Some(fill) = &own.fill {
            match done {
                2 => {
                    // to its last byte
                    let mut file = std::fs::File::create(fill)?;
                    for chunk in [1 << 16, 1] {
                        while file.write_all(&vec![0; chunk]).is_ok() {}
                    }
                }
                5 => drop(std::fs::remove_file(fill)),
                _ => {}
            }
        }
        if let (2, Some(path)) = (done, &own.remove) {
            drop(std::fs::remove_dir_all(path).or_else(|_| std::fs::remove_file(path)));
        }
        std::thread::sleep(Duration::from_millis(own.pause_ms));
        if done == own.batches {
            cx.interrupt("by itself");
        }
        Ok(())
    });
    let mut runner = Runner::builder(Net::new(vs, layers))
        .stage(stage)
        .run_dir(&life.dir)
        .callback(Accuracy::new())
        .callback(GradNorms::new())
        .callback(Ema::new(0.9))
        .callback(disturb.in_phase(Phase::Report).named("disturb"))
        .callback(Signals::new())
        .callback(Checkpoint::new().every(Every::Batches(4)).keep_last(4));
    if !life.loggers.is_empty() {
        runner = runner.callback(loggers);
    }
    for name in &life.allow {
        runner = runner.allow(name);
    }
    let mut runner = runner.build()?;
    let report = runner.resume(Resume::LatestIfAny)?;
    let hash = sha256(&state_dict(runner.model().var_store()))?;
    Ok(format!("{:?} {} {hash}", report.status, report.batches))
}
