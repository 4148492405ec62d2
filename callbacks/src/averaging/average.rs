//! An average of a model's variables, and its place in the model for a while.
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use catena_chain::drive::Chain;
use catena_chain::{Context, Result};
use catena_tensor::hash::bytes;
use catena_tensor::native::TensorList;
use catena_tensor::native::tensor::identity;
use catena_tensor::params::{buffers, state_dict};
use catena_tensor::tch::{self, Kind, Tensor};

/// The averaged variables that a callback such as [`Ema`](crate::Ema) or [`Swa`](crate::Swa) keeps, by the variables' names:
/// what to save apart, or to load into a model for inference. A variable with several names stands under each, as in a file.
/// Averages of half-precision variables are f32. They share their memory with the callback: copy what has to stay as it is.
///
/// In the middle of a run, a callback of yours finds the average where the model holds it: in Eval and Infer loaders.
///
/// ```
/// use catena_callbacks::{Ema, averaged};
/// use catena_chain::{Event, testing};
///
/// let mut driver = testing::driver(vec![Box::new(Ema::new(0.99))])?;
/// driver.context_mut().mark_stepped();
/// driver.fire(Event::Step)?;
/// let average = averaged(driver.chain(), "Ema")?; // after a run: `runner.driver().chain()`
/// assert_eq!(average[1].0, "fc.weight");
/// assert!(averaged(driver.chain(), "Swa").unwrap_err().to_string().ends_with("there are: Ema"));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
pub fn averaged(chain: &Chain, callback: &str) -> Result<Vec<(String, Tensor)>> {
    let names = || chain.members().iter().map(|member| member.name());
    let member = chain.members().iter().find(|member| member.name() == callback).ok_or_else(|| {
        let known = names().collect::<Vec<_>>().join(", ");
        format!("no callback is named `{callback}`; there are: {known}")
    })?;
    Ok(member.callback().state().tensors)
}

/// An average of a model's variables, in f32 at least: in half precision a small share of the way to new weights would be
/// rounded away.
#[derive(Debug, Default)]
pub(crate) struct WeightAverage {
    /// By the variables' names. Those of one variable share their tensor from the first look at the model on.
    tensors: Vec<(String, Tensor)>,
    updates: u64,
}

/// What moves by averaging; all else is copied from the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Averages {
    Parameters,
    Everything,
}

/// A variable of the model, and its average.
struct Pair {
    name: String,
    variable: Tensor,
    average: Tensor,
}

impl WeightAverage {
    /// How many times the model's variables went in.
    pub(crate) fn updates(&self) -> u64 {
        self.updates
    }

