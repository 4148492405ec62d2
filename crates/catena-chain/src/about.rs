//! What a callback is, as data: everything that is known of it before a run.
mod write;

pub use write::{Write, Writes};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Events;
use crate::only::Only;
use crate::phase::Phase;
use catena_tensor::type_name::short_name;

/// What a callback is: where it stands, what it hears, whether it changes the training, and what it reads and writes.
///
/// [`Callback::about`](crate::Callback::about) returns it. The runner reads it once, when the chain is built: `plan()`, `run.json`, the
/// checks of `build()` and the comparison at a resume all go by this value. An adapter (`.every(…)`, `.named(…)`) changes it.
///
/// A callback that says nothing hears every event in phase `user`, *acts*, and may log anything.
///
/// ```
/// use catena_chain::{About, Callback, Context, Effect, Event, Flow, Phase, Result, State};
///
/// /// Logs the learning rate.
/// struct LogLr;
///
/// impl Callback for LogLr {
///     fn about(&self) -> About {
///         About::new::<Self>(Phase::Measure, [Event::Step]).looks().logs(["lr"])
///     }
///
///     fn state(&self) -> State {
///         State::none()
///     }
///
///     fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
///         let lr = cx.lr().unwrap_or_default();
///         cx.log("lr", lr, catena_chain::Reduce::Last)?;
///         Ok(Flow::GO)
///     }
/// }
///
/// let about = LogLr.about();
/// assert_eq!((about.name.as_str(), about.effect), ("LogLr", Effect::Looks));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct About {
    /// The name: the type's own by default. It is unique in a stage, and the key of the callback's state.
    pub name: String,
    /// Where in the chain the callback stands (default [`Phase::User`]).
    pub phase: Phase,
    /// The events that it hears (default all). Other events are not sent: a hook for one of them is never called, which
    /// [`testing::check_callback`](crate::testing::check_callback) finds.
    pub hears: Events,
    /// Whether it may change what is computed (default [`Effect::Acts`]).
    pub effect: Effect,
    /// The part that it plays in a stage, if the runner has to know (default none).
    pub role: Option<Role>,
    /// The settings of optimizers that it moves (default none).
    pub writes: Vec<Write>,
    /// The metrics that it logs, without the loader's name; none if it does not know (the default).
    pub logs: Option<Vec<String>>,
    /// The metrics that it reads when their loaders have ended, by their whole names, such as `valid/loss`.
    pub watches: Vec<String>,
    /// Whether its state begins anew with each stage (default [`Lifetime::Run`]).
    pub lifetime: Lifetime,
    /// Whether each pass of a stage has a state of its own, also at events that have no pass (default false: one state for all).
    pub per_pass: bool,
    /// Whether its state belongs to the model's weights, as an average does: a stage that starts from a snapshot's weights takes it from there too.
    pub of_weights: bool,
    /// The Eval loader that it asks for evaluations on (default none).
    pub evaluates: Option<String>,
    /// Whether it waits for the device at every batch (default false).
    pub syncs: bool,
    /// Whether [`Callback::on_work`](crate::Callback::on_work) is told of the run's work (default false). It costs every hook of the
    /// chain two calls.
    pub observes: bool,
    /// Its settings (default null, and then nothing is compared). They stand in `run.json` and in snapshots. If the callback acts,
    /// a resume with other settings is refused.
    pub settings: Value,
    /// What adapters do to it, such as `every 2 steps`. A resume compares it as it compares the settings.
    pub adapters: Vec<String>,
    /// Where alone it hears, by `.only(…)` (default everywhere). A loader or a stage that does not exist is an error at `build()`.
    pub only: Vec<Only>,
    /// What `plan()` says beside its name (default its settings, see [`About::text`]).
    pub note: String,
}

/// Whether a callback may change what is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It may change the training: skip, stop, change tensors or settings. A resume without it, or with other settings, is refused.
    #[default]
    Acts,
    /// It only looks. It may log, and may ask for evaluations and snapshots. It may come and go at a resume, and a clock may throttle it.
    /// If it skips or stops, that is an error.
    Looks,
}

/// The part that a callback plays in a stage. The runner puts in a callback of its own for a role that nobody takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Moves the batch to the device.
    ToDevice,
    /// Computes the outputs.
    Forward,
    /// Sets the loss.
    Criterion,
    /// Computes the gradients.
    Backward,
    /// Steps the optimizer.
    Optimize,
    /// Clears the gradients.
    ZeroGrad,
    /// Looks whether the model's tensors have stayed finite.
    FiniteModel,
    /// Says when snapshots are taken, and which are kept.
    Checkpoint,
    /// Writes a line for each step.
    Journal,
    /// Writes metrics.
    Loggers,
    /// Measures the run's speed.
    Throughput,
}

/// Whether a callback's state begins anew with each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// The state goes on from stage to stage.
    #[default]
    Run,
    /// At each stage's start the runner gives the callback the state that it had when the chain was built.
    Stage,
}

impl About {
    /// A callback of this type in this phase, which hears these events and no others.
    ///
    /// ```
    /// use catena_chain::{About, Event, Phase};
    ///
    /// struct Clip;
    ///
    /// let about = About::new::<Clip>(Phase::Clip, [Event::Step]).logs_nothing();
    /// assert_eq!((about.name.as_str(), about.phase), ("Clip", Phase::Clip));
    /// assert!(about.hears.contains(Event::Step) && !about.hears.contains(Event::Loss));
    /// ```
    pub fn new<C: ?Sized>(phase: Phase, events: impl Into<Events>) -> Self {
        Self::of::<C>().phase(phase).hears(events)
    }

