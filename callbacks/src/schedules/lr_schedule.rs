//! Moves learning rates along a schedule.
use catena_chain::{About, Callback, Context, Event, Events, Flow, Outcome, Phase, Reduce, Result, State};
use catena_tensor::optim::{Group, Optimizer};
use catena_tensor::schedule::{AnySchedule, Schedule};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Sets the learning rate of each group of the pass's optimizer from a [`Schedule`], relative to the rate that the group was
/// made with, and its momentum (or first beta) if the schedule moves it. Logs `lr`, the rate that the last step used
/// (`weight_decay`, `lr(head.*)`, … for those below).
///
/// The counter is the optimizer's own steps: a step that was skipped moves nothing. With [`LrSchedule::by_epoch`] it is the
/// stage's epochs. In a stage of several passes, each pass's optimizer has its own counter. With a
/// [`ReduceLrOnPlateau`](crate::ReduceLrOnPlateau) beside it, its learning rates are multiplied by what that has reduced. A schedule that is made for fewer steps
/// (or epochs) than the stage makes is told with a warning. On resume: the
/// optimizer keeps its steps and rates; with other settings (allowed by name) the values are computed anew.
///
/// ```
/// use catena_callbacks::{LrSchedule, Optimize};
/// use catena_chain::{Event, testing};
/// use catena_tensor::schedule::CosineAnnealing;
///
/// let schedule = LrSchedule::new(CosineAnnealing::new(2));
/// let mut driver = testing::driver(vec![Box::new(Optimize), Box::new(schedule)])?;
/// driver.fire(Event::StageStart)?;
/// driver.fire(Event::Step)?;
/// assert_eq!(driver.context().lr(), Some(0.1)); // the step that was made used this
/// assert_eq!(driver.context().optimizer().unwrap().lr(), 0.05); // the next one uses this
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
///
/// Any other setting is moved relative to what it was when its group was made, and one group can be moved alone:
///
/// ```
/// use catena_callbacks::LrSchedule;
/// use catena_tensor::schedule::{CosineAnnealing, Linear};
///
/// let decay = LrSchedule::new(CosineAnnealing::new(1000)).of("weight_decay");
/// let head = LrSchedule::new(Linear::new()).group("head.*").by_epoch();
/// # use catena_chain::Callback;
/// assert_eq!(decay.about().name, "LrSchedule(weight_decay)");
/// assert_eq!(head.about().name, "LrSchedule(lr of head.*)");
/// ```
///
/// As data: `{"schedule": {"name": "cosine_annealing", "t_max": 1000}, "of": "weight_decay", "group": "head.*", "by_epoch": true}`.
#[derive(Debug, Deserialize)]
#[serde(from = "LrScheduleFields")]
pub struct LrSchedule {
    /// The function from a counter to the value.
    schedule: Box<dyn Schedule>,
    setting: String,
    group: Option<String>,
    by_epoch: bool,
    /// By which it is unique in a chain: `LrSchedule`, and what it moves if that isn't all learning rates.
    name: String,
    /// What it logs.
    key: String,
    /// Whether an epoch has begun and not ended.
    in_epoch: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LrScheduleFields {
    #[serde(deserialize_with = "schedule")]
    schedule: AnySchedule,
    #[serde(default = "lr")]
    of: String,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    by_epoch: bool,
}

fn schedule<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<AnySchedule, D::Error> {
    AnySchedule::from_value(Value::deserialize(from)?).map_err(D::Error::custom)
}

fn lr() -> String {
    "lr".into()
}

impl From<LrScheduleFields> for LrSchedule {
    fn from(LrScheduleFields { schedule, of, group, by_epoch }: LrScheduleFields) -> Self {
        Self { setting: of, group, by_epoch, ..Self::new(schedule) }.renamed()
    }
}

impl Serialize for LrSchedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            schedule: Value,
            of: &'a str,
            group: &'a Option<String>,
            by_epoch: bool,
        }
        let Self { schedule, setting: of, group, by_epoch, name: _, key: _, in_epoch: _ } = self;
        let schedule = match schedule.settings() {
            Value::Null => {
                let name = schedule.name();
                let text = format!(
                    "schedule `{name}` lives in code, or has a part that does, so it can't be written"
                );
                return Err(serde::ser::Error::custom(text));
            }
            settings => settings,
        };
        Written { schedule, of, group, by_epoch: *by_epoch }.serialize(serializer)
    }
}

