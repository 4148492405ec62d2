//! What a run is made of, as data: kept in each snapshot, and compared with the run that goes on from it.
use catena_chain::{Driver, Effect, Phase, Write};
use catena_tensor::native::context::{cpu_capability, libtorch_version};
use catena_tensor::{device, tch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::loaders::{self, StageLoaderDescription};
use crate::error::RunResult as Result;
use crate::stage::Stage;

/// What a run is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(super) seed: u64,
    pub(super) world_size: u64,
    pub(super) stages: Vec<StageDescription>,
    pub(super) chain: Vec<CallbackDescription>,
    pub(super) machine: Machine,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StageDescription {
    pub(super) name: String,
    pub(super) epochs: u64,
    pub(super) loaders: Vec<StageLoaderDescription>,
    pub(super) passes: Vec<PassDescription>,
    pub(super) frozen: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) frozen_parameters: Vec<String>,
    /// Null for a model as it is.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) start_from: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PassDescription {
    pub(super) name: String,
    pub(super) params: String,
    pub(super) optimizer: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CallbackDescription {
    pub(super) key: String,
    /// What it is called in its stage.
    #[serde(default)]
    pub(super) name: String,
    /// The number of its stage; none for one of the run.
    #[serde(default)]
    pub(super) stage: Option<usize>,
    pub(super) phase: Phase,
    #[serde(default)]
    pub(super) effect: Effect,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) adapters: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) writes: Vec<Write>,
    pub(super) note: String,
    /// Null for one that doesn't tell.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) settings: Value,
}

/// What exactness depends on besides the run itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) catena: String,
    pub(super) libtorch: String,
    pub(super) device: String,
    pub(super) threads: i32,
    pub(super) cpu_capability: String,
}

impl Description {
    pub(crate) fn of(stages: &[Stage], driver: &Driver) -> Result<Self> {
        let cx = driver.context();
        let chain = driver.chain().members().iter().map(|member| CallbackDescription {
            key: member.key(),
            name: member.name().to_owned(),
            stage: member.stage(),
            phase: member.about().phase,
            effect: member.about().effect,
            adapters: member.about().adapters.clone(),
            writes: member.about().writes.clone(),
            note: member.about().note.clone(),
            settings: member.about().settings.clone(),
        });
        Ok(Self {
            seed: cx.seed(),
            world_size: 1,
            stages: stages.iter().map(StageDescription::of).collect::<Result<_>>()?,
            chain: chain.collect(),
            machine: Machine {
                catena: env!("CARGO_PKG_VERSION").into(),
                libtorch: libtorch_version(),
                device: device::name(cx.device()),
                threads: tch::get_num_threads(),
                cpu_capability: cpu_capability().map_err(catena_tensor::Error::from)?,
            },
        })
    }

    /// What the run has ended with so far stays what it was: the stages before this one, and their callbacks, are those of the run
    /// before.
    pub(crate) fn keep_ended(&mut self, before: &Self, stages: usize) {
        for (own, before) in self.stages.iter_mut().zip(&before.stages).take(stages) {
            own.clone_from(before);
        }
        let has_ended = |callback: &CallbackDescription| callback.stage.is_some_and(|own| own < stages);
        let find = |all: &[CallbackDescription], key: &str| all.iter().find(|own| own.key == key).cloned();
        let gone = before.chain.iter().filter(|own| has_ended(own) && find(&self.chain, &own.key).is_none());
        let gone: Vec<_> = gone.cloned().collect();
        // each stays at its place, for the order is compared too
        let own = self
            .chain
            .drain(..)
            .filter_map(|own| if has_ended(&own) { find(&before.chain, &own.key) } else { Some(own) });
        self.chain = own.collect::<Vec<_>>().into_iter().chain(gone).collect();
    }

    /// The settings of optimizers that callbacks of a stage move.
    pub(crate) fn writes(&self, stage: usize) -> impl Iterator<Item = &Write> {
        let here = self.chain.iter().filter(move |callback| callback.stage.is_none_or(|own| own == stage));
        let name = self.stages.get(stage).map_or("", |stage| stage.name.as_str());
        here.flat_map(|callback| &callback.writes).filter(move |write| write.is_in(name))
    }

    /// The schedules of a stage, as `plan()` has them.
    pub(crate) fn schedules(&self, stage: usize) -> Vec<String> {
        let here = self.chain.iter().filter(|c| c.stage.is_none_or(|own| own == stage));
        here.filter(|c| c.phase == Phase::Schedule).map(|c| format!("{} ({})", c.key, c.note)).collect()
    }

    /// The place at which an epoch of a stage goes on that was at the loader `at`, which had begun if `is_inside`. None if the loaders
    /// are such that it can't.
    pub(crate) fn loader_place(
        &self,
        before: &Self,
        stage: usize,
        at: usize,
        is_inside: bool,
    ) -> Option<usize> {
        let (now, before) = (self.stages.get(stage)?, before.stages.get(stage)?);
        loaders::place(&before.loaders, at, is_inside, &now.loaders)
    }

    /// How many epochs a stage has.
    pub(crate) fn epochs(&self, stage: usize) -> Option<u64> {
        self.stages.get(stage).map(|stage| stage.epochs)
    }
}

impl StageDescription {
    fn of(stage: &Stage) -> Result<Self> {
        let loaders = stage.loaders.iter().map(StageLoaderDescription::of);
        let passes = stage.passes.iter().map(|pass| {
            let optimizer = pass.optimizer.as_ref().map(|config| config.to_value()).transpose()?;
            let (name, params) = (pass.name.clone(), pass.params.clone());
            Ok(PassDescription { name, params, optimizer: optimizer.unwrap_or_default() })
        });
        Ok(Self {
            name: stage.name.clone(),
            epochs: stage.epochs,
            loaders: loaders.collect(),
            passes: passes.collect::<Result<_>>()?,
            frozen: stage.frozen.clone(),
            frozen_parameters: stage.frozen_parameters.clone(),
            start_from: stage.start_from.to_value(),
        })
    }
}
