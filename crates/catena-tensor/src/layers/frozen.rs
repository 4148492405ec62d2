//! Running statistics that a stage freezes: layers that have them normalise by them in training too, and leave them alone.
use std::cell::RefCell;

use catena_native::tensor::identity;
use tch::Tensor;

thread_local! {
    /// By identity.
    static FROZEN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Freezes these buffers on this thread, and no others: a `BatchNorm` or `InstanceNorm` of [`Layers`](super::Layers) whose `running_mean` is among them runs in
/// evaluation mode.
pub fn freeze_statistics<'a>(buffers: impl IntoIterator<Item = &'a Tensor>) {
    FROZEN.replace(buffers.into_iter().map(identity).collect());
}

/// Whether a layer with this buffer runs in evaluation mode.
pub(super) fn is_frozen(running_mean: &Tensor) -> bool {
    FROZEN.with_borrow(|frozen| !frozen.is_empty() && frozen.contains(&identity(running_mean)))
}