impl LrSchedule {
    /// By step, for the learning rate of every group.
    pub fn new(schedule: impl Schedule + 'static) -> Self {
        Self::boxed(Box::new(schedule))
    }

    /// By step, from a schedule whose type is not known.
    pub fn boxed(schedule: Box<dyn Schedule>) -> Self {
        let (setting, key, name) = (lr(), lr(), "LrSchedule".into());
        Self { schedule, setting, group: None, by_epoch: false, name, key, in_epoch: false }
    }

    /// By epoch of the stage: the first epoch has counter 0.
    #[must_use]
    pub fn by_epoch(mut self) -> Self {
        self.by_epoch = true;
        self
    }

    /// Moves this setting in place of the learning rate: `weight_decay`, `beta2`, …; `momentum` is the first beta where there
    /// is no momentum.
    #[must_use]
    pub fn of(mut self, setting: impl Into<String>) -> Self {
        self.setting = setting.into();
        self.renamed()
    }

    /// Moves only the group that was made with this pattern.
    #[must_use]
    pub fn group(mut self, pattern: impl Into<String>) -> Self {
        self.group = Some(pattern.into());
        self.renamed()
    }

    fn renamed(mut self) -> Self {
        let setting = &self.setting;
        (self.name, self.key) = match &self.group {
            Some(pattern) => (format!("LrSchedule({setting} of {pattern})"), format!("{setting}({pattern})")),
            None if setting == "lr" => ("LrSchedule".into(), lr()),
            None => (format!("LrSchedule({setting})"), setting.clone()),
        };
        self
    }

    fn moves(&self, group: &Group) -> bool {
        self.group.is_none() || group.pattern() == self.group.as_deref()
    }

    /// Whether the optimizer of this name has a group that is moved.
    fn moves_in(&self, cx: &Context, optimizer: &str) -> bool {
        cx.optimizers.get(optimizer).is_some_and(|own| own.groups().iter().any(|group| self.moves(group)))
    }

    /// Sets what the optimizer of this name uses from the counter on.
    fn set(&self, cx: &mut Context, optimizer: &str, counter: u64) -> Result<()> {
        let momentum = self.schedule.momentum(counter).filter(|_| self.setting == "lr");
        let of_lr = self.setting == "lr";
        let (mut moved, own) = (false, cx.optimizers.get_mut(optimizer));
        let own = own.ok_or_else(|| format!("there is no optimizer `{optimizer}`"))?;
        for group in own.groups_mut().iter_mut().filter(|group| self.moves(group)) {
            let name = name_in(group, &self.setting);
            // one that the group doesn't have is refused by `set`, by name
            let initial = group.initial(name).unwrap_or_default();
            // what a plateau has reduced stays reduced
            let factor = if of_lr { group.lr_factor() } else { 1.0 };
            let value = self.schedule.lr(initial, counter) * factor;
            if !value.is_finite() {
                let (schedule, setting) = (self.schedule.name(), &self.setting);
                return Err(format!(
                    "the schedule `{schedule}` gives {value} for `{setting}` at {counter}, but must give a number"
                )
                .into());
            }
            group.set(name, value)?;
            if let Some(momentum) = momentum {
                let name = name_in(group, "momentum");
                if group.initial(name).is_none() {
                    let schedule = self.schedule.name();
                    return Err(format!(
                        "the schedule `{schedule}` moves the momentum, which the optimizer does not have: switch its \
                         `cycle_momentum` off"
                    )
                    .into());
                }
                group.set(name, momentum)?;
            }
            moved = true;
        }
        if !moved {
            let known: Vec<&str> = own.groups().iter().filter_map(Group::pattern).collect();
            let (pattern, known) = (self.group.as_deref().unwrap_or("*"), known.join(", "));
            return Err(
                format!("the optimizer has no group `{pattern}`; its groups' patterns are: {known}").into()
            );
        }
        Ok(())
    }

