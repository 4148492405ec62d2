//! Passes that train the same parameters: each has the gradients of its own window.
use std::collections::HashSet;

use catena_tensor::native::tensor::{identity, set_grad};
use catena_tensor::tch::Tensor;

use crate::{Context, Driver, Result};

/// The gradients that wait in the windows of passes that are not running, for parameters that several passes train.
#[derive(Debug, Default)]
pub(crate) struct Gradients {
    /// By identity, the parameters that several passes train.
    shared: HashSet<usize>,
    /// For each pass: the parameters, and their gradients.
    aside: Vec<Vec<(Tensor, Tensor)>>,
}

impl Gradients {
    /// Of the passes of a stage that begins.
    pub(crate) fn of_stage(cx: &Context, passes: usize) -> Self {
        let (mut seen, mut shared) = (HashSet::new(), HashSet::new());
        for param in cx.optimizers.iter().flat_map(|(_, optimizer)| optimizer.params()) {
            if !seen.insert(identity(param)) {
                shared.insert(identity(param));
            }
        }
        Self { shared, aside: (0..passes).map(|_| Vec::new()).collect() }
    }

    /// The current pass is left with an open window: what it has gathered is no other pass's.
    pub(crate) fn put_aside(&mut self, cx: &Context) -> Result<()> {
        let (false, Some(optimizer)) = (self.shared.is_empty(), cx.optimizer()) else { return Ok(()) };
        let Some(aside) = self.aside.get_mut(cx.pass_index()) else { return Ok(()) };
        for param in optimizer.params().iter().filter(|param| self.shared.contains(&identity(param))) {
            let gradient = param.f_grad()?;
            if gradient.defined() {
                set_grad(param, None).map_err(catena_tensor::Error::from)?;
                aside.push((param.shallow_clone(), gradient));
            }
        }
        Ok(())
    }

    /// The current pass goes on with what it had gathered.
    pub(crate) fn take_back(&mut self, cx: &Context) -> Result<()> {
        let Some(aside) = self.aside.get_mut(cx.pass_index()) else { return Ok(()) };
        for (param, gradient) in aside.drain(..) {
            set_grad(&param, Some(&gradient)).map_err(catena_tensor::Error::from)?;
        }
        Ok(())
    }
}

impl Driver {
    /// For each pass, by number: the parameters whose gradients wait in its window apart from the parameters, because other passes train
    /// them too, and those gradients. A snapshot has to keep them.
    pub fn gradients_aside(&self) -> impl Iterator<Item = (usize, &[(Tensor, Tensor)])> {
        self.gradients.aside.iter().enumerate().map(|(pass, all)| (pass, all.as_slice()))
    }

    /// Gives a pass back what [`Driver::gradients_aside`] gave. False if the stage has no such pass.
    pub fn put_gradients_aside(&mut self, pass: usize, gradients: Vec<(Tensor, Tensor)>) -> bool {
        self.gradients.aside.get_mut(pass).map(|aside| *aside = gradients).is_some()
    }
}
