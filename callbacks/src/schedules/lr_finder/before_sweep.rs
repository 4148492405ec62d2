//! What a sweep of learning rates puts back: weights, optimizer, torch's generators.
use catena_chain::{Context, Result};
use catena_tensor::device;
use catena_tensor::params::variables;
use catena_tensor::rng::Generators;
use catena_tensor::tch::{self, Tensor};
use serde::{Deserialize, Serialize};

/// Tensors by name.
type Named = Vec<(String, Tensor)>;

/// What is put back after the sweep.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BeforeSweep {
    steps: u64,
    lrs: Vec<f64>,
    #[serde(skip)]
    variables: Named,
    #[serde(skip)]
    optimizer: Named,
    /// By device.
    #[serde(skip)]
    generators: Named,
}

impl BeforeSweep {
    /// Copies what the sweep will change.
    pub(super) fn keep(cx: &mut Context) -> Result<Self> {
        let copies = |tensors: Named| -> Result<Named> {
            tensors.into_iter().map(|(name, tensor)| Ok((name, tensor.f_detach_copy()?))).collect()
        };
        let variables = copies(variables(cx.model.var_store()))?;
        let optimizer = cx.optimizer_mut()?;
        let lrs = optimizer.groups().iter().filter_map(|group| group.get("lr")).collect();
        let (optimizer, steps) = (copies(optimizer.state())?, optimizer.steps());
        let generators = Generators::keep()?;
        let states = generators.states().map(|(at, state)| (device::name(at), state.shallow_clone()));
        Ok(Self { steps, lrs, variables, optimizer, generators: states.collect() })
    }

    /// The same once more; the tensors are shared.
    pub(super) fn shared(&self) -> Self {
        let shared = |tensors: &Named| -> Named {
            tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
        };
        let Self { steps, lrs, variables, optimizer, generators } = self;
        Self {
            steps: *steps,
            lrs: lrs.clone(),
            variables: shared(variables),
            optimizer: shared(optimizer),
            generators: shared(generators),
        }
    }

    pub(super) fn put_back(&self, cx: &mut Context) -> Result<()> {
        {
            let _no_grad = tch::no_grad_guard();
            for (name, own) in variables(cx.model.var_store()) {
                let kept = self.variables.iter().find(|(kept, _)| *kept == name).map(|(_, value)| value);
                let kept =
                    kept.ok_or_else(|| format!("`{name}` was made in the sweep, so nothing is kept of it"))?;
                own.f_detach()?.f_copy_(kept)?;
            }
        }
        let optimizer = cx.optimizer_mut()?;
        optimizer.zero_grad()?;
        optimizer.load_state(&self.optimizer, self.steps)?;
        for (group, lr) in optimizer.groups_mut().iter_mut().zip(&self.lrs) {
            group.set("lr", *lr)?;
        }
        let states =
            self.generators.iter().map(|(name, state)| Ok((device::parse(name)?, state.shallow_clone())));
        Ok(Generators::from_states(states.collect::<Result<_>>()?).put_back()?)
    }

    /// Its tensors, as a snapshot has them.
    pub(super) fn tensors(&self) -> Named {
        let parts = [
            ("variables", &self.variables),
            ("optimizer", &self.optimizer),
            ("generators", &self.generators),
        ];
        let named = |(part, tensors): (&'static str, &Named)| {
            tensors
                .iter()
                .map(move |(name, tensor)| (format!("{part}/{name}"), tensor.shallow_clone()))
                .collect::<Vec<_>>()
        };
        parts.into_iter().flat_map(named).collect()
    }

    /// Takes the tensors of a snapshot; what stays gets memory of its own.
    pub(super) fn take_tensors(&mut self, tensors: Named) -> Result<()> {
        for (name, tensor) in tensors {
            let (part, name) =
                name.split_once('/').ok_or_else(|| format!("`{name}` is no tensor of a sweep"))?;
            let to = match part {
                "variables" => &mut self.variables,
                "optimizer" => &mut self.optimizer,
                "generators" => &mut self.generators,
                _ => return Err(format!("`{part}` is no part of a sweep").into()),
            };
            to.push((name.to_owned(), tensor.f_detach_copy()?));
        }
        Ok(())
    }
}
