//! Slow weights that follow fast ones.
use catena_tensor::settings::Range;
use std::collections::BTreeMap;

use catena_chain::{About, Callback, Context, Event, Flow, Lifetime, Outcome, Phase, Result, State};
use catena_tensor::tch::{self, Tensor};
use serde::{Deserialize, Serialize};

use super::average::in_f32;

/// Lookahead (Zhang et al. 2019): after every `k` steps of the pass's optimizer the slow weights move a share `alpha` towards
/// the weights, and the weights begin again from there. Each pass has its own slow weights; they begin as its weights are at the stage's
/// start.
///
/// Slow weights of half-precision parameters are f32. On resume: the slow weights are kept, by the parameters' names; the count is
/// the optimizer's.
///
/// ```
/// use catena_callbacks::Lookahead;
/// use catena_chain::Callback;
///
/// assert!(Lookahead::new().k(6).alpha(0.5).check().is_ok());
/// let error = Lookahead::new().alpha(0.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "`alpha` is 0, but must be in (0, 1]");
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lookahead {
    k: u64,
    alpha: f64,
    #[serde(skip)]
    slow: BTreeMap<String, Vec<(String, Tensor)>>,
}

impl Default for Lookahead {
    fn default() -> Self {
        Self { k: 5, alpha: 0.5, slow: BTreeMap::new() }
    }
}

impl Lookahead {
    /// The paper's settings: `k` 5, `alpha` 0.5.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many steps the weights are ahead (default 5).
    #[must_use]
    pub fn k(mut self, k: u64) -> Self {
        self.k = k;
        self
    }

    /// The share by which the slow weights follow (default 0.5).
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }
}

impl Callback for Lookahead {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Average, [Event::StageStart, Event::Step])
            .per_pass()
            .logs_nothing()
            .lifetime(Lifetime::Stage)
            .settings(self)
    }

    fn state(&self) -> State {
        let Self { k: _, alpha: _, slow } = self;
        let names =
            slow.iter().map(|(pass, all)| (pass, all.iter().map(|(name, _)| name).collect::<Vec<_>>()));
        let names: BTreeMap<_, _> = names.collect();
        let tensors = slow.iter().flat_map(|(pass, all)| {
            all.iter().map(move |(name, tensor)| (format!("{pass}/{name}"), tensor.shallow_clone()))
        });
        State { json: serde_json::json!(names), tensors: tensors.collect(), ..State::none() }
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let names: BTreeMap<String, Vec<String>> = state.read()?;
        let mut tensors = state.tensors.iter().map(|(_, tensor)| tensor);
        let mut slow = BTreeMap::new();
        for (pass, names) in names {
            let copies = names.into_iter().map(|name| {
                let tensor =
                    tensors.next().ok_or_else(|| format!("the slow weights of `{name}` are missing"))?;
                // the tensor may be a file's memory
                Ok((name, in_f32(&tensor.f_detach_copy()?)?))
            });
            slow.insert(pass, copies.collect::<Result<_>>()?);
        }
        self.slow = slow;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Range::Count(1).setting("k", self.k as f64)?;
        Ok(Range::OpenClosed(0.0, 1.0).setting("alpha", self.alpha)?)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.optimizers.is_empty() {
            return Err("no pass has an optimizer whose weights could be followed".into());
        }
        let mut slow = BTreeMap::new();
        for (pass, optimizer) in cx.optimizers.iter() {
            let copies = optimizer.names().iter().zip(optimizer.params());
            let copies = copies.map(|(name, param)| Ok((name.clone(), in_f32(&param.f_detach_copy()?)?)));
            slow.insert(pass.to_owned(), copies.collect::<Result<_>>()?);
        }
        self.slow = slow;
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if *cx.outcome() != Outcome::Stepped {
            return Ok(Flow::GO);
        }
        let slow = self.slow.get_mut(cx.optimizer_name().unwrap_or_default());
        let slow = slow.ok_or("the pass was not there when the stage began")?;
        let optimizer = cx.optimizer_mut()?;
        if optimizer.steps() % self.k != 0 {
            return Ok(Flow::GO);
        }
        let _no_grad = tch::no_grad_guard();
        for ((name, slow), (own, param)) in
            slow.iter_mut().zip(optimizer.names().iter().zip(optimizer.params()))
        {
            if name != own {
                return Err(
                    format!("the slow weights of `{name}` stand where the optimizer has `{own}`").into()
                );
            }
            let mut fast = param.f_detach()?;
            let _moved = slow.f_lerp_(&fast.f_to_kind(slow.f_kind()?)?, self.alpha)?;
            fast.f_copy_(slow)?;
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::native::tensor::set_grad;
    use catena_tensor::tch::{Device, Kind};

    use super::*;
    use crate::Optimize;

    #[test]
    fn every_k_steps_the_weights_go_back_a_part_of_their_way() {
        let chain: Vec<Box<dyn Callback>> =
            vec![Box::new(Optimize), Box::new(Lookahead::new().k(2).alpha(0.25))];
        let mut driver = testing::driver(chain).unwrap();
        driver.fire(Event::StageStart).unwrap();
        let bias = driver.context().model.var_store().variables()["fc.bias"].shallow_clone();
        // SGD with lr 0.1 and a gradient of -10 moves each number by 1
        set_grad(&bias, Some(&Tensor::full([3], -10.0, (Kind::Float, Device::Cpu)))).unwrap();
        let mut seen = vec![];
        for _ in 0..4 {
            driver.enter_pass(0).unwrap();
            driver.fire(Event::Step).unwrap();
            seen.push(bias.to_kind(Kind::Double).double_value(&[0]));
        }
        // 0 -> 1 -> 2, back to 0.5 -> 1.5 -> 2.5, back to 0.5 + 0.25 * 2
        assert_eq!(seen, [1.0, 0.5, 1.5, 1.0]);
    }

    #[test]
    fn slow_weights_of_bfloat16_follow_by_small_shares() {
        for kind in [Kind::Float, Kind::Half, Kind::BFloat16] {
            let mut driver = testing::driver(vec![Box::new(Lookahead::new().k(1).alpha(0.001))]).unwrap();
            let bias = driver.context().model.var_store().variables()["fc.bias"].shallow_clone();
            let fill = |value: f64| {
                let _no_grad = tch::no_grad_guard();
                let _filled = bias.shallow_clone().fill_(value);
            };
            {
                let _no_grad = tch::no_grad_guard();
                bias.shallow_clone().set_data(&bias.to_kind(kind));
            }
            fill(1.0);
            driver.fire(Event::StageStart).unwrap();
            for _ in 0..100 {
                fill(2.0);
                driver.enter_pass(0).unwrap();
                driver.context_mut().mark_stepped();
                driver.fire(Event::Step).unwrap();
            }
            let slow = driver.chain().members()[0].callback().state().tensors;
            let slow = &slow.iter().find(|(name, _)| name == "main/fc.bias").unwrap().1;
            // torch: 2 - 0.999 ** 100
            assert!(
                (slow.to_kind(Kind::Double).double_value(&[0]) - 1.095208).abs() < 1e-5,
                "{kind:?}: {slow:?}"
            );
            assert_eq!(bias.kind(), kind);
        }
    }
}
