//! What an evaluation in the middle of a Train loader puts aside.
use catena_tensor::batch::{Batch, Outputs};
use catena_tensor::loss::Loss;

use crate::flow::{Flow, Outcome};
use crate::metrics::LoaderMetrics;
use crate::scope::LoaderScope;
use crate::window::Window;

/// What an evaluation in the middle of a train loader puts aside.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) loader: Option<LoaderScope>,
    pub(crate) batch: Batch,
    pub(crate) outputs: Outputs,
    pub(crate) loss: Option<Loss>,
    pub(crate) window: Window,
    pub(crate) outcome: Outcome,
    pub(crate) flow: Flow,
    pub(crate) cut_short: bool,
    pub(crate) pass: usize,
    pub(crate) steps_before: u64,
    pub(crate) metrics: LoaderMetrics,
    pub(crate) last_weight: f64,
}
