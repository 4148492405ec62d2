//! Whether runs of layers, and the cross entropy of labels, are one node of autograd each.
use std::sync::atomic::{AtomicBool, Ordering};

static FUSED: AtomicBool = AtomicBool::new(true);

/// Whether known layers one after the other ([`Layers`](crate::layers::Layers)) and [`CrossEntropy`](crate::loss::CrossEntropy) are computed as one autograd node
/// each where they can be (default yes; for the whole process). The numbers have the same bits either way; small networks are faster as nodes. A fused node has no
/// second derivative: switch this off where gradients of gradients are wanted.
///
/// Set it before a run begins: a run writes down what it was made with, and a resume compares it.
///
/// ```
/// use catena_tensor::fusing;
///
/// assert!(fusing::is_on());
/// fusing::set(false);
/// assert!(!fusing::is_on());
/// # fusing::set(true);
/// ```
pub fn set(on: bool) {
    FUSED.store(on, Ordering::Relaxed);
}

/// Whether it is on.
pub fn is_on() -> bool {
    FUSED.load(Ordering::Relaxed)
}
