//! The micro-batches whose gradients are added before a step.
use serde::{Deserialize, Serialize};

/// The accumulation window of the current pass. Without a callback that holds it open, it closes with every batch.
///
/// `Accumulate` is written with these methods, and so can a callback of yours be: in `loss`, scale the loss by
/// [`Window::ratio`]; in `backward`, [`Window::add`] the micro-batch and [`Window::hold`] the window if it is to stay open;
/// in `step`, divide the gradients by [`Window::ratios`].
///
/// ```
/// use catena_chain::Window;
///
/// let mut window = Window::default();
/// window.add(32.0);
/// assert_eq!(window.ratio(16.0), 0.5);
/// window.add(16.0);
/// window.hold();
/// assert_eq!((window.micro_batches(), window.ratios(), window.is_open()), (2, 1.5, true));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    micro_batches: u64,
    first_weight: f64,
    ratios: f64,
    held: bool,
}

impl Window {
    /// How many micro-batches it holds; 0 right after a step.
    pub fn micro_batches(&self) -> u64 {
        self.micro_batches
    }

    /// What a micro-batch of this weight counts, relative to the window's first that weighed anything.
    pub fn ratio(&self, weight: f64) -> f64 {
        match (weight == 0.0, self.first_weight == 0.0) {
            (true, _) => 0.0,
            (false, true) => 1.0,
            (false, false) => weight / self.first_weight,
        }
    }

    /// Adds a micro-batch of this weight.
    pub fn add(&mut self, weight: f64) {
        self.ratios += self.ratio(weight);
        if self.first_weight == 0.0 {
            self.first_weight = weight;
        }
        self.micro_batches += 1;
    }

    /// The sum of the ratios: what the added gradients are divided by to be a mean.
    pub fn ratios(&self) -> f64 {
        self.ratios
    }

    /// Keeps the window open after this micro-batch: no step yet.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Whether a callback holds it open.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Whether gradients wait in it for a step.
    pub fn is_open(&self) -> bool {
        self.held || self.micro_batches > 0
    }

    pub(crate) fn release(&mut self) {
        self.held = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_relative_to_the_first_weight_that_is_not_zero() {
        let mut window = Window::default();
        let mut counted = Vec::new();
        for weight in [0.0, 4.0, 2.0, 0.0, 8.0] {
            counted.push(window.ratio(weight));
            window.add(weight);
        }
        assert_eq!(counted, [0.0, 1.0, 0.5, 0.0, 2.0]);
        assert_eq!((window.ratios(), window.micro_batches()), (3.5, 5));
    }
}
