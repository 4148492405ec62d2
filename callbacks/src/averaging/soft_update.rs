//! Moves a target network slowly towards another.
use catena_tensor::settings::Range;
use std::collections::HashMap;

use catena_chain::{About, Callback, Context, Event, Flow, Outcome, Phase, Result, State};
use catena_tensor::native::tensor::identity;
use catena_tensor::params::state_dict;
use catena_tensor::tch::{self, Kind, Tensor};
use serde::{Deserialize, Serialize};

/// After each step: `target = (1 - tau) * target + tau * source`, for each pair of variables of the model whose names differ in
/// their prefix only (Lillicrap et al. 2016). The target should be frozen, or left out of the optimizer. A target with several
/// names moves once.
///
/// Of half-precision targets a copy is kept in f32, which moves, and which the target is rounded from: a `tau` of 0.005 is less than
/// bfloat16 can add to a number. What somebody else writes into the target is taken over. On resume: these copies are kept; other
/// targets are part of the model.
///
/// ```
/// use catena_callbacks::SoftUpdate;
/// use catena_chain::Callback;
///
/// let update = SoftUpdate::new("online.", "target.", 0.005);
/// assert!(update.check().is_ok());
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftUpdate {
    /// What the names of the moving weights begin with.
    source: String,
    /// What the names of the weights that follow begin with.
    target: String,
    /// The share of the moving weights at each step.
    tau: f64,
    /// Half-precision targets in f32, by name.
    #[serde(skip)]
    exact: Vec<(String, Tensor)>,
}

impl SoftUpdate {
    /// From the variables with the prefix `source` to those with the prefix `target`.
    pub fn new(source: impl Into<String>, target: impl Into<String>, tau: f64) -> Self {
        Self { source: source.into(), target: target.into(), tau, exact: Vec::new() }
    }
}

impl Callback for SoftUpdate {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Average, [Event::Step]).logs_nothing().settings(self)
    }

    fn state(&self) -> State {
        let Self { source: _, target: _, tau: _, exact } = self;
        let tensors = exact.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        State { tensors, ..State::none() }
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        // the tensors may be a file's memory
        let copies = state.tensors.iter().map(|(name, tensor)| Ok((name.clone(), tensor.f_detach_copy()?)));
        self.exact = copies.collect::<Result<_>>()?;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Ok(Range::OpenClosed(0.0, 1.0).setting("tau", self.tau)?)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if *cx.outcome() != Outcome::Stepped {
            return Ok(Flow::GO);
        }
        let _no_grad = tch::no_grad_guard();
        let variables = state_dict(cx.model.var_store());
        // by the target's identity: its name, and its source's
        let mut moved: HashMap<usize, (&str, &str, usize)> = HashMap::new();
        for (name, source) in &variables {
            let Some(rest) = name.strip_prefix(&self.source) else { continue };
            let own = format!("{}{rest}", self.target);
            let Some((own, target)) = variables.iter().find(|(name, _)| *name == own) else {
                return Err(format!("`{name}` has no counterpart `{own}` to update").into());
            };
            if let Some((other, from, of)) = moved.insert(identity(target), (own, name, identity(source))) {
                if of == identity(source) {
                    continue;
                }
                return Err(format!(
                    "`{other}` and `{own}` are names of one tensor, but `{from}` and `{name}`, towards which it should move, are two"
                )
                .into());
            }
            self.move_towards(own, target.f_detach()?, &source.f_detach()?)?;
        }
        if moved.is_empty() {
            return Err(format!("no variable's name begins with `{}`", self.source).into());
        }
        Ok(Flow::GO)
    }
}

