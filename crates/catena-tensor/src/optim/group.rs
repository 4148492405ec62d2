//! Parameters that share their settings, and their state.
use catena_native::TensorList;
use tch::Tensor;

use super::param_group::ParamGroup;
use super::rule::Rule;
use super::slot::Slot;
use crate::error::{Error, Result};
use crate::params::Parameter;

/// The settings that are numbers, in the order of [`Rule::settings`].
fn numbers(rule: &mut dyn Rule) -> Vec<f64> {
    let names = rule.settings();
    names.iter().map(|name| rule.setting(name).map_or(f64::NAN, |value| *value)).collect()
}

fn setting_of<'a>(rule: &'a mut dyn Rule, name: &str) -> Result<&'a mut f64> {
    let (of, known) = (rule.name(), rule.settings());
    rule.setting(name).ok_or_else(|| Error::UnknownSetting {
        of: of.to_owned(),
        name: name.to_owned(),
        known: known.iter().map(|s| (*s).to_owned()).collect(),
    })
}

/// Parameters that share their settings, and their state.
///
/// ```
/// use catena_tensor::optim::{Optimizer, Sgd};
/// use catena_tensor::params::parameters;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _ = nn::linear(vs.root() / "fc", 4, 2, Default::default());
/// let mut optimizer = Optimizer::new(Sgd::new(0.1), &parameters(&vs))?;
/// optimizer.groups_mut()[0].set("lr", 0.05)?;
/// let group = &optimizer.groups()[0];
/// assert_eq!((group.get("lr"), group.initial_lr()), (Some(0.05), 0.1));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Group {
    pub(super) pattern: Option<String>,
    pub(super) max_dimensions: Option<usize>,
    pub(super) rule: Box<dyn Rule>,
    pub(super) initial: Vec<f64>,
    pub(super) names: Vec<String>,
    pub(super) params: TensorList,
    pub(super) slots: Vec<Slot>,
    pub(super) state: Vec<TensorList>,
    pub(super) stepped: Vec<u8>,
    pub(super) lr_factor: f64,
}

impl Group {
    pub(super) fn new(
        part: Option<&ParamGroup>,
        mut rule: Box<dyn Rule>,
        params: &[&Parameter],
    ) -> Result<Self> {
        rule.check()?;
        let _lr = setting_of(rule.as_mut(), "lr")?;
        let slots = rule.slots();
        let tensors: Vec<Tensor> = params.iter().map(|p| p.tensor.shallow_clone()).collect();
        Ok(Self {
            state: slots.iter().map(|slot| slot.all_zeros(&tensors)).collect::<Result<_>>()?,
            pattern: part.map(|part| part.pattern.clone()),
            max_dimensions: part.and_then(|part| part.max_dimensions),
            initial: numbers(rule.as_mut()),
            rule,
            names: params.iter().map(|p| p.name.clone()).collect(),
            params: TensorList::new(&tensors)?,
            slots,
            stepped: vec![0; params.len()],
            lr_factor: 1.0,
        })
    }

    pub(super) fn step(&mut self) -> Result<()> {
        self.rule.step(&self.params, &self.state, &mut self.stepped)
    }

    /// A setting by torch's name: `lr`, `weight_decay`, …
    pub fn get(&self, name: &str) -> Option<f64> {
        self.rule.clone_box().setting(name).map(|value| *value)
    }

    /// The learning rate of the next step, without the copy that [`Group::get`] makes: asked at every step.
    pub(super) fn lr(&mut self) -> Option<f64> {
        self.rule.setting("lr").map(|lr| *lr)
    }

    /// Changes a setting. Whether the value makes sense is up to the caller: schedules call this at every step.
    ///
    /// A momentum that was 0 gets its buffers, as in torch: those of SGD begin with the next gradient.
    pub fn set(&mut self, name: &str, value: f64) -> Result<()> {
        let before = std::mem::replace(setting_of(self.rule.as_mut(), name)?, value);
        if before == 0.0 && value != 0.0 { self.add_slots(&self.rule.slots()) } else { Ok(()) }
    }

    /// Lowers or raises the learning rate, also what a schedule sets from now on: it becomes `lr`, and the schedule's values are
    /// multiplied by `factor`, besides the factors before.
    pub fn scale_lr(&mut self, lr: f64, factor: f64) -> Result<()> {
        self.set("lr", lr)?;
        self.lr_factor *= factor;
        Ok(())
    }

    /// Forgets what [`Group::scale_lr`] has multiplied. The learning rate itself stays as it is.
    pub fn forget_lr_factor(&mut self) {
        self.lr_factor = 1.0;
    }

    /// What a schedule's learning rates are multiplied by: 1, unless [`Group::scale_lr`] has been called.
    pub fn lr_factor(&self) -> f64 {
        self.lr_factor
    }