    /// A callback of this type, which has said nothing else yet.
    pub fn of<C: ?Sized>() -> Self {
        Self::named(short_name::<C>())
    }

    /// A callback of this name, which has said nothing else yet.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            phase: Phase::default(),
            hears: Events::ALL,
            effect: Effect::default(),
            role: None,
            writes: Vec::new(),
            logs: None,
            watches: Vec::new(),
            lifetime: Lifetime::default(),
            per_pass: false,
            of_weights: false,
            evaluates: None,
            syncs: false,
            observes: false,
            settings: Value::Null,
            adapters: Vec::new(),
            only: Vec::new(),
            note: String::new(),
        }
    }

    /// Its phase.
    #[must_use]
    pub fn phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    /// The events that it hears, and no others.
    #[must_use]
    pub fn hears(mut self, events: impl Into<Events>) -> Self {
        self.hears = events.into();
        self
    }

    /// Where alone it hears, as [`CallbackExt::only`](crate::CallbackExt::only) says it: the name is then compared with those that there are.
    #[must_use]
    pub fn only(mut self, only: Only) -> Self {
        self.only.push(only);
        self
    }

    /// It only looks.
    #[must_use]
    pub fn looks(mut self) -> Self {
        self.effect = Effect::Looks;
        self
    }

    /// The part that it plays.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// It sets this setting of the group of this pattern, or with none of every group.
    #[must_use]
    pub fn sets(self, setting: impl Into<String>, group: Option<&str>) -> Self {
        self.writes(setting.into(), group, Writes::Sets)
    }

    /// It multiplies this setting of the group of this pattern, or with none of every group.
    #[must_use]
    pub fn scales(self, setting: impl Into<String>, group: Option<&str>) -> Self {
        self.writes(setting.into(), group, Writes::Scales)
    }

    fn writes(mut self, setting: String, group: Option<&str>, how: Writes) -> Self {
        self.writes.push(Write { setting, group: group.map(str::to_owned), stage: None, how });
        self
    }

    /// The metrics that it logs, and no others.
    #[must_use]
    pub fn logs<S: Into<String>>(mut self, metrics: impl IntoIterator<Item = S>) -> Self {
        self.logs = Some(metrics.into_iter().map(Into::into).collect());
        self
    }

    /// It logs nothing.
    #[must_use]
    pub fn logs_nothing(self) -> Self {
        self.logs::<String>([])
    }

    /// The metrics that it watches.
    #[must_use]
    pub fn watches<S: Into<String>>(mut self, metrics: impl IntoIterator<Item = S>) -> Self {
        self.watches = metrics.into_iter().map(Into::into).collect();
        self
    }

    /// Its state begins anew with each stage if that is so, else it goes on.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Its state belongs to the model's weights, as an average does.
    #[must_use]
    pub fn of_weights(mut self) -> Self {
        self.of_weights = true;
        self
    }

    /// It asks for evaluations on this Eval loader, which is looked for at `build()`.
    #[must_use]
    pub fn evaluates(mut self, loader: impl Into<String>) -> Self {
        self.evaluates = Some(loader.into());
        self
    }

    /// Each pass of a stage has a state of its own.
    #[must_use]
    pub fn per_pass(mut self) -> Self {
        self.per_pass = true;
        self
    }

    /// Whether it waits for the device at every batch.
    #[must_use]
    pub fn syncs(mut self, syncs: bool) -> Self {
        self.syncs = syncs;
        self
    }

    /// It is told of the run's work.
    #[must_use]
    pub fn observes(mut self) -> Self {
        self.observes = true;
        self
    }

    /// Its settings, as what it serializes to; floats that are not finite are words
    /// ([`to_value`](catena_tensor::settings::to_value)). A value that can't be written (a closure in it) is null.
    #[must_use]
    pub fn settings(mut self, settings: &impl Serialize) -> Self {
        self.settings = catena_tensor::settings::to_value(settings);
        self
    }

    /// What `plan()` says beside its name in place of its settings.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// What `plan()` says beside its name: what adapters do to it, the last one first; and its note, or without one its settings. Of these, null, `false`
    /// and empty values are left out, and of one that is `true` its name stands alone.
    ///
    /// ```
    /// use catena_chain::About;
    /// use serde_json::json;
    ///
    /// let sam = About::named("Sam").settings(&json!({ "rho": 0.05, "adaptive": true, "group": null }));
    /// assert_eq!(sam.text(), "adaptive, rho 0.05");
    /// assert_eq!(sam.note("sharp").text(), "sharp");
    /// ```
    pub fn text(&self) -> String {
        let settings = || match &self.settings {
            Value::Null => None,
            Value::Object(settings) => {
                Some(settings.iter().filter_map(setting).collect::<Vec<_>>().join(", "))
            }
            value => Some(plain(value)),
        };
        let own = if self.note.is_empty() { settings().unwrap_or_default() } else { self.note.clone() };
        let all = self.adapters.iter().rev().chain([&own]).filter(|text| !text.is_empty());
        all.map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Whether it may change what is computed.
    pub fn acts(&self) -> bool {
        self.effect == Effect::Acts
    }
}

/// A setting as a reader sees it, if it says something.
fn setting((name, value): (&String, &Value)) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(name.clone()),
        Value::String(text) if text.is_empty() => None,
        Value::Array(all) if all.is_empty() => None,
        Value::Object(all) if all.is_empty() => None,
        value => Some(format!("{name} {}", plain(value))),
    }
}

/// A value without the marks of JSON where there is one number or text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // `1`, as Rust shows the number 1.0
        Value::Number(number) => {
            number.as_f64().filter(|_| number.is_f64()).map_or_else(|| number.to_string(), |x| x.to_string())
        }
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}