    /// Whether nothing went in yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Moves the average a share of the way towards the model's variables; the first time it is a copy of them.
    pub(crate) fn update(&mut self, cx: &Context, share: f64, what: Averages) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        if self.is_empty() {
            let mut copies: HashMap<usize, Tensor> = HashMap::new();
            for (name, variable) in state_dict(cx.model.var_store()) {
                let copy = match copies.entry(identity(&variable)) {
                    Entry::Occupied(copy) => copy.into_mut(),
                    Entry::Vacant(none) => none.insert(in_f32(&variable.f_detach_copy()?)?),
                };
                self.tensors.push((name, copy.shallow_clone()));
            }
        } else {
            let copied = match what {
                Averages::Parameters => buffers(cx.model.var_store()),
                Averages::Everything => Vec::new(),
            };
            let (mut moving, mut towards) = (Vec::new(), Vec::new());
            for Pair { name, variable, mut average } in self.pairs(cx)? {
                let is_copied = copied.binary_search_by(|(own, _)| own.cmp(&name)).is_ok();
                if variable.is_floating_point() && !is_copied {
                    moving.push(average);
                    towards.push(variable);
                } else {
                    average.f_copy_(&variable)?;
                }
            }
            // together, which on a GPU is one kernel
            TensorList::new(&moving)?.lerp_(&TensorList::new(&towards)?, share)?;
        }
        self.updates += 1;
        Ok(())
    }

    /// The model's variables, without gradients and each once, with their averages; an error if the average is of others.
    fn pairs(&mut self, cx: &Context) -> Result<Vec<Pair>> {
        let variables = state_dict(cx.model.var_store());
        let same = |((a, x), (b, y)): (&(String, Tensor), &(String, Tensor))| a == b && x.size() == y.size();
        if self.tensors.len() != variables.len() || !self.tensors.iter().zip(&variables).all(same) {
            return Err("the average belongs to other variables than the model has now".into());
        }
        self.fit(&variables)?;
        let mut seen = HashSet::new();
        let all =
            variables.iter().zip(&self.tensors).filter(|((_, variable), _)| seen.insert(identity(variable)));
        let pair = |((name, variable), (_, average)): (&(String, Tensor), &(String, Tensor))| {
            Ok(Pair { name: name.clone(), variable: variable.f_detach()?, average: average.shallow_clone() })
        };
        all.map(pair).collect()
    }

    /// What came from a file is brought to the model's device and to f32, and one variable's averages become one.
    fn fit(&mut self, variables: &[(String, Tensor)]) -> Result<()> {
        let mut first: HashMap<usize, usize> = HashMap::new();
        for (at, (name, variable)) in variables.iter().enumerate() {
            let average = &self.tensors[at].1;
            if average.device() != variable.device() {
                self.tensors[at].1 = average.f_to_device(variable.device())?;
            }
            let (average, kind) = (&self.tensors[at].1, self.tensors[at].1.f_kind()?);
            if matches!(kind, Kind::Half | Kind::BFloat16) {
                log::warn!(
                    "the average of `{name}` was saved in {kind:?}, as catena once kept it; it goes on in f32 from there"
                );
                self.tensors[at].1 = average.f_to_kind(Kind::Float)?;
            }
            let of = *first.entry(identity(variable)).or_insert(at);
            let [own, shared] = [&self.tensors[at].1, &self.tensors[of].1];
            if identity(own) == identity(shared) {
                continue;
            }
            if bytes(own)? != bytes(shared)? {
                return Err(format!(
                    "`{}` and `{name}` are names of one tensor, but their averages differ: they were saved of a model in which they \
                     are not tied",
                    self.tensors[of].0
                )
                .into());
            }
            self.tensors[at].1 = shared.shallow_clone();
        }
        Ok(())
    }

    /// The model's variables and their averages, to be put in for a while.
    pub(crate) fn values(&mut self, cx: &Context) -> Result<Vec<(Tensor, Tensor)>> {
        Ok(self.pairs(cx)?.into_iter().map(|pair| (pair.variable, pair.average)).collect())
    }

    /// Makes the average the model's own values.
    pub(crate) fn put_in_for_good(&mut self, cx: &Context) -> Result<()> {
        fill(self.pairs(cx)?)
    }

    /// Sets one of its tensors.
    pub(crate) fn set(&mut self, name: &str, value: &Tensor) -> Result<()> {
        if let Some((_, own)) = self.tensors.iter_mut().find(|(own, _)| own == name) {
            own.f_copy_(value)?;
        }
        Ok(())
    }

    /// The average as it is, also while the model holds it: under each of the variables' names.
    pub(crate) fn tensors(&self) -> Vec<(String, Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }

    /// Takes back what [`WeightAverage::tensors`] and [`WeightAverage::updates`] gave.
    pub(crate) fn load(&mut self, tensors: &[(String, Tensor)], updates: u64) -> Result<()> {
        // the tensors may be a file's memory
        let copies = tensors.iter().map(|(name, tensor)| Ok((name.clone(), tensor.f_detach_copy()?)));
        self.tensors = copies.collect::<Result<_>>()?;
        self.updates = updates;
        Ok(())
    }
}

/// Gives the variables their averages, in their own dtype.
fn fill(pairs: Vec<Pair>) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    pairs.into_iter().try_for_each(|Pair { mut variable, average, .. }| Ok(variable.f_copy_(&average)?))
}

/// A tensor in which sums can be kept.
pub(crate) fn in_f32(tensor: &Tensor) -> catena_tensor::Result<Tensor> {
    Ok(match tensor.f_kind()? {
        Kind::Half | Kind::BFloat16 => tensor.f_to_kind(Kind::Float)?,
        _ => tensor.shallow_clone(),
    })
}

#[cfg(test)]
mod tests {
    use catena_chain::drive::{Driver, LoaderScope};
    use catena_chain::{Callback, Event, testing};
    use catena_tensor::model::{Mode, Net};
    use catena_tensor::tch::{Device, nn};

    use super::*;
    use crate::{Ema, Swa};

    fn fill(tensor: &Tensor, value: f64) {
        let _no_grad = tch::no_grad_guard();
        let _filled = tensor.shallow_clone().fill_(value);
    }

    fn number(tensor: &Tensor) -> f64 {
        tensor.to_kind(Kind::Double).double_value(&[0])
    }

    /// A model with a weight under two names and a buffer under two, all of this dtype and 1.
    fn driver(callback: impl Callback + 'static, kind: Kind) -> (Driver, Tensor, Tensor) {
        let vs = nn::VarStore::new(Device::Cpu);
        let ones = || Tensor::ones([2], (kind, Device::Cpu));
        let (weight, buffer) = (vs.root().add("w", ones(), true), vs.root().add("mean", ones(), false));
        let _ = vs.root().add("tied", weight.shallow_clone(), true);
        let _ = vs.root().add("average", buffer.shallow_clone(), false);
        let mut driver = testing::driver(vec![Box::new(callback)]).unwrap();
        driver.context_mut().model = Box::new(Net::from_fn(vs, |_, _| Ok(Default::default())));
        (driver, weight, buffer)
    }

