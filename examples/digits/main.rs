//! Trains a small network on handwritten digits, with catena's runner or with a loop written by hand.
//!
//! `cargo run --example digits -- --help` lists the flags. The last line of standard output is a JSON object; everything else
//! goes to standard error. Exit status 0 means that the run is complete, 9 that `--stop-after-batches` ended it.
pub(crate) mod chain;
pub(crate) mod data;
pub(crate) mod explicit;
pub(crate) mod loaders;
pub(crate) mod settings;

use catena::prelude::RunLog;
use catena::record::float;
use catena::tch;
use catena::tensor::hash::sha256;
use catena::tensor::rng::manual_seed;
use catena::tensor::{device, params};
use clap::Parser;

use settings::{Loop, Settings, model};

/// What a training came to.
pub(crate) struct Outcome {
    pub(crate) optimizer: Vec<(String, tch::Tensor)>,
    pub(crate) batches: u64,
    pub(crate) batches_run: u64,
    pub(crate) resumed_from: Option<u64>,
    pub(crate) steps: u64,
    pub(crate) train_loss: f64,
    pub(crate) valid_loss: f64,
    pub(crate) valid_accuracy: f64,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn main() {
    let (settings, run_log) = (Settings::parse(), RunLog::new());
    let mut logger = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn"));
    if settings.dir.is_some() {
        logger.target(env_logger::Target::Pipe(Box::new(run_log.tee())));
    }
    logger.init();
    if let Err(error) = run(&settings, run_log) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run(settings: &Settings, run_log: RunLog) -> Result<(), BoxError> {
    settings.check()?;
    if let Some(threads) = settings.threads {
        tch::set_num_threads(threads);
    }
    let device = match &settings.device {
        Some(name) => device::parse(name)?,
        None => device::best(),
    };
    let data = match &settings.data {
        Some(dir) => data::mnist(dir)?,
        None => data::digits()?,
    };
    let vs = tch::nn::VarStore::new(device);
    manual_seed(settings.seed);
    let net = model(&vs, data.inputs(), data.classes(), 0.2, settings.fused)?;
    let parameters = params::variables(&vs);
    let outcome = match settings.r#loop {
        Loop::Chain => chain::train(vs, net, &data.to(device)?, settings, run_log)?,
        Loop::Explicit => explicit::train(&vs, &net, &data.to(device)?, settings)?,
    };
    println!(
        "{}",
        serde_json::json!({
            "params_sha256": sha256(&parameters)?,
            "optimizer_sha256": sha256(&outcome.optimizer)?,
            "batches": outcome.batches,
            "batches_run": outcome.batches_run,
            "steps": outcome.steps,
            "train_loss": float::value(outcome.train_loss),
            "valid_loss": float::value(outcome.valid_loss),
            "valid_accuracy": float::value(outcome.valid_accuracy),
            "resumed_from": outcome.resumed_from,
        })
    );
    Ok(())
}
