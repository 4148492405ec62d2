//! A pass that is run again with other values in the model: the same callbacks compute the same loss, elsewhere.
use catena_tensor::tch::Tensor;

/// What a callback has asked for, and whether it is running.
#[derive(Debug, Default)]
pub(crate) struct Repetition {
    pub(crate) asked: Option<Vec<(Tensor, Tensor)>>,
    pub(crate) is_running: bool,
}