impl SoftUpdate {
    fn move_towards(&mut self, name: &str, mut target: Tensor, source: &Tensor) -> Result<()> {
        if !source.is_floating_point() {
            return Ok(target.f_copy_(source)?);
        }
        if !matches!(target.f_kind()?, Kind::Half | Kind::BFloat16) {
            let _moved = target.f_lerp_(&source.f_to_kind(target.f_kind()?)?, self.tau)?;
            return Ok(());
        }
        let in_f32 = target.f_to_kind(Kind::Float)?;
        let exact = match self.exact.iter_mut().find(|(own, _)| own == name) {
            Some((_, exact)) => {
                *exact = exact.f_to_device(target.device())?;
                // where it is not what this copy was rounded to, somebody else has written
                let own = exact.f_to_kind(target.f_kind()?)?.f_eq_tensor(&target)?;
                exact.f_copy_(&exact.f_where_self(&own, &in_f32)?)?;
                exact
            }
            None => {
                self.exact.push((name.to_owned(), in_f32));
                let last = self.exact.len() - 1;
                &mut self.exact[last].1
            }
        };
        let _moved = exact.f_lerp_(&source.f_to_kind(Kind::Float)?, self.tau)?;
        Ok(target.f_copy_(exact)?)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::model::Net;
    use catena_tensor::tch::{Device, nn};

    use catena_tensor::rng::Exclusive;

    use super::*;

    #[test]
    fn the_target_moves_by_tau_and_only_after_a_step() {
        // layers are made with numbers of the generator that other tests seed
        let _exclusive = Exclusive::wait();
        let vs = nn::VarStore::new(Device::Cpu);
        let filled = |name: &str, value: f64| {
            let init = nn::Init::Const(value);
            let config = nn::LinearConfig { ws_init: init, bs_init: Some(init), bias: true };
            nn::linear(vs.root() / name, 2, 1, config)
        };
        let (online, target) = (filled("online", 1.0), filled("target", 0.0));
        let mut driver =
            testing::driver(vec![Box::new(SoftUpdate::new("online.", "target.", 0.25))]).unwrap();
        driver.context_mut().model = Box::new(Net::new(vs, online));
        driver.fire(Event::Step).unwrap();
        assert_eq!(target.ws.sum(Kind::Double).double_value(&[]), 0.0);
        driver.context_mut().mark_stepped();
        driver.fire(Event::Step).unwrap();
        driver.fire(Event::Step).unwrap();
        assert_eq!(target.ws.double_value(&[0, 0]), 0.4375);
    }

    /// `online` and `target` with one number, the second perhaps under another name too, filled with 1 and 0.
    fn model(kind: Kind, tied: bool) -> (Net, Tensor, Tensor) {
        let vs = nn::VarStore::new(Device::Cpu);
        let make = |name: &str, value: f64| {
            let path = vs.root() / name;
            let w = path.add("w", Tensor::full([1], value, (kind, Device::Cpu)), true);
            if tied {
                let _ = path.add("again", w.shallow_clone(), true);
            }
            w
        };
        let (online, target) = (make("online", 1.0), make("target", 0.0));
        (Net::from_fn(vs, |_, _| Ok(Default::default())), online, target)
    }

    fn driver_of(net: Net, tau: f64) -> catena_chain::drive::Driver {
        let mut driver = testing::driver(vec![Box::new(SoftUpdate::new("online.", "target.", tau))]).unwrap();
        driver.context_mut().model = Box::new(net);
        driver.context_mut().mark_stepped();
        driver
    }

    #[test]
    fn a_target_with_two_names_moves_once() {
        let (net, _, target) = model(Kind::Float, true);
        driver_of(net, 0.25).fire(Event::Step).unwrap();
        assert_eq!(target.double_value(&[0]), 0.25);
    }

    #[test]
    fn a_target_that_should_follow_two_sources_is_refused_with_all_names() {
        // layers are made with numbers of the generator that other tests seed
        let _exclusive = Exclusive::wait();
        let vs = nn::VarStore::new(Device::Cpu);
        let (online, target) = (vs.root() / "online", vs.root() / "target");
        let (_a, _b, w) = (online.ones("a", &[1]), online.zeros("b", &[1]), target.zeros("a", &[1]));
        let _ = target.add("b", w, true);
        let mut driver = driver_of(Net::from_fn(vs, |_, _| Ok(Default::default())), 0.25);
        let text = driver.fire(Event::Step).unwrap_err().to_string();
        let expected =
            "`target.a` and `target.b` are names of one tensor, but `online.a` and `online.b`, towards which";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_target_in_half_precision_follows_a_small_tau_and_what_others_write_into_it() {
        for kind in [Kind::Half, Kind::BFloat16] {
            let (net, online, mut target) = model(kind, false);
            let mut driver = driver_of(net, 0.005);
            let value = |t: &Tensor| t.to_kind(Kind::Double).double_value(&[0]);
            for _ in 0..200 {
                driver.fire(Event::Step).unwrap();
            }
            // 1 - 0.995 ** 200; in half precision it stands still long before
            assert!((value(&target) - 0.633).abs() < 3e-3, "{kind:?}: {}", value(&target));
            assert_eq!(target.kind(), kind);
            {
                let _no_grad = tch::no_grad_guard();
                target.copy_(&online);
            }
            driver.fire(Event::Step).unwrap();
            assert_eq!(value(&target), 1.0, "{kind:?}: it was set to the source");
        }
    }
}
