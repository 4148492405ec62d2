//! What a loader's batches are for.

/// What a loader's batches are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Gradients are computed and the optimizer steps.
    Train,
    /// The loss is computed, without gradients.
    Eval,
    /// Only outputs are computed, without gradients.
    Infer,
}

impl Mode {
    /// Whether this is [`Mode::Train`]: what tch calls `train`.
    pub fn is_train(self) -> bool {
        self == Self::Train
    }
}
