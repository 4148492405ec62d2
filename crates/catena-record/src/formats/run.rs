//! `run.json`: how a run stands, and what it is made of.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::float;
use crate::retention::{KeepBest, Retention};

/// The file's name in the run directory.
pub const NAME: &str = "run.json";

/// The `status` of a run that goes on, or whose process was killed.
pub const RUNNING: &str = "running";

/// The `mode` of a loader that trains.
pub const TRAIN: &str = "train";

/// The `effect` of a callback that may change the training.
pub const ACTS: &str = "acts";

/// The `effect` of a callback that only looks.
pub const LOOKS: &str = "looks";

/// The `how` of a callback that sets a setting.
pub const SETS: &str = "sets";

/// The `how` of a callback that multiplies what another one sets.
pub const SCALES: &str = "scales";

/// The whole of `run.json`. All of it may be missing where another version has written it.
///
/// ```
/// use catena_record::formats::run::RunFile;
///
/// let run: RunFile = serde_json::from_str(r#"{"status":"running","run":{"seed":3},"of":"a later version"}"#)?;
/// assert_eq!((run.status.as_str(), run.run.seed), ("running", 3));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunFile {
    /// `running`, `completed`, `stopped`, `interrupted` or `failed`.
    pub status: String,
    /// When the run began: RFC 3339, UTC.
    pub started: Option<String>,
    /// When it ended; none while it goes on.
    pub ended: Option<String>,
    /// How the stages ended that have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<EndedStage>,
    /// What the run is made of.
    pub run: Description,
    /// Who stopped the run, if somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<StoppedBy>,
    /// The error that ended it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a stage ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndedStage {
    /// Its name.
    pub stage: String,
    /// The epoch in which it ended.
    pub epoch: u64,
    /// How many epochs it was to have.
    pub epochs: u64,
    /// Who stopped it before its end, if somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StoppedStage>,
}

/// Who stopped a stage, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoppedStage {
    /// The callback's name.
    pub by: String,
    /// Its reason, if it gave one.
    pub why: Option<String>,
}

/// Who stopped a run, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoppedBy {
    /// The callback's name.
    pub callback: String,
    /// Its reason, if it gave one.
    pub why: Option<String>,
}

/// What a run is made of. A snapshot has it too, and a resume compares it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Description {
    /// The seed that all random numbers come from.
    pub seed: u64,
    /// How many processes train together.
    pub world_size: u64,
    /// The stages, in order.
    pub stages: Vec<StageDescription>,
    /// The callbacks, in the order in which they are called.
    pub chain: Vec<CallbackDescription>,
    /// What exactness depends on besides the run itself.
    pub machine: Machine,
}

/// A stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageDescription {
    /// Its name.
    pub name: String,
    /// How many epochs it has.
    pub epochs: u64,
    /// Its loaders, in the order in which an epoch goes through them.
    pub loaders: Vec<StageLoaderDescription>,
    /// Its passes, in order.
    pub passes: Vec<PassDescription>,
    /// Patterns of the parameters that are frozen.
    pub frozen: Vec<String>,
    /// Patterns of the parameters that are frozen while statistics of their layers go on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frozen_parameters: Vec<String>,
    /// What the stage starts from; null for the model as it is.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub start_from: Value,
}

/// A loader in its stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageLoaderDescription {
    /// Its name.
    pub name: String,
    /// `train`, `eval` or `infer`.
    pub mode: String,
    /// How many batches it gives; none if that is not known.
    pub batches: Option<u64>,
    /// What it says of itself; none in a file from before loaders described themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<LoaderSettings>,
}

/// What a loader says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoaderSettings {
    /// The name of its type.
    #[serde(default)]
    pub kind: String,
    /// By name whatever decides which batches it gives.
    #[serde(flatten)]
    pub settings: BTreeMap<String, Value>,
}

/// A pass of a stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassDescription {
    /// Its name.
    pub name: String,
    /// The pattern of the parameters that it trains.
    pub params: String,
    /// The optimizer's settings; null if it has none.
    pub optimizer: Value,
}

