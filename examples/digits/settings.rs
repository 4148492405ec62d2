//! The flags, the model, and what both loops are made from.
use std::path::PathBuf;

use catena::chain::Every;
use catena::tch::Tensor;
use catena::tch::nn::{self, ModuleT};
use catena::tensor::fusing;
use catena::tensor::layers::{self, Layers};
use catena::tensor::optim::{Adam, AdamW, OptimizerConfig, RAdam, Sgd};
use catena::tensor::schedule::{CosineAnnealing, OneCycle, Schedule};
use clap::{Parser, ValueEnum};
use serde::Serialize;

/// Who runs the training.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Loop {
    /// catena's runner.
    Chain,
    /// A loop written by hand.
    Explicit,
}

#[derive(Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OptimizerName {
    Sgd,
    Adam,
    Adamw,
    Radam,
}

#[derive(Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ScheduleName {
    None,
    Cosine,
    Onecycle,
}

/// Whether the network is one node of autograd.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fused {
    On,
    Off,
}

/// Where batches come from.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LoaderName {
    /// Rows of tensors.
    Memory,
    /// Samples of a data set, made by worker threads.
    Map,
}

/// Trains 64-128-10 with ReLU and dropout 0.2 on handwritten digits.
// as data these are the run's hyper-parameters: all but what the run is called and when it is saved
#[derive(Clone, Parser, Serialize)]
pub(crate) struct Settings {
    /// The runner, or the same training written out by hand
    #[arg(long, value_enum, default_value = "chain")]
    #[serde(skip)]
    pub(crate) r#loop: Loop,
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) epochs: u64,
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) batch: u64,
    /// Micro-batches a step
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) accumulate: u64,
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    #[arg(long, value_enum, default_value = "adamw")]
    pub(crate) optimizer: OptimizerName,
    #[arg(long, default_value_t = 1e-2)]
    pub(crate) lr: f64,
    #[arg(long, value_enum, default_value = "cosine")]
    pub(crate) schedule: ScheduleName,
    /// Run directory: checkpoints, journal, metrics and log
    #[arg(long)]
    #[serde(skip)]
    pub(crate) dir: Option<PathBuf>,
    /// How often to save a checkpoint, such as "100 steps", "7 batches" or "30 seconds" ["1 epoch" by default]
    #[arg(long, value_name = "TEXT")]
    #[serde(skip)]
    pub(crate) checkpoint_every: Option<Every>,
    /// Go on from the newest good checkpoint in the run directory, or start if there is none
    #[arg(long)]
    #[serde(skip)]
    pub(crate) resume: bool,
    /// Measure where time and memory go, for `catena report`: the times of all callbacks, a Chrome trace, memory, host reads
    #[arg(long)]
    #[serde(skip)]
    pub(crate) profile: bool,
    /// Leave at once, as a killed process would, after so many train batches; exit status 9
    #[arg(long, value_name = "N")]
    #[serde(skip)]
    pub(crate) stop_after_batches: Option<u64>,
    /// A folder of MNIST IDX files (plain or .gz) in place of the digits
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<PathBuf>,
    /// cpu, cuda or cuda:N; by default cuda if there is one, else cpu
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<String>,
    /// torch's threads
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<i32>,
    /// The network as layers that are computed as one node, or as tch's modules
    #[arg(long, value_enum, default_value = "on")]
    pub(crate) fused: Fused,
    /// Batches from tensors in memory, or from a data set
    #[arg(long, value_enum, default_value = "memory")]
    pub(crate) loader: LoaderName,
    /// Threads that make batches, with `--loader map`; the batches are the same
    #[arg(long, default_value_t = 0)]
    #[serde(skip)]
    pub(crate) workers: usize,
    /// With `--loader map`: each picture is shifted at random by up to one pixel a side
    #[arg(long)]
    pub(crate) augment: bool,
}

impl Settings {
    /// What can't be had is refused in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        let map = [("--workers", self.workers > 0), ("--augment", self.augment)];
        if let Some((flag, _)) =
            map.into_iter().find(|(_, given)| *given && self.loader == LoaderName::Memory)
        {
            return Err(format!("{flag} needs a data set; give `--loader map`"));
        }
        let snapshots = [
            ("--dir", self.dir.is_some()),
            ("--checkpoint-every", self.checkpoint_every.is_some()),
            ("--resume", self.resume),
            ("--profile", self.profile),
        ];
        match snapshots.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) if matches!(self.r#loop, Loop::Explicit) => Err(format!(
                "{flag} needs the runner: the explicit loop writes nothing; leave out `--loop explicit`"
            )),
            Some((flag, _)) if self.dir.is_none() => {
                Err(format!("{flag} needs a run directory; give one with `--dir DIR`"))
            }
            Some(_) => Ok(()),
            None => Ok(()),
        }
    }

    /// The optimizer by its name.
    pub(crate) fn optimizer(&self) -> OptimizerConfig {
        match self.optimizer {
            OptimizerName::Sgd => Sgd::new(self.lr).momentum(0.9).into(),
            OptimizerName::Adam => Adam::new(self.lr).into(),
            OptimizerName::Adamw => AdamW::new(self.lr).into(),
            OptimizerName::Radam => RAdam::new(self.lr).into(),
        }
    }

    /// The schedule by its name, over all steps of the run.
    pub(crate) fn schedule(&self, batches: u64) -> Option<Box<dyn Schedule>> {
        let steps = self.epochs * batches.div_ceil(self.accumulate);
        match self.schedule {
            ScheduleName::None => None,
            ScheduleName::Cosine => Some(Box::new(CosineAnnealing::new(steps))),
            ScheduleName::Onecycle => Some(Box::new(OneCycle::new(self.lr, steps))),
        }
    }
}

/// The network, of catena's layers or of tch's modules.
#[derive(Debug)]
pub(crate) enum Network {
    Layers(Layers),
    Modules(nn::SequentialT),
}

impl ModuleT for Network {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        match self {
            Self::Layers(layers) => layers.forward_t(xs, train),
            Self::Modules(modules) => modules.forward_t(xs, train),
        }
    }
}

/// `inputs`-128-`classes` with ReLU and dropout.
pub(crate) fn model(
    vs: &nn::VarStore,
    inputs: i64,
    classes: i64,
    dropout: f64,
    fused: Fused,
) -> catena::Result<Network> {
    let root = vs.root();
    fusing::set(fused == Fused::On);
    if fused == Fused::On {
        let layers = layers::Sequential::new()
            .add("fc1", layers::Linear::new(inputs, 128))
            .add("relu", layers::Relu)
            .add("dropout", layers::Dropout::new(dropout))
            .add("fc2", layers::Linear::new(128, classes));
        return Ok(Network::Layers(layers.build(root)?));
    }
    let modules = nn::seq_t()
        .add(nn::linear(&root / "fc1", inputs, 128, nn::LinearConfig::default()))
        .add_fn(|x| x.relu())
        .add_fn_t(move |x, train| x.dropout(dropout, train))
        .add(nn::linear(&root / "fc2", 128, classes, nn::LinearConfig::default()));
    Ok(Network::Modules(modules))
}
