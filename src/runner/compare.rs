//! Whether a run may go on from a snapshot, and with what: what differs is applied or refused.
use catena_chain::{Stop, Writes};
use catena_record::SnapshotName;
use catena_tensor::model::Mode;

use super::Runner;
use crate::cursor::Open;
use crate::disk::{Description, Difference, Position, Remedy, SafePoint, SavedState, differences};
use crate::error::Error;
use crate::error::RunResult as Result;

impl Runner {
    /// Refuses a run that is another one, and applies what was allowed to the place that it goes on from. Gives whether anything differs
    /// that changes the numbers.
    pub(super) fn compare(&mut self, snapshot: SnapshotName, state: &mut SavedState) -> Result<bool> {
        let now = Description::of(&self.stages, &self.driver)?;
        let allowed = |name: &str| self.allowed.iter().any(|allowed| allowed == name);
        let reopens = allowed("epochs") && self.goes_to_more_epochs(&now, state);
        let is_inside = state.cursor.open == Open::Loader;
        let position = Position {
            stage: if reopens { state.stage } else { state.cursor.stage },
            has_begun: reopens || matches!(state.cursor.open, Open::Stage | Open::Epoch | Open::Loader),
            inside: is_inside.then_some(state.cursor.loader),
        };
        let (mut refused, mut differs) = (Refused::default(), false);
        for Difference { text, remedy } in differences(&self.stages, &now, &state.run, position) {
            match remedy {
                Remedy::None => log::warn!("the run is not quite the one that was saved: {text}"),
                Remedy::Allow(name) if allowed(&name) => {
                    log::warn!(
                        "the run goes on with what is other than before, as `{name}` is allowed: {text}"
                    );
                    differs = true;
                }
                Remedy::Allow(name) => refused.offered.push(format!("{text} (`{name}`)")),
                Remedy::BetweenEpochs => refused.inside.push(text),
                Remedy::Weights => refused.never.push(text),
            }
        }
        // the loaders of an epoch that is open are found by their names
        if refused.is_empty() && state.cursor.open >= Open::Epoch && state.cursor.open != Open::Ended {
            match now.loader_place(&state.run, state.stage, state.cursor.loader, is_inside) {
                Some(place) => state.cursor.loader = place,
                None => refused.inside.push(format!(
                    "the Train loaders of stage `{}`, of which the epoch has done some",
                    state.stage_name
                )),
            }
        }
        if !refused.is_empty() {
            return Err(Error::OtherRun { differences: self.sentence(&refused, snapshot) });
        }
        if allowed("stop") && state.progress.stop() > Stop::None {
            log::warn!("the stop that ended the run is forgotten, as `stop` is allowed");
            state.progress.clear_stop();
        }
        if reopens {
            self.reopen(&now, state);
        }
        let has_more = state.cursor.open == Open::Ended && state.cursor.stage < self.stages.len();
        if has_more && allowed("stages") && !state.cursor.cut_short {
            // stages that are new follow the last one
            (state.cursor.open, state.point) = (Open::Run, SafePoint::Stage);
        }
        let ended = position.stage;
        self.before = Some((state.run.clone(), ended));
        Ok(differs)
    }

    /// What is in the way, and for each kind of it what can be done.
    fn sentence(&mut self, refused: &Refused, snapshot: SnapshotName) -> String {
        let mut parts = Vec::new();
        if !refused.offered.is_empty() {
            let texts = refused.offered.join("; ");
            parts.push(format!(
                "{texts}; to go on all the same, name what is in parentheses with `.allow(\"…\")`"
            ));
        }
        if !refused.inside.is_empty() {
            let between = self.disk.as_mut().and_then(|disk| disk.newest_between_epochs(snapshot));
            let resume = between.map_or("resume from one that was taken at an epoch's end".into(), |path| {
                format!("resume from the one at an epoch's end, with `Resume::Path({path:?})`")
            });
            parts.push(format!(
                "{}. The snapshot is inside an epoch, which can't go on with other batches: {resume}, or begin another run with its \
                 weights, by `InitFrom`",
                refused.inside.join("; ")
            ));
        }
        if !refused.never.is_empty() {
            parts.push(format!(
                "{}. The state of the stage that is open can't be carried over to that: put it back, or begin another run with the \
                 weights, by `InitFrom`",
                refused.never.join("; ")
            ));
        }
        parts.join(". ") + &self.disk.as_mut().map_or(String::new(), |disk| disk.passed_over())
    }