    /// Makes the state that is wanted and not there yet, as zeros; what is there stays.
    pub(super) fn add_slots(&mut self, wanted: &[Slot]) -> Result<()> {
        if wanted.iter().all(|slot| self.slots.contains(slot)) {
            return Ok(());
        }
        let zeros = |slot: &Slot| slot.all_zeros(self.params.tensors());
        let made: Vec<Option<TensorList>> = wanted
            .iter()
            .map(|slot| (!self.slots.contains(slot)).then(|| zeros(slot)).transpose())
            .collect::<Result<_>>()?;
        if self.slots.is_empty() {
            // with no state there was nothing to begin yet
            self.stepped.fill(0);
        }
        let mut own: Vec<(Slot, TensorList)> = self.slots.drain(..).zip(self.state.drain(..)).collect();
        for (slot, made) in wanted.iter().zip(made) {
            let kept = own.iter().position(|(known, _)| known == slot).map(|at| own.remove(at).1);
            if let Some(list) = made.or(kept) {
                self.slots.push(*slot);
                self.state.push(list);
            }
        }
        let (slots, state): (Vec<Slot>, Vec<TensorList>) = own.into_iter().unzip();
        self.slots.extend(slots);
        self.state.extend(state);
        Ok(())
    }

    /// The state that a rule of this group's initial numbers keeps: what its switches decide.
    pub(super) fn slots_as_made(&self, rule: &dyn Rule) -> Vec<Slot> {
        let mut rule = rule.clone_box();
        for (name, initial) in self.rule.settings().iter().zip(&self.initial) {
            rule.setting(name).into_iter().for_each(|value| *value = *initial);
        }
        rule.slots()
    }

    /// The learning rate it was made with: what schedules are relative to.
    pub fn initial_lr(&self) -> f64 {
        self.initial("lr").unwrap_or(f64::NAN)
    }

    /// What a setting was when the group was made: what schedules are relative to.
    pub fn initial(&self, name: &str) -> Option<f64> {
        let at = self.rule.settings().iter().position(|known| *known == name)?;
        self.initial.get(at).copied()
    }

    /// The pattern that chose its parameters; none for the rest.
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_deref()
    }

    /// Its parameters have at most so many dimensions; none if that didn't matter.
    pub fn max_dimensions(&self) -> Option<usize> {
        self.max_dimensions
    }

    /// The names that its parameters go by.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Its parameters.
    pub fn params(&self) -> &[Tensor] {
        self.params.tensors()
    }

    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let mut all = Vec::new();
        for (i, name) in self.names.iter().enumerate().filter(|(i, _)| self.stepped[*i] != 0) {
            for (slot, list) in self.slots.iter().zip(&self.state).filter(|(slot, _)| self.has(i, **slot)) {
                all.push((format!("{name}.{}", slot.name()), list.tensors()[i].shallow_clone()));
            }
        }
        all
    }

    pub(super) fn has(&self, param: usize, slot: Slot) -> bool {
        slot.is_for(self.params.tensors()[param].dim())
    }

    pub(super) fn slot_of(&self, key: &str) -> Option<(usize, usize)> {
        let (param, slot) = key.rsplit_once('.')?;
        let param = self.names.iter().position(|name| name == param)?;
        Some((param, self.slots.iter().position(|s| s.name() == slot && self.has(param, *s))?))
    }

    pub(super) fn knows(&self, key: &str) -> bool {
        self.slot_of(key).is_some()
    }

    pub(super) fn count_known(&self, state: &[(String, Tensor)]) -> usize {
        state.iter().filter(|(key, _)| self.knows(key)).count()
    }

    pub(super) fn check_state(&self, state: &[(String, Tensor)]) -> Result<()> {
        let mut found = vec![0; self.names.len()];
        for (key, tensor) in state {
            let Some((param, slot)) = self.slot_of(key) else { continue };
            let own = &self.state[slot].tensors()[param];
            if own.size() != tensor.size() || own.f_kind()? != tensor.f_kind()? {
                return Err(Error::State(format!(
                    "`{key}` is {:?} of shape {:?}, but {:?} of shape {:?} is needed",
                    tensor.f_kind()?,
                    tensor.size(),
                    own.f_kind()?,
                    own.size()
                )));
            }
            found[param] += 1;
        }
        let partial = found
            .iter()
            .enumerate()
            .position(|(i, &n)| n != 0 && n != self.slots.iter().filter(|slot| self.has(i, **slot)).count());
        match partial {
            Some(i) => Err(Error::State(format!("the state of `{}` is not complete", self.names[i]))),
            None => Ok(()),
        }
    }

    pub(super) fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        self.stepped.fill(0);
        for (key, tensor) in state {
            let Some((param, slot)) = self.slot_of(key) else { continue };
            catena_native::tensor::copy_(&self.state[slot].tensors()[param], tensor, false)?;
            self.stepped[param] = 1;
        }
        for list in &self.state {
            for (tensor, _) in list.tensors().iter().zip(&self.stepped).filter(|(_, stepped)| **stepped == 0)
            {
                let _zeroed = tensor.shallow_clone().f_zero_()?;
            }
        }
        Ok(())
    }

    pub(super) fn rule_name(&self) -> &'static str {
        self.rule.name()
    }
}
