//! How a run differs from the one that a snapshot was taken of, and what can be done about it.
use catena_chain::Effect;
use serde_json::{Map, Value};

use super::description::{CallbackDescription, Description, Machine, StageDescription};
use super::loaders::{self, Compared, StageLoaderDescription};
use crate::stage::Stage;

/// How a run differs from the one that a snapshot was taken of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What was, and what is.
    pub(crate) text: String,
    /// What can be done about it.
    pub(crate) remedy: Remedy,
}

/// What can be done about a difference. Only what a resume can apply is offered to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// It changes no numbers.
    None,
    /// [`RunnerBuilder::allow`](crate::RunnerBuilder::allow) with this name: the run goes on with what is now.
    Allow(String),
    /// A snapshot between two epochs: inside an epoch it can't be applied.
    BetweenEpochs,
    /// A run of its own, with the weights of this one.
    Weights,
}

/// Where the snapshot stands among the stages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// The stage that is open, or that comes next.
    pub(crate) stage: usize,
    /// Whether it has begun.
    pub(crate) has_begun: bool,
    /// The Train loader in whose middle it stands.
    pub(crate) inside: Option<usize>,
}

/// Where a stage stands as seen from the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Ended,
    Open,
    Later,
}

impl Position {
    fn age(self, stage: usize) -> Age {
        match stage.cmp(&self.stage) {
            std::cmp::Ordering::Less => Age::Ended,
            std::cmp::Ordering::Equal if self.has_begun => Age::Open,
            _ => Age::Later,
        }
    }
}

/// Compares a run, whose stages these are, with the one before.
pub(crate) fn differences(
    stages: &[Stage],
    now: &Description,
    before: &Description,
    position: Position,
) -> Vec<Difference> {
    let mut found = Differences::default();
    let seed = if position.inside.is_some() { Remedy::BetweenEpochs } else { allow("seed") };
    found.add(seed, "the seed", before.seed, now.seed);
    found.add(Remedy::Weights, "the number of processes", before.world_size, now.world_size);
    let names = |stages: &[StageDescription]| -> Vec<String> {
        stages.iter().map(|stage| stage.name.clone()).collect()
    };
    let (was, is) = (names(&before.stages), names(&now.stages));
    let begun = position.stage + usize::from(position.has_begun);
    let same_so_far = was.get(..begun).is_some_and(|was| is.get(..begun) == Some(was));
    let remedy = if same_so_far { allow("stages") } else { Remedy::Weights };
    found.add(remedy, "the stages", was.join(", "), is.join(", "));
    // a setting that one version has and another hasn't is none that differs
    let same_catena = now.machine.catena == before.machine.catena;
    for (i, (now, before)) in now.stages.iter().zip(&before.stages).enumerate() {
        let inside = position.inside.filter(|_| position.stage == i);
        let inside = inside.and_then(|loader| before.loaders.get(loader)).map(StageLoaderDescription::name);
        let how = Compared { stage: &now.name, inside, same_catena };
        let mut of_stage = Differences::default();
        now.compare(before, stages.get(i), position.age(i), how, &mut of_stage);
        found.0.extend(of_stage.0.into_iter().map(|difference| match position.age(i) {
            Age::Ended => difference.of_ended(&now.name),
            Age::Open | Age::Later => difference,
        }));
    }
    found.chains(&before.chain, &now.chain, same_catena);
    now.machine.compare(&before.machine, &mut found);
    found.0
}

fn allow(name: &str) -> Remedy {
    Remedy::Allow(name.into())
}

impl Difference {
    /// Of a stage that has ended, nothing is to be carried over.
    fn of_ended(self, stage: &str) -> Self {
        match self.remedy {
            Remedy::Allow(_) => {
                let text = format!("{} (stage `{stage}` has ended: it changes nothing any more)", self.text);
                Self { text, ..self }
            }
            _ => self,
        }
    }
}

