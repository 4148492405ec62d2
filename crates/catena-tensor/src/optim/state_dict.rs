//! All that an optimizer's next steps depend on, as data.
use catena_record::float;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::Tensor;

use super::group::Group;
use super::optimizer::Optimizer;
use super::param_group::name_of;
use super::rule::Rule;
use crate::error::{Error, Result};

/// Everything that changes in an [`Optimizer`]: steps, settings as schedules have moved them, and the tensors of state.
///
/// All but the tensors is a `serde` type; the tensors are named `<parameter>.<name as in torch>` and belong into a file of
/// their own. They share their memory with the optimizer: copy what has to outlive the next step.
///
/// ```
/// use catena_tensor::optim::{Adam, Optimizer, StateDict};
/// use catena_tensor::params::parameters;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let fc = nn::linear(vs.root() / "fc", 4, 2, Default::default());
/// let mut optimizer = Optimizer::new(Adam::new(0.1), &parameters(&vs))?;
/// let loss = Tensor::ones([8, 4], (Kind::Float, Device::Cpu)).apply(&fc).sum(Kind::Float);
/// loss.f_backward()?;
/// optimizer.step()?;
/// optimizer.groups_mut()[0].set("lr", 0.05)?;
///
/// let saved = optimizer.state_dict()?;
/// let text = serde_json::to_string(&saved)?;
/// let mut read: StateDict = serde_json::from_str(&text)?;
/// read.tensors = saved.tensors;
///
/// let mut other = Optimizer::new(Adam::new(0.1), &parameters(&vs))?;
/// other.load_state_dict(&read)?;
/// assert_eq!((other.steps(), other.lr(), other.last_lr()), (1, 0.05, Some(0.1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateDict {
    /// The rule's name.
    pub name: String,
    /// How many steps have been made.
    pub steps: u64,
    /// The first group's learning rate in the last step.
    #[serde(default, with = "catena_record::float::option")]
    pub last_lr: Option<f64>,
    /// The groups, in their order.
    pub groups: Vec<GroupDict>,
    /// The state of every parameter that has any.
    #[serde(skip)]
    pub tensors: Vec<(String, Tensor)>,
}

/// What [`StateDict`] has of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupDict {
    /// The pattern that chose its parameters; none for the rest.
    pub pattern: Option<String>,
    /// How many dimensions its parameters have at most, if that mattered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_dimensions: Option<usize>,
    /// Its parameters' names, in order of creation.
    pub params: Vec<String>,
    /// Which of them have been stepped, in the same order.
    pub stepped: Vec<bool>,
    /// Its settings by torch's names, as they are now.
    pub settings: Map<String, Value>,
    /// What its settings that are numbers were when it was made: what schedules are relative to.
    pub initial: Map<String, Value>,
    /// What schedules' learning rates are multiplied by, if that is not 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub lr_factor: f64,
}

fn one() -> f64 {
    1.0
}

fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

impl Optimizer {
    /// Everything that [`Optimizer::load_state_dict`] needs to go on to the same bits.
    pub fn state_dict(&self) -> Result<StateDict> {
        Ok(StateDict {
            name: self.groups[0].rule_name().to_owned(),
            steps: self.steps,
            last_lr: self.last_lr,
            groups: self.groups.iter().map(Group::dict).collect::<Result<_>>()?,
            tensors: self.state(),
        })
    }

    /// Takes back what [`Optimizer::state_dict`] gave: settings, too. Rule, patterns and parameters have to be the same (a
    /// parameter may go by another of its names); nothing is changed if anything doesn't fit.
    pub fn load_state_dict(&mut self, saved: &StateDict) -> Result<()> {
        let saved = &self.dict_by_own_names(saved)?;
        let wrong = |why: String| Err(Error::State(why));
        let own = self.groups[0].rule_name();
        if saved.name != own {
            return wrong(format!("it is of `{}`, but this optimizer is `{own}`", saved.name));
        }
        if saved.groups.len() != self.groups.len() {
            return wrong(format!(
                "it has {} groups, but this optimizer has {}",
                saved.groups.len(),
                self.groups.len()
            ));
        }
        // a schedule may have called for state that the settings did not
        for (group, saved) in self.groups.iter_mut().zip(&saved.groups) {
            let Ok(rule) = group.rule.with_settings(&saved.settings) else { continue };
            if group.slots_as_made(&*rule) == group.slots_as_made(&*group.rule) {
                group.add_slots(&rule.slots())?;
            }
        }
        let tensors = &saved.tensors;
        let checked: Result<Vec<_>> = self
            .groups
            .iter()
            .zip(&saved.groups)
            .map(|(group, saved)| group.check_dict(saved, tensors))
            .collect();
        let checked = checked?;
        self.load_state(&saved.tensors, saved.steps)?;
        for ((group, saved), checked) in self.groups.iter_mut().zip(&saved.groups).zip(checked) {
            group.take(saved, checked);
        }
        self.last_lr = saved.last_lr;
        Ok(())
    }

    /// A state dict under the names that this optimizer has.
    fn dict_by_own_names(&self, saved: &StateDict) -> Result<StateDict> {
        let StateDict { name, steps, last_lr, groups, tensors } = saved;
        let group =
            |group: &GroupDict| Ok(GroupDict { params: self.own_names(&group.params)?, ..group.clone() });
        Ok(StateDict {
            name: name.clone(),
            steps: *steps,
            last_lr: *last_lr,
            groups: groups.iter().map(group).collect::<Result<_>>()?,
            tensors: self.state_by_own_names(tensors)?,
        })
    }

