//! How a run differs from the one that a snapshot was taken of, and what can be done about it.
use catena_record::formats::run::{CallbackDescription, LOOKS, Machine, StageDescription};
use serde_json::{Map, Value};

use super::description::Description;
use super::difference::{Difference, Differences, Remedy};
use super::loaders::{self, Compared};
use crate::stage::Stage;

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
    let (Description(now), Description(before)) = (now, before);
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
        let inside = inside.and_then(|loader| before.loaders.get(loader)).map(|loader| loader.name.as_str());
        let how = Compared { stage: &now.name, inside, same_catena };
        let mut of_stage = Differences::default();
        compare_stages(now, before, stages.get(i), position.age(i), how, &mut of_stage);
        found.0.extend(of_stage.0.into_iter().map(|difference| match position.age(i) {
            Age::Ended => difference.of_ended(&now.name),
            Age::Open | Age::Later => difference,
        }));
    }
    found.chains(&before.chain, &now.chain, same_catena);
    compare_machines(&now.machine, &before.machine, &mut found);
    found.0
}

/// How a stage differs.
fn compare_stages(
    now: &StageDescription,
    before: &StageDescription,
    stage: Option<&Stage>,
    age: Age,
    how: Compared,
    found: &mut Differences,
) {
    let of = format!("of stage `{}`", now.name);
    // optimizers and windows of an open stage have their parameters
    let unless_open = |name: &str| if age == Age::Open { Remedy::Weights } else { allow(name) };
    found.add(allow("epochs"), &format!("the epochs {of}"), before.epochs, now.epochs);
    let (was, is) = (before.frozen.join(", "), now.frozen.join(", "));
    found.add(unless_open("frozen"), &format!("what is frozen {of}"), was, is);
    let (was, is) = (before.frozen_parameters.join(", "), now.frozen_parameters.join(", "));
    found.add(unless_open("frozen"), &format!("what is frozen without its statistics {of}"), was, is);
    let (was, is) = (&before.start_from, &now.start_from);
    found.add(allow("start_from"), &format!("the start {of}"), text_of(was), text_of(is));
    loaders::compare(&before.loaders, &now.loaders, how, found);
    let passes = |stage: &StageDescription| -> String {
        stage.passes.iter().map(|pass| pass.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    found.add(unless_open("passes"), &format!("the passes {of}"), passes(before), passes(now));
    for (i, (now, before)) in now.passes.iter().zip(&before.passes).enumerate() {
        let what = format!("pass `{}` {of}", now.name);
        let remedy = unless_open("params");
        found.add(remedy, &format!("the parameters of {what}"), before.params.clone(), now.params.clone());
        let config = stage.and_then(|stage| stage.passes.get(i)).and_then(|pass| pass.optimizer.as_ref());
        let carries = config.is_some_and(|config| config.goes_on_from(&before.optimizer));
        let remedy = if carries { allow("optimizer") } else { unless_open("optimizer") };
        for (place, was, is) in unequal(&before.optimizer, &now.optimizer, true) {
            let setting = if place.is_empty() { String::new() } else { format!("`{place}` of ") };
            found.add(remedy.clone(), &format!("{setting}the optimizer of {what}"), was, is);
        }
    }
}

/// How what exactness depends on differs: it changes no decision.
fn compare_machines(now: &Machine, before: &Machine, found: &mut Differences) {
    let Machine { catena, libtorch, device, threads, cpu_capability, fused, gemm } = now;
    let mut differs =
        |what: &str, was: &str, is: &str| found.add(Remedy::None, what, was.to_owned(), is.to_owned());
    differs("catena's version", &before.catena, catena);
    differs("libtorch's version", &before.libtorch, libtorch);
    differs("the device", &before.device, device);
    differs("torch's threads", &before.threads.to_string(), &threads.to_string());
    differs("the CPU's capability", &before.cpu_capability, cpu_capability);
    // a run without the record left them to libtorch
    let who = |gemm: &Option<String>| gemm.clone().unwrap_or_else(|| "libtorch".to_owned());
    differs("who multiplies matrices", &who(&before.gemm), &who(gemm));
    // a run without the record computed layers one by one, which has the same bits
    if let (Some(was), Some(is)) = (before.fused, *fused) {
        found.add(allow("fused"), "whether layers and losses are fused", was, is);
    }
}

impl Differences {
    fn chains(&mut self, before: &[CallbackDescription], now: &[CallbackDescription], same_catena: bool) {
        let find = |all: &[CallbackDescription], key: &str| all.iter().find(|c| c.key == key).cloned();
        if before.iter().any(|callback| callback.effect.is_empty()) {
            self.tell(UNRECORDED.into());
        }
        let before: Vec<_> = before.iter().map(|was| as_recorded(was, find(now, &was.key))).collect();
        let before = before.as_slice();
        let keys = before.iter().chain(now.iter().filter(|c| find(before, &c.key).is_none()));
        for CallbackDescription { key, .. } in keys {
            let pair = (find(before, key), find(now, key));
            let either = || [&pair.0, &pair.1].into_iter().flatten();
            let name = either().map(|c| c.name.as_str()).find(|name| !name.is_empty()).unwrap_or(key);
            let counts = either().any(|c| c.acts());
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
            let both = |c: &&CallbackDescription| c.acts() && find(other, &c.key).is_some();
            all.iter().filter(both).map(|c| c.key.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (was, is) = (order(before, now), order(now, before));
        self.add(allow("order"), "the order of the callbacks that act", was, is);
    }

    /// Of a callback that is there before and now; one that didn't tell its settings has none that differ.
    fn callback(&mut self, remedy: &Remedy, was: &CallbackDescription, is: &CallbackDescription, all: bool) {
        let key = &is.key;
        self.add(remedy.clone(), &format!("the phase of {key}"), was.phase.clone(), is.phase.clone());
        let effect = |callback: &CallbackDescription| match callback.effect.as_str() {
            LOOKS => "only looks".to_owned(),
            other => other.to_owned(),
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

/// What is told of a snapshot from before callbacks said whether they act.
const UNRECORDED: &str =
    "the snapshot does not record whether callbacks act, nor how they are adapted, so neither was compared";

/// A callback of a snapshot that does not record its effect has that of now.
fn as_recorded(was: &CallbackDescription, is: Option<CallbackDescription>) -> CallbackDescription {
    match is {
        Some(is) if was.effect.is_empty() => {
            let (effect, adapters) = (is.effect, is.adapters);
            CallbackDescription { effect, adapters, ..was.clone() }
        }
        _ => was.clone(),
    }
}

fn allow(name: &str) -> Remedy {
    Remedy::Allow(name.into())
}

#[cfg(test)]
mod tests {
    use catena_record::formats::run::ACTS;

    use super::*;

    fn callback(key: &str, effect: &str, note: &str) -> CallbackDescription {
        let (key, name, effect, note) = (key.into(), key.into(), effect.into(), note.into());
        CallbackDescription { key, name, effect, note, ..CallbackDescription::default() }
    }

    fn found(before: &[CallbackDescription], now: &[CallbackDescription]) -> Vec<Difference> {
        let mut found = Differences::default();
        found.chains(before, now, true);
        found.0
    }

    #[test]
    fn notes_are_for_people_and_are_not_compared() {
        let before = [callback("Ema", ACTS, "every step"), callback("Console", LOOKS, "each epoch")];
        let now = [callback("Ema", ACTS, "each step"), callback("Console", LOOKS, "")];
        assert!(found(&before, &now).is_empty());
    }

    #[test]
    fn what_an_older_snapshot_does_not_record_is_told_once_and_not_compared() {
        let before = [callback("Console", "", ""), callback("Ema", "", "")];
        let now = [callback("Ema", ACTS, ""), callback("Console", LOOKS, "")];
        assert_eq!(found(&before, &now), [Difference { text: UNRECORDED.into(), remedy: Remedy::None }]);
        let acting = [callback("Ema", ACTS, "")];
        let told = found(&[callback("Ema", LOOKS, "")], &acting);
        assert_eq!(told[0].text, "Ema: only looks before, acts now");
    }
}