impl StageDescription {
    fn compare(
        &self,
        before: &Self,
        stage: Option<&Stage>,
        age: Age,
        how: Compared,
        found: &mut Differences,
    ) {
        let of = format!("of stage `{}`", self.name);
        // optimizers and windows of an open stage have their parameters
        let unless_open = |name: &str| if age == Age::Open { Remedy::Weights } else { allow(name) };
        found.add(allow("epochs"), &format!("the epochs {of}"), before.epochs, self.epochs);
        let (was, is) = (before.frozen.join(", "), self.frozen.join(", "));
        found.add(unless_open("frozen"), &format!("what is frozen {of}"), was, is);
        let (was, is) = (before.frozen_parameters.join(", "), self.frozen_parameters.join(", "));
        found.add(unless_open("frozen"), &format!("what is frozen without its statistics {of}"), was, is);
        let (was, is) = (&before.start_from, &self.start_from);
        found.add(allow("start_from"), &format!("the start {of}"), text_of(was), text_of(is));
        loaders::compare(&before.loaders, &self.loaders, how, found);
        let passes = |stage: &Self| -> String {
            stage.passes.iter().map(|pass| pass.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        found.add(unless_open("passes"), &format!("the passes {of}"), passes(before), passes(self));
        for (i, (now, before)) in self.passes.iter().zip(&before.passes).enumerate() {
            let what = format!("pass `{}` {of}", now.name);
            let remedy = unless_open("params");
            found.add(
                remedy,
                &format!("the parameters of {what}"),
                before.params.clone(),
                now.params.clone(),
            );
            let config = stage.and_then(|stage| stage.passes.get(i)).and_then(|pass| pass.optimizer.as_ref());
            let carries = config.is_some_and(|config| config.goes_on_from(&before.optimizer));
            let remedy = if carries { allow("optimizer") } else { unless_open("optimizer") };
            for (place, was, is) in unequal(&before.optimizer, &now.optimizer, true) {
                let setting = if place.is_empty() { String::new() } else { format!("`{place}` of ") };
                found.add(remedy.clone(), &format!("{setting}the optimizer of {what}"), was, is);
            }
        }
    }
}

impl Machine {
    fn compare(&self, before: &Self, found: &mut Differences) {
        let Self { catena, libtorch, device, threads, cpu_capability } = self;
        let mut differs =
            |what: &str, was: &str, is: &str| found.add(Remedy::None, what, was.to_owned(), is.to_owned());
        differs("catena's version", &before.catena, catena);
        differs("libtorch's version", &before.libtorch, libtorch);
        differs("the device", &before.device, device);
        differs("torch's threads", &before.threads.to_string(), &threads.to_string());
        differs("the CPU's capability", &before.cpu_capability, cpu_capability);
    }
}

/// Differences as they are found.
#[derive(Default)]
pub(super) struct Differences(Vec<Difference>);

impl Differences {
    /// Adds a difference, if there is one.
    pub(super) fn add<T: PartialEq + ToString>(&mut self, remedy: Remedy, what: &str, before: T, now: T) {
        if before != now {
            let text = format!("{what}: {} before, {} now", or_none(&before), or_none(&now));
            self.0.push(Difference { text, remedy });
        }
    }

    /// Tells something that does not count.
    pub(super) fn tell(&mut self, text: String) {
        self.0.push(Difference { text, remedy: Remedy::None });
    }

    fn chains(&mut self, before: &[CallbackDescription], now: &[CallbackDescription], same_catena: bool) {
        let find = |all: &[CallbackDescription], key: &str| all.iter().find(|c| c.key == key).cloned();
        let keys = before.iter().chain(now.iter().filter(|c| find(before, &c.key).is_none()));
        for CallbackDescription { key, .. } in keys {
            let pair = (find(before, key), find(now, key));
            let either = || [&pair.0, &pair.1].into_iter().flatten();
            let name = either().map(|c| c.name.as_str()).find(|name| !name.is_empty()).unwrap_or(key);
            let counts = either().any(|c| c.effect == Effect::Acts);
            let remedy = if counts { allow(name) } else { Remedy::None };
            match &pair {
                (Some(was), Some(is)) => self.callback(&remedy, was, is, same_catena && counts),
                (was, is) => {
                    let text = |callback: &Option<CallbackDescription>| match callback {
                        Some(callback) if callback.note.is_empty() => "there".to_owned(),
                        Some(callback) => format!("there ({})", callback.note),
                        None => "not there".to_owned(),
                    };
                    self.add(remedy, key, text(was), text(is));
                }
            }
        }
        let order = |all: &[CallbackDescription], other: &[CallbackDescription]| -> String {
            let both = |c: &&CallbackDescription| c.effect == Effect::Acts && find(other, &c.key).is_some();
            all.iter().filter(both).map(|c| c.key.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (was, is) = (order(before, now), order(now, before));
        self.add(allow("order"), "the order of the callbacks that act", was, is);
    }

    /// Of a callback that is there before and now; one that didn't tell its settings has none that differ.
    fn callback(&mut self, remedy: &Remedy, was: &CallbackDescription, is: &CallbackDescription, all: bool) {
        let key = &is.key;
        self.add(remedy.clone(), &format!("the phase of {key}"), was.phase.to_string(), is.phase.to_string());
        let effect = |callback: &CallbackDescription| match callback.effect {
            Effect::Acts => "acts",
            Effect::Looks => "only looks",
        };
        self.add(remedy.clone(), key, effect(was), effect(is));
        let (before, now) = (was.adapters.join(", "), is.adapters.join(", "));
        self.add(remedy.clone(), &format!("how {key} is adapted"), before, now);
        if was.settings.is_null() || is.settings.is_null() {
            return;
        }
        for (place, before, now) in unequal(&was.settings, &is.settings, all) {
            self.add(remedy.clone(), &format!("`{place}` of {key}"), before, now);
        }
    }
}

/// What differs between settings, and where: `loss.label_smoothing`. `all`: with what only one of them has.
fn unequal(before: &Value, now: &Value, all: bool) -> Vec<(String, Value, Value)> {
    let mut found = Vec::new();
    collect_unequal("", before, now, all, &mut found);
    found
}

fn collect_unequal(
    place: &str,
    before: &Value,
    now: &Value,
    all: bool,
    found: &mut Vec<(String, Value, Value)>,
) {
    match (before, now) {
        (Value::Object(was), Value::Object(is)) => {
            let keys = was.keys().chain(is.keys().filter(|key| !was.contains_key(*key)));
            for key in keys.filter(|key| all || (was.contains_key(*key) && is.contains_key(*key))) {
                let of = |settings: &Map<String, Value>| settings.get(key).cloned().unwrap_or_default();
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                collect_unequal(&place, &of(was), &of(is), all, found);
            }
        }
        (before, now) if before != now => found.push((place.to_owned(), before.clone(), now.clone())),
        _ => (),
    }
}

fn text_of(value: &Value) -> String {
    if value.is_null() { String::new() } else { value.to_string() }
}

fn or_none(value: &impl ToString) -> String {
    let text = value.to_string();
    if text.is_empty() { "none".into() } else { text }
}
