//! What a run is made of, as data: kept in each snapshot, and compared with the run that goes on from it.
use catena_chain::{Driver, Effect, Phase};
use catena_tensor::native::context::{cpu_capability, libtorch_version};
use catena_tensor::{device, tch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::loaders::{self, Compared, StageLoaderDescription};
use crate::{Result, Stage};

/// What a run is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    seed: u64,
    world_size: u64,
    stages: Vec<StageDescription>,
    chain: Vec<CallbackDescription>,
    machine: Machine,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StageDescription {
    name: String,
    epochs: u64,
    loaders: Vec<StageLoaderDescription>,
    passes: Vec<PassDescription>,
    frozen: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PassDescription {
    name: String,
    params: String,
    optimizer: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CallbackDescription {
    key: String,
    /// What it is called in its stage.
    #[serde(default)]
    name: String,
    /// The number of its stage; none for one of the run.
    #[serde(default)]
    stage: Option<usize>,
    phase: Phase,
    #[serde(default)]
    effect: Effect,
    note: String,
    /// Null for one that doesn't tell.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    settings: Value,
}

/// What exactness depends on besides the run itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Machine {
    catena: String,
    libtorch: String,
    device: String,
    threads: i32,
    cpu_capability: String,
}

/// How a run differs from the one that a snapshot was taken of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What [`RunnerBuilder::allow`](crate::RunnerBuilder::allow) calls it; empty if it can't be allowed.
    pub(crate) name: String,
    /// What was, and what is.
    pub(crate) text: String,
    /// Whether it changes the numbers.
    pub(crate) counts: bool,
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

    /// How this run differs from the one before, whose snapshot was taken inside a Train loader (a stage's number and a loader's), or
    /// between two.
    pub(crate) fn differences(&self, before: &Self, inside: Option<(usize, usize)>) -> Vec<Difference> {
        let mut found = Differences::default();
        found.compare("seed", "the seed", before.seed, self.seed);
        found.compare("world_size", "the number of processes", before.world_size, self.world_size);
        let names = |stages: &[StageDescription]| -> Vec<String> {
            stages.iter().map(|stage| stage.name.clone()).collect()
        };
        found.compare(
            "stages",
            "the stages",
            names(&before.stages).join(", "),
            names(&self.stages).join(", "),
        );
        // a setting that one version has and another hasn't is none that differs
        let same_catena = self.machine.catena == before.machine.catena;
        for (i, (now, before)) in self.stages.iter().zip(&before.stages).enumerate() {
            let open = inside.filter(|(stage, _)| *stage == i);
            let open =
                open.and_then(|(_, loader)| before.loaders.get(loader)).map(StageLoaderDescription::name);
            now.compare(before, open, same_catena, &mut found);
        }
        found.chains(&before.chain, &self.chain, same_catena);
        self.machine.compare(&before.machine, &mut found);
        found.0
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
        })
    }

    fn compare(&self, before: &Self, inside: Option<&str>, same_catena: bool, found: &mut Differences) {
        let of = format!("of stage `{}`", self.name);
        found.compare("epochs", &format!("the epochs {of}"), before.epochs, self.epochs);
        found.compare(
            "frozen",
            &format!("what is frozen {of}"),
            before.frozen.join(", "),
            self.frozen.join(", "),
        );
        let how = Compared { stage: &self.name, inside, same_catena };
        loaders::compare(&before.loaders, &self.loaders, how, found);
        let passes = |stage: &Self| -> String {
            stage.passes.iter().map(|pass| pass.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        found.compare("passes", &format!("the passes {of}"), passes(before), passes(self));
        for (now, before) in self.passes.iter().zip(&before.passes) {
            let what = format!("pass `{}` {of}", now.name);
            found.compare("params", &format!("the parameters of {what}"), &before.params, &now.params);
            let mut unlike = Vec::new();
            unequal("", &before.optimizer, &now.optimizer, true, &mut unlike);
            for (place, before, now) in unlike {
                let setting = if place.is_empty() { String::new() } else { format!("`{place}` of ") };
                found.compare("optimizer", &format!("{setting}the optimizer of {what}"), before, now);
            }
        }
    }
}

impl Machine {
    fn compare(&self, before: &Self, found: &mut Differences) {
        let Self { catena, libtorch, device, threads, cpu_capability } = self;
        let mut differs =
            |what: &str, before: String, now: String| found.add("machine", what, before, now, false);
        differs("catena's version", before.catena.clone(), catena.clone());
        differs("libtorch's version", before.libtorch.clone(), libtorch.clone());
        differs("the device", before.device.clone(), device.clone());
        differs("torch's threads", before.threads.to_string(), threads.to_string());
        differs("the CPU's capability", before.cpu_capability.clone(), cpu_capability.clone());
    }
}

#[derive(Default)]
pub(super) struct Differences(Vec<Difference>);

impl Differences {
    fn compare<T: PartialEq + ToString>(&mut self, name: &str, what: &str, before: T, now: T) {
        self.add(name, what, before, now, true);
    }

    pub(super) fn add<T: PartialEq + ToString>(
        &mut self,
        name: &str,
        what: &str,
        before: T,
        now: T,
        counts: bool,
    ) {
        if before != now {
            let text = format!("{what}: {} before, {} now", or_none(&before), or_none(&now));
            self.0.push(Difference { name: name.into(), text, counts });
        }
    }

    /// Tells something that does not count.
    pub(super) fn tell(&mut self, text: String) {
        self.0.push(Difference { name: String::new(), text, counts: false });
    }

    /// Of a callback that is there before and now; one that didn't tell its settings has none that differ.
    fn settings(&mut self, name: &str, key: &str, (before, now): (&Value, &Value), all: bool) {
        if before.is_null() || now.is_null() {
            return;
        }
        let mut found = Vec::new();
        unequal("", before, now, all, &mut found);
        for (place, before, now) in found {
            self.compare(name, &format!("`{place}` of {key}"), before, now);
        }
    }

    fn chains(&mut self, before: &[CallbackDescription], now: &[CallbackDescription], same_catena: bool) {
        let find = |all: &[CallbackDescription], key: &str| all.iter().find(|c| c.key == key).cloned();
        let keys = before.iter().chain(now.iter().filter(|c| find(before, &c.key).is_none()));
        for CallbackDescription { key, .. } in keys {
            let text = |callback: Option<CallbackDescription>| match callback {
                Some(callback) if callback.note.is_empty() => "there".to_owned(),
                Some(callback) => format!("there ({})", callback.note),
                None => "not there".to_owned(),
            };
            let (before, now) = (find(before, key), find(now, key));
            let either = || before.iter().chain(&now);
            let name =
                either().map(|c| c.name.as_str()).find(|name| !name.is_empty()).unwrap_or(key).to_owned();
            let counts = either().any(|c| c.effect == Effect::Acts);
            if let (Some(before), Some(now)) = (&before, &now)
                && (counts && before.note == now.note)
            {
                self.settings(&name, key, (&before.settings, &now.settings), same_catena);
            }
            self.add(&name, key, text(before), text(now), counts);
        }
        let order = |all: &[CallbackDescription], other: &[CallbackDescription]| -> Vec<String> {
            let both = |c: &&CallbackDescription| c.effect == Effect::Acts && find(other, &c.key).is_some();
            all.iter().filter(both).map(|c| c.key.clone()).collect()
        };
        let (was, is) = (order(before, now), order(now, before));
        self.compare("order", "the order of the callbacks that act", was.join(", "), is.join(", "));
    }
}

/// What differs between settings, and where: `loss.label_smoothing`. `all`: with what only one of them has.
fn unequal(place: &str, before: &Value, now: &Value, all: bool, found: &mut Vec<(String, Value, Value)>) {
    match (before, now) {
        (Value::Object(was), Value::Object(is)) => {
            let keys = was.keys().chain(is.keys().filter(|key| !was.contains_key(*key)));
            for key in keys.filter(|key| all || (was.contains_key(*key) && is.contains_key(*key))) {
                let of = |settings: &serde_json::Map<String, Value>| {
                    settings.get(key).cloned().unwrap_or_default()
                };
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                unequal(&place, &of(was), &of(is), all, found);
            }
        }
        (before, now) if before != now => found.push((place.to_owned(), before.clone(), now.clone())),
        _ => (),
    }
}

fn or_none(value: &impl ToString) -> String {
    let text = value.to_string();
    if text.is_empty() { "none".into() } else { text }
}