/// A callback.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallbackDescription {
    /// The key of its state: its name, with the number of its stage before it.
    pub key: String,
    /// What it is called in its stage.
    pub name: String,
    /// The number of its stage from 0; none for one of the run.
    pub stage: Option<usize>,
    /// Where in the chain it stands, such as `forward`.
    pub phase: String,
    /// [`ACTS`] or [`LOOKS`]; empty in a file of a version that did not say it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub effect: String,
    /// How it is adapted, from the innermost to the outermost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<String>,
    /// The settings of optimizers that it moves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Write>,
    /// A text for people. It is never compared.
    pub note: String,
    /// Its settings; null for one that does not tell.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub settings: Value,
}

/// A setting of optimizers that a callback moves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Write {
    /// The setting's name, such as `lr`.
    pub setting: String,
    /// The pattern of the one group; none for every group.
    pub group: Option<String>,
    /// The name of the one stage; none for every stage that the callback takes part in.
    pub stage: Option<String>,
    /// [`SETS`], or [`SCALES`] for one that multiplies what another callback sets.
    pub how: String,
}

/// What exactness depends on besides the run itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// The version of catena.
    pub catena: String,
    /// The version of libtorch.
    pub libtorch: String,
    /// The device that the run trains on, such as `cuda:0`.
    pub device: String,
    /// How many threads torch has.
    pub threads: i32,
    /// The instructions that torch uses of the CPU, such as `AVX2`.
    pub cpu_capability: String,
    /// Whether layers and losses were fused; none in a file of a catena that could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fused: Option<bool>,
    /// Who multiplied matrices on the CPU: `catena` or `libtorch`; none in a file of a catena that left it to libtorch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gemm: Option<String>,
}

impl RunFile {
    /// The file's content: names in alphabetical order.
    pub fn to_text(&self) -> serde_json::Result<String> {
        Ok(format!("{:#}\n", float::to_value(self)?))
    }
}

impl Description {
    /// What the snapshots that are kept for being good are chosen by, if the run keeps some.
    pub fn best(&self) -> Option<KeepBest> {
        let kept = |callback: &CallbackDescription| {
            Retention::deserialize(callback.settings.get("keep")?).ok()?.best
        };
        self.chain.iter().find_map(kept)
    }
}

impl StageDescription {
    /// How many Train batches an epoch has; none if that is not known.
    pub fn batches_per_epoch(&self) -> Option<u64> {
        let train = self.loaders.iter().filter(|loader| loader.is_train());
        train.map(|loader| loader.batches).try_fold(0_u64, |sum, batches| sum.checked_add(batches?))
    }
}

impl StageLoaderDescription {
    /// Whether it trains.
    pub fn is_train(&self) -> bool {
        self.mode == TRAIN
    }
}

impl CallbackDescription {
    /// Whether it may change the training. One that does not say so may.
    pub fn acts(&self) -> bool {
        self.effect != LOOKS
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_batches_of_an_epoch_are_those_of_its_train_loaders() {
        let stage = |batches: Value| -> StageDescription {
            let train = json!({ "mode": "train", "batches": batches });
            let loaders = json!([train, { "mode": "eval", "batches": 5 }, { "mode": "train", "batches": 7 }]);
            serde_json::from_value(json!({ "loaders": loaders })).unwrap()
        };
        assert_eq!(stage(json!(3)).batches_per_epoch(), Some(10));
        assert_eq!(stage(Value::Null).batches_per_epoch(), None);
        assert_eq!(stage(json!(u64::MAX)).batches_per_epoch(), None);
        assert_eq!(StageDescription::default().batches_per_epoch(), Some(0));
    }

    #[test]
    fn a_callback_that_says_nothing_of_its_effect_may_act() {
        let of =
            |effect: &str| CallbackDescription { effect: effect.into(), ..CallbackDescription::default() };
        assert_eq!(["", ACTS, LOOKS].map(|effect| of(effect).acts()), [true, true, false]);
    }
}