    /// A place that this run does not have is refused before anything is touched.
    pub(super) fn check_place(&self, state: &SavedState) -> Result<()> {
        let SavedState { cursor, stage, progress, point, evaluations, .. } = state;
        let wrong = |why: &str| Err(Error::Build(format!("the snapshot can't be gone on from: {why}")));
        let Some(own) = self.stages.get(*stage) else {
            return wrong("it names a stage that there is not");
        };
        let is_between = matches!(point, SafePoint::Stage | SafePoint::Run);
        let fits = match cursor.open {
            Open::Nothing => false,
            Open::Run => point == &SafePoint::Stage && cursor.stage == stage + 1,
            Open::Ended => point == &SafePoint::Run,
            Open::Stage | Open::Epoch | Open::Loader => !is_between && cursor.stage == *stage,
        };
        if !fits {
            return wrong("its cursor is at no place of the run");
        }
        if progress.windows() != own.passes.len() {
            return wrong("it has windows of other passes");
        }
        let is_known = |name: &String| own.loaders.iter().any(|l| l.name == *name && l.mode == Mode::Eval);
        if let Some(name) = evaluations.iter().find(|name| !is_known(name)) {
            return wrong(&format!(
                "an evaluation on `{name}` is still to be run, and the stage has no such Eval loader"
            ));
        }
        let loader = own.loaders.get(cursor.loader);
        match (cursor.open, loader) {
            (Open::Loader, Some(loader)) if loader.mode.is_train() => {
                let start = self.data_start(*stage, cursor.loader, progress.epoch());
                let batches = loader.source.batches_of(&start);
                if batches.is_some_and(|n| progress.loader_batch() > n) {
                    return wrong("its loader has fewer batches");
                }
            }
            (Open::Loader, _) => return wrong("its loader is no Train loader"),
            _ => {}
        }
        Ok(())
    }

    fn goes_to_more_epochs(&self, now: &Description, state: &SavedState) -> bool {
        let has_ended =
            matches!(state.point, SafePoint::Stage | SafePoint::Run) && state.stage + 1 == self.stages.len();
        let (before, after) = (state.run.epochs(state.stage), now.epochs(state.stage));
        has_ended && before < after && !state.cursor.cut_short
    }

    /// A stage that had ended, with nothing after it, goes on to more epochs.
    fn reopen(&self, now: &Description, state: &mut SavedState) {
        let schedules = now.schedules(state.stage);
        log::warn!(
            "stage `{}` goes on to more epochs; schedules are functions of their own settings and don't stretch by themselves: {}",
            state.stage_name,
            if schedules.is_empty() { "it has none".into() } else { schedules.join(", ") }
        );
        let cursor = &mut state.cursor;
        (cursor.stage, cursor.open) = (state.stage, Open::Stage);
        cursor.epochs = state.run.epochs(state.stage).unwrap_or_default();
        state.point = SafePoint::Epoch;
    }

    /// What the run is made of: of stages that ended in a run before, what they ran with.
    pub(super) fn describe(&self) -> Result<Description> {
        let mut now = Description::of(&self.stages, &self.driver)?;
        if let Some((before, ended)) = &self.before {
            now.keep_ended(before, *ended);
        }
        Ok(now)
    }

    /// Gives settings back their own values that a callback has moved which is not there any more.
    pub(super) fn put_back_unwritten(&mut self, stage: usize) -> Result<()> {
        let Some((before, _)) = &self.before else { return Ok(()) };
        let now = Description::of(&self.stages, &self.driver)?;
        let kept: Vec<_> = now.writes(stage).collect();
        let gone: Vec<_> = before.writes(stage).filter(|write| !kept.contains(write)).collect();
        let cx = self.driver.context_mut();
        let names: Vec<String> = cx.optimizers.iter().map(|(name, _)| name.to_owned()).collect();
        for write in gone {
            for name in &names {
                let Some(optimizer) = cx.optimizers.get_mut(name) else { continue };
                for group in optimizer.groups_mut() {
                    let is_it = write.group.is_none() || write.group.as_deref() == group.pattern();
                    // rules without a momentum have a first beta in its place
                    let settings = [write.setting.as_str(), "beta1"];
                    let known = settings.iter().take(if write.setting == "momentum" { 2 } else { 1 });
                    let known = known.copied().find_map(|name| Some((name, group.initial(name)?)));
                    if let (true, Some((setting, initial))) = (is_it, known) {
                        if write.how == Writes::Scales {
                            group.forget_lr_factor();
                        }
                        group.set(setting, initial)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// What is in the way of a resume, by what can be done about it.
#[derive(Debug, Default)]
struct Refused {
    offered: Vec<String>,
    inside: Vec<String>,
    never: Vec<String>,
}

impl Refused {
    fn is_empty(&self) -> bool {
        self.offered.is_empty() && self.inside.is_empty() && self.never.is_empty()
    }
}
