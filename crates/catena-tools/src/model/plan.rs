//! What a run is to do, by its `run.json`, and where it is.
use catena_record::formats::run::{EndedStage, RunFile, StageDescription, StoppedBy, StoppedStage};
use catena_record::retention::KeepBest;
use serde::Deserialize;

use super::time::seconds;

/// A run as `run.json` has it. All of it may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Plan {
    pub(crate) file: RunFile,
}

/// Where a run is among what it is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Place {
    /// The stage's number from 1, and how many there are; none if there is only one.
    pub(crate) stage: Option<(usize, usize)>,
    /// The epochs of the stage.
    pub(crate) epochs: Option<u64>,
    /// Train batches of this epoch, and how many it has.
    pub(crate) in_epoch: Option<(u64, u64)>,
    /// Train batches that are done of the run, and all.
    pub(crate) batches: Option<(u64, u64)>,
    /// How much is done, from 0 to 1.
    pub(crate) share: Option<f64>,
}

impl Plan {
    /// Who stopped the run and why, as a sentence; or the stage that was stopped last before its end: in which epoch, by whom, and why.
    pub(crate) fn stopped(&self) -> Option<String> {
        let because = |why: &Option<String>| why.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let run = |StoppedBy { callback, why }: &StoppedBy| format!("stopped by {callback}{}", because(why));
        let stage = |ended: &EndedStage| {
            let EndedStage { stage, epoch, epochs, stopped } = ended;
            let StoppedStage { by, why } = stopped.as_ref()?;
            Some(format!("stage {stage} stopped in epoch {epoch} of {epochs} by {by}{}", because(why)))
        };
        let RunFile { stopped_by, stages, .. } = &self.file;
        stopped_by.as_ref().map(run).or_else(|| stages.iter().rev().find_map(stage))
    }

    /// When the run began, in seconds since 1970.
    pub(crate) fn started(&self) -> Option<f64> {
        seconds(self.file.started.as_deref()?)
    }

    /// When it ended.
    pub(crate) fn ended(&self) -> Option<f64> {
        seconds(self.file.ended.as_deref()?)
    }

    /// The device that it trains on.
    pub(crate) fn device(&self) -> &str {
        &self.file.run.machine.device
    }

    /// By which metric the run keeps its best checkpoints, if it does.
    pub(crate) fn best(&self) -> Option<KeepBest> {
        self.file.run.best()
    }

    /// A stage by its name.
    fn stage(&self, name: &str) -> Option<&StageDescription> {
        self.file.run.stages.iter().find(|known| known.name == name)
    }

    /// Whether a loader of this name trains, so far as is known.
    pub(crate) fn may_train(&self, loader: &str) -> bool {
        let all = self.file.run.stages.iter().flat_map(|stage| &stage.loaders);
        let mut named = all.filter(|known| known.name == loader).peekable();
        named.peek().is_none() || named.any(|known| known.is_train())
    }

    /// How many Train batches an epoch of a stage has, if that is known.
    pub(crate) fn batches_of(&self, stage: &str) -> Option<u64> {
        self.stage(stage)?.batches_per_epoch().filter(|batches| *batches > 0)
    }

