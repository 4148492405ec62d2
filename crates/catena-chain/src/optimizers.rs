//! The optimizers of a stage, by name.
use catena_tensor::optim::Optimizer;

/// The optimizers of a stage, by name, in the order of its passes.
#[derive(Debug, Default)]
pub struct Optimizers {
    entries: Vec<(String, Optimizer)>,
}

impl Optimizers {
    /// The optimizer of this name.
    pub fn get(&self, name: &str) -> Option<&Optimizer> {
        self.entries.iter().find(|(n, _)| n == name).map(|(_, optimizer)| optimizer)
    }

    /// The optimizer of this name, to be stepped or changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Optimizer> {
        self.entries.iter_mut().find(|(n, _)| n == name).map(|(_, optimizer)| optimizer)
    }

    /// Adds an optimizer, or replaces the one of this name.
    pub fn insert(&mut self, name: impl Into<String>, optimizer: Optimizer) {
        let name = name.into();
        match self.get_mut(&name) {
            Some(old) => *old = optimizer,
            None => self.entries.push((name, optimizer)),
        }
    }

    /// Names and optimizers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Optimizer)> {
        self.entries.iter().map(|(name, optimizer)| (name.as_str(), optimizer))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