    fn step(driver: &mut Driver) {
        driver.enter_pass(0).unwrap();
        driver.context_mut().mark_stepped();
        driver.fire(Event::Step).unwrap();
    }

    fn averages(driver: &Driver) -> Vec<(String, f64)> {
        let name = driver.chain().members()[0].name().to_owned();
        let all = averaged(driver.chain(), &name).unwrap();
        all.iter().map(|(name, tensor)| (name.clone(), number(tensor))).collect()
    }

    #[test]
    fn averages_of_half_precision_are_f32_and_come_back_in_the_models_dtype() {
        for kind in [Kind::Float, Kind::Half, Kind::BFloat16, Kind::Double] {
            let (mut driver, weight, buffer) = driver(Ema::new(0.999), kind);
            step(&mut driver);
            fill(&weight, 2.0);
            fill(&buffer, 3.0);
            for _ in 0..1000 {
                step(&mut driver);
            }
            // 2 - 0.999 ** 1000, and 3 - 2 * 0.999 ** 1000
            for (name, average) in averages(&driver) {
                let expected = if ["w", "tied"].contains(&&*name) { 1.632305 } else { 2.264610 };
                assert!((average - expected).abs() < 3e-5, "{kind:?} {name}: {average}");
            }
            driver.enter_loader(LoaderScope::new("valid", Mode::Eval, None));
            driver.fire(Event::LoaderStart).unwrap();
            assert_eq!(weight.kind(), kind);
            let average = &averaged(driver.chain(), "Ema").unwrap()[3];
            assert_eq!(
                (average.0.as_str(), number(&weight)),
                ("w", number(&average.1.to_kind(kind))),
                "{kind:?}"
            );
            driver.fire(Event::LoaderEnd).unwrap();
            assert_eq!((number(&weight), number(&buffer)), (2.0, 3.0));
        }
    }

    #[test]
    fn the_mean_of_many_weights_in_bfloat16_is_their_mean() {
        let (mut driver, weight, _) = driver(Swa::new(1).every_steps(1), Kind::BFloat16);
        driver.fire(Event::StageStart).unwrap();
        for i in 0..300 {
            fill(&weight, f64::from(i % 2) + 1.0);
            step(&mut driver);
        }
        let all = averages(&driver);
        assert!(
            all.iter()
                .filter(|(name, _)| name == "w" || name == "tied")
                .all(|(_, mean)| (mean - 1.5).abs() < 1e-5),
            "{all:?}"
        );
    }

    #[test]
    fn a_tied_weight_moves_once_and_stands_under_each_of_its_names() {
        let (mut driver, weight, _) = driver(Ema::new(0.5), Kind::Float);
        for value in [1.0, 2.0, 4.0] {
            fill(&weight, value);
            step(&mut driver);
        }
        let names = ["average", "mean", "tied", "w"].map(str::to_owned);
        assert_eq!(averages(&driver), names.into_iter().zip([1.0, 1.0, 2.75, 2.75]).collect::<Vec<_>>());
    }

    #[test]
    fn saved_averages_go_on_to_the_same_bits_and_those_that_disagree_are_refused() {
        let run = |change: fn(&mut Vec<(String, Tensor)>)| {
            let (mut first, weight, _) = driver(Ema::new(0.9), Kind::BFloat16);
            for value in [1.0, 2.0] {
                fill(&weight, value);
                step(&mut first);
            }
            let mut state = first.chain().members()[0].callback().state();
            // a file has them apart
            state.tensors.iter_mut().for_each(|(_, tensor)| *tensor = tensor.copy());
            change(&mut state.tensors);
            let mut ema = Ema::new(0.9);
            ema.load_state(state).unwrap();
            let (mut second, other, _) = driver(ema, Kind::BFloat16);
            [&weight, &other].iter().for_each(|w| fill(w, 3.0));
            step(&mut first);
            second.enter_pass(0).unwrap();
            second.context_mut().mark_stepped();
            let fired = second.fire(Event::Step).map(drop).map_err(|error| error.to_string());
            fired.map(|()| (averages(&first), averages(&second)))
        };
        let (straight, resumed) = run(|_| ()).unwrap();
        assert_eq!(straight, resumed);
        let text = run(|all| fill(&all[2].1, 7.0)).unwrap_err();
        assert!(text.contains("`tied` and `w` are names of one tensor, but their averages differ"), "{text}");
        // as catena once kept them
        let half = run(|all| all.iter_mut().for_each(|(_, t)| *t = t.to_kind(Kind::BFloat16))).unwrap();
        let apart = half.0.iter().zip(&half.1).map(|((_, a), (_, b))| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 4e-3, "{half:?}");
    }
}
