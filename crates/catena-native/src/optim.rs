//! One optimizer step over a list of parameters, in one call.
//!
//! Parameters without a gradient are passed over, and so is their state. A gradient whose memory is laid out otherwise than
//! its parameter's is copied first; a sparse one is an error. Nothing is recorded for autograd.
//!
//! `stepped` has an entry a parameter: whether it has been stepped before, that is, whether its state means anything. The
//! calls set it.
use crate::error::{Error, Result, check};
use crate::ffi;
use crate::list::TensorList;

fn one_each<'a>(
    params: &TensorList,
    states: impl IntoIterator<Item = &'a TensorList>,
    stepped: &[u8],
) -> Result<()> {
    let n = params.tensors().len();
    for got in states.into_iter().map(|state| state.tensors().len()).chain([stepped.len()]) {
        if got != n {
            return Err(Error::Argument(format!("{n} parameters, but {got} entries of state")));
        }
    }
    Ok(())
}

/// Arguments of [`sgd`], named as in `torch.optim.SGD`.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "torch.optim.SGD's arguments under their own names")]
pub struct SgdArguments {
    pub lr: f64,
    pub momentum: f64,
    pub dampening: f64,
    pub weight_decay: f64,
    pub nesterov: bool,
    pub maximize: bool,
}

/// `torch.optim.SGD(fused=True)`: libtorch's kernel.
///
/// `momentum_buffers` is needed when `momentum` is not 0.
pub fn sgd(
    params: &TensorList,
    momentum_buffers: Option<&TensorList>,
    stepped: &mut [u8],
    a: SgdArguments,
) -> Result<()> {
    if a.momentum != 0.0 && momentum_buffers.is_none() {
        return Err(Error::Argument("momentum needs momentum buffers".into()));
    }
    one_each(params, momentum_buffers, stepped)?;
    let buffers = momentum_buffers.map_or(std::ptr::null_mut(), TensorList::raw);
    // SAFETY: live lists of equal length, and as many flags.
    check(unsafe {
        ffi::catena_sgd(
            params.raw(),
            buffers,
            stepped.as_mut_ptr(),
            a.lr,
            a.momentum,
            a.dampening,
            a.weight_decay,
            a.nesterov.into(),
            a.maximize.into(),
        )
    })
}

/// Arguments of [`adam`], named as in torch.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "torch.optim.Adam's arguments under their own names")]
pub struct AdamArguments {
    pub lr: f64,
    pub betas: (f64, f64),
    pub eps: f64,
    pub weight_decay: f64,
    pub decoupled_weight_decay: bool,
    pub maximize: bool,
}

/// `torch.optim.Adam(fused=True)`, or `AdamW` with `decoupled_weight_decay`: libtorch's kernels.
///
/// `max_exp_avg_sqs` turns `amsgrad` on. `steps` are f32 scalars on the parameters' device.
pub fn adam(
    params: &TensorList,
    exp_avgs: &TensorList,
    exp_avg_sqs: &TensorList,
    max_exp_avg_sqs: Option<&TensorList>,
    steps: &TensorList,
    stepped: &mut [u8],
    a: AdamArguments,
) -> Result<()> {
    one_each(params, [exp_avgs, exp_avg_sqs, steps].into_iter().chain(max_exp_avg_sqs), stepped)?;
    // SAFETY: live lists of equal length.
    check(unsafe {
        ffi::catena_adam(
            params.raw(),
            exp_avgs.raw(),
            exp_avg_sqs.raw(),
            max_exp_avg_sqs.map_or(std::ptr::null_mut(), TensorList::raw),
            steps.raw(),
            stepped.as_mut_ptr(),
            a.lr,
            a.betas.0,
            a.betas.1,
            a.eps,
            a.weight_decay,
            a.maximize.into(),
            a.decoupled_weight_decay.into(),
        )
    })
}