    /// Where the run is, by the stage's name, its epoch from 1, and the run's train batches.
    pub(crate) fn place(&self, stage: &str, epoch: u64, batch: u64) -> Place {
        let stages = &self.file.run.stages;
        let Some(index) = stages.iter().position(|known| known.name == stage) else {
            return Place::default();
        };
        let (before, from_here) = stages.split_at(index);
        let Some(here) = from_here.first() else { return Place::default() };
        let number = (stages.len() > 1).then_some((index + 1, stages.len()));
        let epochs_done = epoch.saturating_sub(1).min(here.epochs);
        let sum = |stages: &[StageDescription]| -> Option<u64> {
            stages.iter().map(batches).try_fold(0_u64, |sum, batches| sum.checked_add(batches?))
        };
        let mut place = Place { stage: number, epochs: Some(here.epochs), ..Place::default() };
        let (Some(per_epoch), Some(earlier), Some(all)) =
            (here.batches_per_epoch(), sum(before), sum(stages))
        else {
            let epochs = |stages: &[StageDescription]| {
                stages.iter().map(|stage| stage.epochs).fold(0, u64::saturating_add)
            };
            let (done, all) = (epochs(before).saturating_add(epochs_done), epochs(stages));
            place.share = (all > 0).then(|| done as f64 / all as f64);
            return place;
        };
        // stages and epochs that ended early count as whole
        let whole = earlier.saturating_add(epochs_done.saturating_mul(per_epoch));
        let in_epoch = batch.saturating_sub(whole);
        let in_epoch = if in_epoch > per_epoch { 0 } else { in_epoch };
        let done = whole.saturating_add(in_epoch).min(all);
        place.in_epoch = Some((in_epoch, per_epoch));
        place.batches = Some((done, all));
        place.share = (all > 0).then(|| done as f64 / all as f64);
        place
    }
}

/// All Train batches of a stage.
fn batches(stage: &StageDescription) -> Option<u64> {
    stage.batches_per_epoch()?.checked_mul(stage.epochs)
}

#[cfg(test)]
mod tests {
    use catena_record::retention::Goal;
    use serde_json::{Value, json};

    use super::*;

    fn plan(batches: Value) -> Plan {
        let loaders = json!([
            { "name": "train", "mode": "train", "batches": batches },
            { "name": "valid", "mode": "eval", "batches": 3 },
        ]);
        let stage = |name: &str, epochs: u64| json!({ "name": name, "epochs": epochs, "loaders": loaders });
        let best = json!({ "k": 1, "metric": "valid/auc", "goal": "max" });
        let keep = json!({ "keep_last": 2, "best": best, "every": 5 });
        let chain = json!([{ "key": "Forward" }, { "key": "mine", "note": "as it likes", "settings": { "keep": keep } }]);
        let run = json!({ "stages": [stage("warm", 2), stage("main", 4)], "chain": chain });
        serde_json::from_value(json!({ "status": "running", "run": run, "of": "a later version" })).unwrap()
    }

    #[test]
    fn a_place_is_counted_in_batches() {
        let place = plan(json!(10)).place("main", 2, 35);
        assert_eq!(place.stage, Some((2, 2)));
        assert_eq!((place.epochs, place.in_epoch, place.batches), (Some(4), Some((5, 10)), Some((35, 60))));
        assert!((place.share.unwrap() - 35.0 / 60.0).abs() < 1e-12);
    }

    #[test]
    fn loaders_of_unknown_length_are_counted_in_epochs() {
        let place = plan(Value::Null).place("main", 2, 35);
        assert_eq!((place.epochs, place.in_epoch, place.batches), (Some(4), None, None));
        assert_eq!(place.share, Some(0.5));
    }

    #[test]
    fn a_stage_that_ended_early_counts_as_whole() {
        let place = plan(json!(10)).place("main", 1, 7);
        assert_eq!((place.in_epoch, place.batches), (Some((0, 10)), Some((20, 60))));
    }

    #[test]
    fn odd_files_are_no_reason_to_fail() {
        let plan: Plan = serde_json::from_str("{}").unwrap();
        assert_eq!(plan.place("main", 1, 1), Place::default());
        let huge = json!({ "run": { "stages": [{ "name": "a", "epochs": u64::MAX, "loaders": [{ "mode": "train", "batches": 9 }] }] } });
        let plan: Plan = serde_json::from_value(huge).unwrap();
        assert_eq!(plan.place("a", u64::MAX, 1).batches, None);
    }

    #[test]
    fn the_best_is_what_the_run_keeps() {
        let best = plan(Value::Null).best().unwrap();
        assert_eq!((best.metric.as_str(), best.goal), ("valid/auc", Goal::Max));
    }
}
