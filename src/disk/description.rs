//! What a run is made of, as data: kept in each snapshot, and compared with the run that goes on from it.
use catena_chain::drive::{Driver, Member};
use catena_chain::{About, Effect, Phase, Write, Writes};
use catena_record::formats::run;
use catena_tensor::native::context::{cpu_capability, libtorch_version};
use catena_tensor::{device, fusing, gemm, tch};
use serde::{Deserialize, Serialize};

use super::loaders;
use crate::error::RunResult as Result;
use crate::stage::Stage;

/// What a run is made of, as `run.json` and snapshots have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Description(pub(super) run::Description);

impl Description {
    pub(crate) fn of(stages: &[Stage], driver: &Driver) -> Result<Self> {
        let cx = driver.context();
        Ok(Self(run::Description {
            seed: cx.seed(),
            world_size: 1,
            stages: stages.iter().map(of_stage).collect::<Result<_>>()?,
            chain: driver.chain().members().iter().map(of_member).collect(),
            machine: run::Machine {
                catena: env!("CARGO_PKG_VERSION").into(),
                libtorch: libtorch_version(),
                device: device::name(cx.device()),
                threads: tch::get_num_threads(),
                cpu_capability: cpu_capability().map_err(catena_tensor::Error::from)?,
                fused: Some(fusing::is_on()),
                gemm: Some(gemm::name().into()),
            },
        }))
    }

    /// What the run has ended with so far stays what it was: the stages before this one, and their callbacks, are those of the run
    /// before.
    pub(crate) fn keep_ended(&mut self, before: &Self, stages: usize) {
        let (run, before) = (&mut self.0, &before.0);
        for (own, before) in run.stages.iter_mut().zip(&before.stages).take(stages) {
            own.clone_from(before);
        }
        let has_ended = |callback: &run::CallbackDescription| callback.stage.is_some_and(|own| own < stages);
        let find =
            |all: &[run::CallbackDescription], key: &str| all.iter().find(|own| own.key == key).cloned();
        let gone = before.chain.iter().filter(|own| has_ended(own) && find(&run.chain, &own.key).is_none());
        let gone: Vec<_> = gone.cloned().collect();
        // each stays at its place, for the order is compared too
        let own = run
            .chain
            .drain(..)
            .filter_map(|own| if has_ended(&own) { find(&before.chain, &own.key) } else { Some(own) });
        run.chain = own.collect::<Vec<_>>().into_iter().chain(gone).collect();
    }

    /// The settings of optimizers that callbacks of a stage move.
    pub(crate) fn writes(&self, stage: usize) -> impl Iterator<Item = Write> {
        let name = self.0.stages.get(stage).map_or("", |stage| stage.name.as_str());
        self.of_stage(stage)
            .flat_map(|callback| &callback.writes)
            .map(read_write)
            .filter(move |write| write.is_in(name))
    }

    /// The schedules of a stage, as `plan()` has them.
    pub(crate) fn schedules(&self, stage: usize) -> Vec<String> {
        let phase = Phase::Schedule.to_string();
        let schedules = self.of_stage(stage).filter(|callback| callback.phase == phase);
        schedules.map(|callback| format!("{} ({})", callback.key, callback.note)).collect()
    }

    /// The callbacks of a stage and of the run.
    fn of_stage(&self, stage: usize) -> impl Iterator<Item = &run::CallbackDescription> {
        self.0.chain.iter().filter(move |callback| callback.stage.is_none_or(|own| own == stage))
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
        let (now, before) = (self.0.stages.get(stage)?, before.0.stages.get(stage)?);
        loaders::place(&before.loaders, at, is_inside, &now.loaders)
    }

    /// How many epochs a stage has.
    pub(crate) fn epochs(&self, stage: usize) -> Option<u64> {
        self.0.stages.get(stage).map(|stage| stage.epochs)
    }
}

fn of_stage(stage: &Stage) -> Result<run::StageDescription> {
    let passes = stage.passes.iter().map(|pass| {
        let optimizer = pass.optimizer.as_ref().map(|config| config.to_value()).transpose()?;
        let (name, params) = (pass.name.clone(), pass.params.clone());
        Ok(run::PassDescription { name, params, optimizer: optimizer.unwrap_or_default() })
    });
    Ok(run::StageDescription {
        name: stage.name.clone(),
        epochs: stage.epochs,
        loaders: stage.loaders.iter().map(loaders::describe).collect(),
        passes: passes.collect::<Result<_>>()?,
        frozen: stage.frozen.clone(),
        frozen_parameters: stage.frozen_parameters.clone(),
        start_from: stage.start_from.to_value(),
    })
}

fn of_member(member: &Member) -> run::CallbackDescription {
    let About { phase, effect, adapters, writes, settings, .. } = member.about();
    run::CallbackDescription {
        key: member.key(),
        name: member.name().to_owned(),
        stage: member.stage(),
        phase: phase.to_string(),
        effect: match effect {
            Effect::Acts => run::ACTS.into(),
            Effect::Looks => run::LOOKS.into(),
        },
        adapters: adapters.clone(),
        writes: writes.iter().map(of_write).collect(),
        note: member.about().text(),
        settings: settings.clone(),
    }
}

fn of_write(Write { setting, group, stage, how }: &Write) -> run::Write {
    let how = match how {
        Writes::Sets => run::SETS,
        Writes::Scales => run::SCALES,
    };
    run::Write { setting: setting.clone(), group: group.clone(), stage: stage.clone(), how: how.into() }
}

fn read_write(run::Write { setting, group, stage, how }: &run::Write) -> Write {
    let how = if how == run::SCALES { Writes::Scales } else { Writes::Sets };
    Write { setting: setting.clone(), group: group.clone(), stage: stage.clone(), how }
}
