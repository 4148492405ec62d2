//! An average of a model's variables, and its place in the model for a while.
use catena_chain::{Chain, Context, Result};
use catena_tensor::native::TensorList;
use catena_tensor::params::{buffers, state_dict};
use catena_tensor::tch::{self, Tensor};

/// The averaged variables that a callback such as [`Ema`](crate::Ema) or [`Swa`](crate::Swa) keeps, by the variables' names:
/// what to save apart, or to load into a model for inference. They share their memory with the callback.
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

/// An average of a model's variables.
#[derive(Debug, Default)]
pub(crate) struct Average {
    tensors: Vec<(String, Tensor)>,
    updates: u64,
    /// The model's own values while it holds the average.
    own: Vec<Tensor>,
}

/// What moves by averaging; all else is copied from the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Averages {
    Parameters,
    Everything,
}

impl Average {
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
            let variables = state_dict(cx.model.var_store());
            let copies = variables.into_iter().map(|(name, tensor)| Ok((name, tensor.f_detach_copy()?)));
            self.tensors = copies.collect::<Result<_>>()?;
        } else {
            let variables = self.variables(cx)?;
            let copied = match what {
                Averages::Parameters => buffers(cx.model.var_store()),
                Averages::Everything => Vec::new(),
            };
            let (mut moving, mut towards) = (Vec::new(), Vec::new());
            for ((name, average), variable) in self.tensors.iter_mut().zip(variables) {
                let is_copied = copied.binary_search_by(|(own, _)| own.cmp(name)).is_ok();
                if variable.is_floating_point() && !is_copied {
                    moving.push(average.shallow_clone());
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

    /// The model's variables in the average's order, without gradients; an error if they are others.
    fn variables(&mut self, cx: &Context) -> Result<Vec<Tensor>> {
        let variables = state_dict(cx.model.var_store());
        let same = |((a, x), (b, y)): (&(String, Tensor), &(String, Tensor))| a == b && x.size() == y.size();
        if self.tensors.len() != variables.len() || !self.tensors.iter().zip(&variables).all(same) {
            return Err("the average belongs to other variables than the model has now".into());
        }
        for ((_, average), (_, variable)) in self.tensors.iter_mut().zip(&variables) {
            if average.device() != variable.device() {
                // it came from a file
                *average = average.f_to_device(variable.device())?;
            }
        }
        Ok(variables.iter().map(|(_, tensor)| tensor.f_detach()).collect::<std::result::Result<_, _>>()?)
    }

    /// Puts the average into the model.
    pub(crate) fn put_in(&mut self, cx: &Context) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let variables = self.variables(cx)?;
        self.own = variables.iter().map(Tensor::f_detach_copy).collect::<std::result::Result<_, _>>()?;
        fill(variables, self.tensors.iter().map(|(_, average)| average))
    }

    /// Gives the model its own values back, if it holds the average.
    pub(crate) fn take_out(&mut self, cx: &Context) -> Result<()> {
        if self.own.is_empty() {
            return Ok(());
        }
        let variables = self.variables(cx)?;
        fill(variables, &self.own)?;
        self.own.clear();
        Ok(())
    }

    /// Makes the average the model's own values.
    pub(crate) fn put_in_for_good(&mut self, cx: &Context) -> Result<()> {
        let variables = self.variables(cx)?;
        fill(variables, self.tensors.iter().map(|(_, average)| average))
    }

    /// Sets one of its tensors.
    pub(crate) fn set(&mut self, name: &str, value: &Tensor) -> Result<()> {
        if let Some((_, own)) = self.tensors.iter_mut().find(|(own, _)| own == name) {
            own.f_copy_(value)?;
        }
        Ok(())
    }

    /// The average as it is, also while the model holds it.
    pub(crate) fn tensors(&self) -> Vec<(String, Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }

    /// Takes back what [`Average::tensors`] and [`Average::updates`] gave.
    pub(crate) fn load(&mut self, tensors: &[(String, Tensor)], updates: u64) -> Result<()> {
        // the tensors may be a file's memory
        let copies = tensors.iter().map(|(name, tensor)| Ok((name.clone(), tensor.f_detach_copy()?)));
        self.tensors = copies.collect::<Result<_>>()?;
        self.updates = updates;
        Ok(())
    }
}

fn fill<'a>(variables: Vec<Tensor>, values: impl IntoIterator<Item = &'a Tensor>) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    variables.into_iter().zip(values).try_for_each(|(mut variable, value)| Ok(variable.f_copy_(value)?))
}
