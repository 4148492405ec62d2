//! Passes that train the same parameters: each has the gradients of its own window.
use std::collections::HashSet;

use catena_tensor::native::tensor::{identity, set_grad};
use catena_tensor::tch::Tensor;

use crate::context::Context;
use crate::error::Result;

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

    /// For each pass, by number, what waits in its window.
    pub(crate) fn aside(&self) -> impl Iterator<Item = (usize, &[(Tensor, Tensor)])> {
        self.aside.iter().enumerate().map(|(pass, all)| (pass, all.as_slice()))
    }

    /// Lets these wait in a pass's window. False if the stage has no such pass.
    pub(crate) fn set_aside(&mut self, pass: usize, gradients: Vec<(Tensor, Tensor)>) -> bool {
        self.aside.get_mut(pass).map(|aside| *aside = gradients).is_some()
    }
}