    /// Takes back what [`Optimizer::state`] and [`Optimizer::steps`] gave, under any of a parameter's names. Nothing is changed if
    /// anything doesn't fit.
    pub fn load_state(&mut self, state: &[(String, Tensor)], steps: u64) -> Result<()> {
        let state = &self.state_by_own_names(state)?[..];
        let known: usize = self.groups.iter().map(|group| group.count_known(state)).sum();
        if known != state.len() {
            let belongs = |name: &String| self.groups.iter().any(|group| group.knows(name));
            let stranger = state.iter().map(|(name, _)| name).find(|name| !belongs(name));
            return Err(Error::State(format!(
                "`{}` belongs to no parameter of this optimizer",
                stranger.map_or("?", |name| name)
            )));
        }
        for group in &self.groups {
            group.check_state(state)?;
        }
        for group in &mut self.groups {
            group.load_state(state)?;
        }
        self.steps = steps;
        Ok(())
    }
}

impl Group {
    pub(super) fn dict(&self) -> Result<GroupDict> {
        let Self {
            pattern,
            max_dimensions,
            rule,
            initial,
            names,
            params: _,
            slots: _,
            state: _,
            stepped,
            lr_factor,
        } = self;
        let Value::Object(settings) = rule.to_value()? else {
            return Err(Error::State(format!("the settings of `{}` are no object", rule.name())));
        };
        Ok(GroupDict {
            pattern: pattern.clone(),
            max_dimensions: *max_dimensions,
            params: names.clone(),
            stepped: stepped.iter().map(|&stepped| stepped != 0).collect(),
            settings,
            initial: rule
                .settings()
                .iter()
                .map(|&name| name.into())
                .zip(initial.iter().map(|&x| float::value(x)))
                .collect(),
            lr_factor: *lr_factor,
        })
    }

    /// Whether what was saved fits this group: gives its rule and its initial settings.
    fn check_dict(
        &self,
        saved: &GroupDict,
        tensors: &[(String, Tensor)],
    ) -> Result<(Box<dyn Rule>, Vec<f64>)> {
        let wrong = |why: String| Err(Error::State(why));
        let GroupDict { pattern, max_dimensions, params, stepped, settings, initial, lr_factor: _ } = saved;
        if (pattern, max_dimensions) != (&self.pattern, &self.max_dimensions) {
            let name = |pattern: &Option<String>, most: Option<usize>| match pattern {
                Some(pattern) => format!("the group {}", name_of(pattern, most)),
                None => "the group of the rest".into(),
            };
            return wrong(format!(
                "it has {}, where this optimizer has {}",
                name(pattern, *max_dimensions),
                name(&self.pattern, self.max_dimensions)
            ));
        }
        if *params != self.names {
            let other = params.iter().find(|name| !self.names.contains(name));
            let other = other.or_else(|| self.names.iter().find(|name| !params.contains(name)));
            return wrong(match other {
                Some(name) => format!("`{name}` is in a group of only one of the two optimizers"),
                None => "a group's parameters are in another order".into(),
            });
        }
        if stepped.len() != params.len() {
            return wrong(format!("`stepped` is for {} parameters of {}", stepped.len(), params.len()));
        }
        let mut has_state = vec![false; params.len()];
        for (param, _) in tensors.iter().filter_map(|(key, _)| self.slot_of(key)) {
            has_state[param] = true;
        }
        for (i, name) in params.iter().enumerate() {
            if self.slots.iter().any(|slot| self.has(i, *slot)) && stepped[i] != has_state[i] {
                let but = if stepped[i] {
                    "has been stepped, but has no state"
                } else {
                    "has state, but was never stepped"
                };
                return wrong(format!("`{name}` {but}"));
            }
        }
        let rule = self.rule.with_settings(settings)?;
        // a schedule may have moved a number away from what decided on the slots, but not a switch
        let is_other = self.slots_as_made(&*rule) != self.slots_as_made(&*self.rule);
        if is_other || rule.slots().iter().any(|slot| !self.slots.contains(slot)) {
            let alone = |(name, value): &(&String, &Value)| {
                let change = Map::from_iter([((*name).clone(), (*value).clone())]);
                self.rule.with_settings(&change).is_ok_and(|rule| rule.slots() != self.slots)
            };
            let other: Vec<String> =
                settings.iter().filter(alone).map(|(name, value)| format!("{name} {value}")).collect();
            return wrong(format!("it was saved with {}, which keeps other state", other.join(", ")));
        }
        let number = |name: &&str| initial.get(*name).and_then(float::number);
        match rule.settings().iter().find(|name| number(name).is_none()) {
            Some(name) => wrong(format!("the initial `{name}` is missing")),
            None => Ok((rule.clone_box(), rule.settings().iter().filter_map(number).collect())),
        }
    }

    /// Takes what [`Group::check_dict`] has checked.
    fn take(&mut self, saved: &GroupDict, (rule, initial): (Box<dyn Rule>, Vec<f64>)) {
        self.rule = rule;
        self.initial = initial;
        self.lr_factor = saved.lr_factor;
        self.stepped.iter_mut().zip(&saved.stepped).for_each(|(own, saved)| *own = (*saved).into());
    }
}
