//! A driver as it was before anything ran.
use std::path::PathBuf;

use catena_tensor::batch::{Batch, Outputs};
use catena_tensor::model::{Mode, Model};
use catena_tensor::tch::Device;
use catena_tensor::tch::nn::VarStore;

use crate::context::Context;
use crate::driver::Driver;
use crate::error::Result;
use crate::flow::Skip;
use crate::gradients::Gradients;
use crate::scope::RunSettings;
use crate::window::Window;

impl Driver {
    /// Forgets all that has happened: the context is as in a new driver, with this run directory. The model and the callbacks stay. `checking` is what
    /// [`Context::checking`] says from here on.
    pub fn reset(&mut self, run_dir: Option<PathBuf>, checking: bool) {
        let model = std::mem::replace(&mut self.cx.model, Box::new(Gone(VarStore::new(Device::Cpu))));
        let settings = RunSettings { seed: self.cx.seed(), device: self.cx.device(), run_dir };
        self.cx = Context::new(model, settings);
        self.cx.checking = checking;
        self.chain.enter(None);
        (self.windows, self.window_before, self.aside, self.left) =
            (Vec::new(), Window::default(), Vec::new(), None);
        (self.skip_of_batch, self.gradients) = (Skip::None, Gradients::default());
    }
}

/// Stands in for a model while that moves to another context.
struct Gone(VarStore);

impl Model for Gone {
    fn forward(&mut self, _: &Batch, _: Mode) -> Result<Outputs> {
        Err("the model is somewhere else".into())
    }

    fn var_store(&self) -> &VarStore {
        &self.0
    }
}
