//! The optimizer: groups of parameters, each with its rule.
use catena_native::TensorList;
use tch::Tensor;

use super::distinct::distinct;
use super::group::Group;
use super::rule::OptimizerConfig;
use crate::error::Result;
use crate::params::{Parameter, matching};

/// Updates parameters from their gradients.
///
/// A parameter without a gradient is passed over: neither its value, nor its state, nor its weight decay moves.
#[derive(Debug)]
pub struct Optimizer {
    pub(super) groups: Vec<Group>,
    pub(super) params: TensorList,
    pub(super) names: Vec<String>,
    pub(super) aliases: Vec<Vec<String>>,
    pub(super) steps: u64,
    pub(super) last_lr: Option<f64>,
}

impl Optimizer {
    /// An optimizer over these parameters. Settings out of range and patterns that match nothing are errors.
    ///
    /// A parameter belongs to the first group whose pattern matches its name, else to the last group, which has the settings
    /// of the rule itself. A tensor that comes more than once is one parameter, with all its names, at its first place; two groups
    /// that claim it by different names are an error.
    pub fn new(config: impl Into<OptimizerConfig>, params: &[Parameter]) -> Result<Self> {
        let config = config.into();
        let params = &distinct(params)[..];
        config.check_for(params)?;
        let mut free = vec![true; params.len()];
        let mut groups = Vec::new();
        for (part, matched) in config.parts_of(params)? {
            let own: Vec<&Parameter> =
                params.iter().enumerate().filter(|(i, _)| matched[*i] && free[*i]).map(|(_, p)| p).collect();
            free.iter_mut().zip(&matched).for_each(|(free, matched)| *free &= !matched);
            if !own.is_empty() {
                groups.push(Group::new(Some(&part), config.rule.with_settings(part.settings())?, &own)?);
            }
        }
        let rest: Vec<&Parameter> =
            params.iter().zip(&free).filter(|(_, free)| **free).map(|(p, _)| p).collect();
        if !rest.is_empty() {
            groups.push(Group::new(None, config.rule.clone_box(), &rest)?);
        }
        let tensors: Vec<Tensor> = params.iter().map(|p| p.tensor.shallow_clone()).collect();
        let names = params.iter().map(|p| p.name.clone()).collect();
        let aliases = params.iter().map(|p| p.aliases.clone()).collect();
        Ok(Self { groups, params: TensorList::new(&tensors)?, names, aliases, steps: 0, last_lr: None })
    }

    /// Updates every parameter that has a gradient.
    pub fn step(&mut self) -> Result<()> {
        self.last_lr = self.groups[0].lr();
        for group in &mut self.groups {
            group.step()?;
        }
        self.steps += 1;
        Ok(())
    }

    /// Sets every gradient to none, so that an unused parameter does not decay.
    pub fn zero_grad(&self) -> Result<()> {
        Ok(self.params.zero_grad()?)
    }

    /// Runs the backward pass of `loss` (a scalar), adding gradients to this optimizer's parameters and to no others.
    pub fn backward(&self, loss: &Tensor) -> Result<()> {
        Ok(self.params.backward(loss)?)
    }

    /// Divides every gradient by `divisor`.
    pub fn divide_gradients(&self, divisor: f64) -> Result<()> {
        Ok(self.params.divide_gradients(divisor)?)
    }

    /// The `ord`-norm of all gradients together, as a scalar tensor; nothing waits for the device.
    pub fn gradient_norm(&self, ord: f64) -> Result<Tensor> {
        Ok(self.params.gradient_norm(ord)?)
    }

    /// Multiplies every gradient by `inverse_scale`, and gives whether one of them is not finite; it waits for the device.
    pub fn unscale_gradients(&self, inverse_scale: f64) -> Result<bool> {
        Ok(self.params.unscale_gradients(inverse_scale)?)
    }

    /// Scales the gradients so that their `ord`-norm is at most `max_norm`, and gives the norm before that.
    ///
    /// Source: `torch.nn.utils.clip_grad_norm_`; the parameters are visited in order of creation.
    pub fn clip_grad_norm(&self, max_norm: f64, ord: f64) -> Result<Tensor> {
        Ok(self.params.clip_grad_norm(max_norm, ord)?)
    }

    /// How many steps it has made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The learning rate of the first group: the one the next step uses.
    pub fn lr(&self) -> f64 {
        self.groups[0].get("lr").unwrap_or(f64::NAN)
    }

    /// The learning rate of the first group that the last step used, if there was one.
    pub fn last_lr(&self) -> Option<f64> {
        self.last_lr
    }

    /// The groups: those of patterns first, in their order, then the rest.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The groups, to change their settings.
    pub fn groups_mut(&mut self) -> &mut [Group] {
        &mut self.groups
    }

    /// The names that the parameters go by ([`Parameter::name`]), in order of creation.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Which of the parameters a glob pattern matches, by any of their names; an error if it matches none.
    pub fn matching(&self, pattern: &str) -> Result<Vec<bool>> {
        let all = self.names.iter().zip(&self.aliases);
        let mut matched = matching(
            pattern,
            all.flat_map(|(name, more)| std::iter::once(name).chain(more)).map(String::as_str),
        )?
        .into_iter();
        Ok(self
            .aliases
            .iter()
            .map(|more| matched.by_ref().take(1 + more.len()).fold(false, |any, one| any | one))
            .collect())
    }

    /// The parameters, each once, in order of creation.
    pub fn params(&self) -> &[Tensor] {
        self.params.tensors()
    }

    /// The state of every parameter that has been stepped: `<parameter>.<name as in torch>` to tensor, shared with the
    /// optimizer. A parameter with several names has it under the one it goes by.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.groups.iter().flat_map(Group::state).collect()
    }
}
