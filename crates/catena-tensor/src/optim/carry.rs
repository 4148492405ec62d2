//! Going on with the state of an optimizer whose settings were others.
use serde_json::{Map, Value};

use super::config::NO_DECAY;
use super::group::Group;
use super::optimizer::Optimizer;
use super::param_group::ParamGroup;
use super::rule::{OptimizerConfig, Rule};
use super::state_dict::{GroupDict, StateDict};
use crate::error::{Error, Result};

impl OptimizerConfig {
    /// Whether an optimizer of this config can go on with the state of one whose config, as [`OptimizerConfig::to_value`] gave it, was
    /// `before`: it is of the same rule, has the same groups, and keeps the same kinds of state. Numbers may differ.
    ///
    /// ```
    /// use catena_tensor::optim::{Adam, OptimizerConfig, Sgd};
    ///
    /// let before = OptimizerConfig::from(Adam::new(0.1)).to_value()?;
    /// assert!(OptimizerConfig::from(Adam::new(0.001).weight_decay(0.1)).goes_on_from(&before));
    /// assert!(!OptimizerConfig::from(Adam::new(0.1).amsgrad(true)).goes_on_from(&before));
    /// assert!(!OptimizerConfig::from(Sgd::new(0.1)).goes_on_from(&before));
    /// # Ok::<(), catena_tensor::Error>(())
    /// ```
    pub fn goes_on_from(&self, before: &Value) -> bool {
        let same = || -> Option<bool> {
            let (Value::Object(mut before), Value::Object(now)) = (before.clone(), self.to_value().ok()?)
            else {
                return None;
            };
            if before.remove("name")? != *now.get("name")?
                || before.remove(NO_DECAY) != now.get(NO_DECAY).cloned()
            {
                return Some(false);
            }
            let groups = before.remove("groups").unwrap_or_else(|| Value::Array(Vec::new()));
            let groups: Vec<ParamGroup> = serde_json::from_value(groups).ok()?;
            let base = self.rule.with_settings(&before).ok()?;
            let rules = |base: &dyn Rule, groups: &[ParamGroup]| -> Option<Vec<Box<dyn Rule>>> {
                groups
                    .iter()
                    .map(|group| base.with_settings(group.settings()).ok())
                    .chain([Some(base.clone_box())])
                    .collect()
            };
            let (was, is) = (rules(base.as_ref(), &groups)?, rules(self.rule.as_ref(), &self.groups)?);
            let choose = |groups: &[ParamGroup]| -> Vec<(String, Option<usize>)> {
                groups.iter().map(|group| (group.pattern.clone(), group.max_dimensions)).collect()
            };
            let same_state = was.iter().zip(&is).all(|(was, is)| was.slots() == is.slots());
            Some(choose(&groups) == choose(&self.groups) && same_state)
        };
        same().unwrap_or(false)
    }
}

impl Optimizer {
    /// A saved state with this optimizer's settings where they are others than the saved optimizer was made with. Settings that are the
    /// same stay as a schedule or a callback has moved them. For an optimizer that has not stepped yet.
    pub fn carry_over(&self, mut saved: StateDict) -> Result<StateDict> {
        if saved.groups.len() != self.groups.len() {
            let (its, own) = (saved.groups.len(), self.groups.len());
            return Err(Error::State(format!("it has {its} groups, but this optimizer has {own}")));
        }
        for (group, saved) in self.groups.iter().zip(&mut saved.groups) {
            group.carry_over(saved)?;
        }
        Ok(saved)
    }
}

impl Group {
    fn carry_over(&self, saved: &mut GroupDict) -> Result<()> {
        let object = |rule: &dyn Rule| -> Result<Map<String, Value>> {
            match rule.to_value()? {
                Value::Object(settings) => Ok(settings),
                other => {
                    Err(Error::State(format!("the settings of `{}` are {other}, no object", rule.name())))
                }
            }
        };
        let mut own = self.rule.clone_box();
        let mut moved = own.with_settings(&saved.settings)?;
        // the saved rule as it was made: what has been moved since is put back
        let mut made = moved.clone_box();
        for name in made.settings() {
            if let (Some(value), Some(was)) =
                (made.setting(name), saved.initial.get(*name).and_then(Value::as_f64))
            {
                *value = was;
            }
        }
        let (was, is) = (object(made.as_ref())?, object(own.as_ref())?);
        let changes = is.into_iter().filter(|(name, value)| was.get(name) != Some(value)).collect();
        let mut carried = moved.with_settings(&changes)?;
        for name in carried.settings() {
            let same = made.setting(name).copied() == own.setting(name).copied();
            let value = if same { moved.setting(name).copied() } else { own.setting(name).copied() };
            if let (Some(setting), Some(value)) = (carried.setting(name), value) {
                *setting = value;
            }
            if let (false, Some(value)) = (same, self.initial(name)) {
                saved.initial.insert((*name).to_owned(), value.into());
            }
        }
        saved.settings = object(carried.as_ref())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor, nn};

    use super::*;
    use crate::optim::AdamW;
    use crate::params::parameters;

    fn stepped(vs: &nn::VarStore, config: impl Into<OptimizerConfig>) -> Optimizer {
        let mut optimizer = Optimizer::new(config, &parameters(vs)).unwrap();
        let weights: Vec<Tensor> = vs.trainable_variables();
        let sum = weights.iter().map(|w| w.sum(Kind::Float)).reduce(|a, b| a + b).unwrap();
        sum.backward();
        optimizer.step().unwrap();
        optimizer
    }

    #[test]
    fn settings_that_differ_hold_and_those_that_were_moved_stay() {
        let vs = nn::VarStore::new(Device::Cpu);
        let _ = nn::linear(vs.root() / "fc", 3, 2, Default::default());
        let groups = |bias_lr: f64, decay: f64| {
            OptimizerConfig::from(AdamW::new(0.1).weight_decay(decay))
                .group(ParamGroup::new("*.bias").lr(bias_lr))
        };
        let mut before = stepped(&vs, groups(0.2, 0.3));
        for (group, lr) in before.groups_mut().iter_mut().zip([0.02, 0.01]) {
            group.set("lr", lr).unwrap();
            group.set("beta1", 0.5).unwrap();
        }
        let saved = before.state_dict().unwrap();
        let mut now = Optimizer::new(groups(0.7, 0.4), &parameters(&vs)).unwrap();
        now.load_state_dict(&now.carry_over(saved).unwrap()).unwrap();
        let get = |name: &str| now.groups().iter().map(|group| group.get(name).unwrap()).collect::<Vec<_>>();
        assert_eq!(get("lr"), [0.7, 0.01], "the bias has a new one, the rest goes on as a schedule moved it");
        assert_eq!(get("weight_decay"), [0.4, 0.4]);
        assert_eq!(get("beta1"), [0.5, 0.5]);
        assert_eq!((now.groups()[0].initial_lr(), now.groups()[1].initial_lr(), now.steps()), (0.7, 0.1, 1));
    }
}
