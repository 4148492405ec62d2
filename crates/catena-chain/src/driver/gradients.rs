//! The gradients that a snapshot keeps apart from the parameters.
use catena_tensor::tch::Tensor;

use crate::driver::Driver;

impl Driver {
    /// For each pass, by number: the parameters whose gradients wait in its window apart from the parameters, because other passes train
    /// them too, and those gradients. A snapshot has to keep them.
    pub fn gradients_aside(&self) -> impl Iterator<Item = (usize, &[(Tensor, Tensor)])> {
        self.gradients.aside()
    }

    /// Gives a pass back what [`Driver::gradients_aside`] gave. False if the stage has no such pass.
    pub fn put_gradients_aside(&mut self, pass: usize, gradients: Vec<(Tensor, Tensor)>) -> bool {
        self.gradients.set_aside(pass, gradients)
    }
}