    /// Tells once that the stage goes on after what the schedule is made for; `counter` steps or epochs went before this one.
    fn tell_its_end(&self, cx: &Context, counter: u64, of: &str) {
        let Some(total) = self.schedule.total_steps().filter(|total| *total == counter) else { return };
        log::warn!(
            "{}: the schedule `{}` is made for {total} {of}s, and stage `{}` goes on after them: {of} {} and later ones use what the schedule gives there; make it \
             longer, or the stage shorter",
            self.name,
            self.schedule.name(),
            cx.stage(),
            counter + 1
        );
    }

    /// Sets what each optimizer of the stage uses that has something to be moved, from its own counter on.
    fn set_all(&self, cx: &mut Context, counter: impl Fn(&Context, &str) -> u64) -> Result<()> {
        let names: Vec<String> = cx.optimizers.iter().map(|(name, _)| name.to_owned()).collect();
        if names.is_empty() {
            return Err("this stage has no optimizer whose settings it could move".into());
        }
        let moved: Vec<&String> = names.iter().filter(|name| self.moves_in(cx, name)).collect();
        // of which none has the group the first says what there is
        let moved = if moved.is_empty() { vec![&names[0]] } else { moved };
        moved.into_iter().try_for_each(|name| self.set(cx, name, counter(cx, name)))
    }

    /// What the last step used, in the last group that is moved: the rest, which has the rule's own settings.
    fn used(&self, cx: &mut Context) -> Result<Option<f64>> {
        if self.setting == "lr" && self.group.is_none() {
            return Ok(cx.lr());
        }
        let group = cx.optimizer_mut()?.groups().iter().rfind(|group| self.moves(group));
        Ok(group.and_then(|group| group.get(name_in(group, &self.setting))))
    }
}

fn name_in<'a>(group: &Group, setting: &'a str) -> &'a str {
    if setting == "momentum" && group.initial("momentum").is_none() { "beta1" } else { setting }
}

impl Callback for LrSchedule {
    fn about(&self) -> About {
        let hears = &[Event::StageStart, Event::Step, Event::EpochStart, Event::EpochEnd];
        let hears = Events::of(if self.by_epoch { hears } else { &hears[..2] });
        let (group, counter) = (self.group.as_deref(), if self.by_epoch { "epoch" } else { "step" });
        let moves_momentum = self.setting == "lr" && self.schedule.momentum(0).is_some();
        let about = About::named(&self.name)
            .phase(Phase::Schedule)
            .per_pass()
            .hears(hears)
            .logs([self.key.clone()])
            .sets(&self.setting, group)
            .settings(self)
            .note(format!("{} by {counter}", self.schedule.name()));
        if moves_momentum { about.sets("momentum", group) } else { about }
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_resumed(&mut self, cx: &mut Context) -> Result<()> {
        if !cx.has_other_settings() {
            return Ok(());
        }
        // the optimizer has what another schedule, or another initial value, gave
        let epochs = cx.epoch() - u64::from(self.in_epoch);
        let by_epoch = self.by_epoch;
        self.set_all(cx, |cx, name| match by_epoch {
            true => epochs,
            false => cx.optimizers.get(name).map_or(0, Optimizer::steps),
        })
    }

    fn check(&self) -> Result<()> {
        Ok(self.schedule.check()?)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.in_epoch = false;
        self.set_all(cx, |_, _| 0)?;
        Ok(Flow::GO)
    }

    fn on_epoch_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if !self.by_epoch {
            return Ok(Flow::GO);
        }
        self.in_epoch = true;
        self.tell_its_end(cx, cx.epoch() - 1, "epoch");
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        let name = cx.optimizer_name().unwrap_or_default().to_owned();
        if *cx.outcome() != Outcome::Stepped || cx.passes() > 1 && !self.moves_in(cx, &name) {
            return Ok(Flow::GO);
        }
        if let Some(used) = self.used(cx)? {
            cx.log_of_pass(&self.key, used, Reduce::Last)?;
        }
        if !self.by_epoch {
            let steps = cx.optimizer_mut()?.steps();
            self.tell_its_end(cx, steps - 1, "step");
            self.set(cx, &name, steps)?;
        }
        Ok(Flow::GO)
    }

    fn on_epoch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if !self.by_epoch {
            return Ok(Flow::GO);
        }
        self.in_epoch = false;
        let epochs = cx.epoch();
        self.set_all(cx, |_, _| epochs)?;
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests;
