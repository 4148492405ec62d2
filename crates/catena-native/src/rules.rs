//! The optimizers that have a file of their own in `cpp/`, one step over a list of parameters in one call.
//!
//! As in [`optim`](crate::optim), parameters without a gradient are passed over. `state` has a list for each kind of state,
//! in the order each function names; all of it is zero before a parameter's first step, which sets what starts at another
//! value. Numbers of state (`step`, `mu_product`, `eta`, `mu`) are f32 scalars on the CPU, but Adagrad's `step` is on its
//! parameter's device. Elementwise rules run in one pass over memory on the CPU in f32 and f64, and by tensor operations
//! elsewhere.
use std::ffi::c_int;

use crate::error::{Error, Result, check};
use crate::ffi::CList;
use crate::list::TensorList;

/// The lists as the shim takes them, if there are `needed` and each has an entry for every parameter.
fn pointers(
    params: &TensorList,
    state: &[TensorList],
    needed: usize,
    stepped: &[u8],
) -> Result<Vec<*mut CList>> {
    if state.len() != needed {
        return Err(Error::Argument(format!(
            "{needed} lists of state are needed, but {} given",
            state.len()
        )));
    }
    let n = params.tensors().len();
    for got in state.iter().map(|list| list.tensors().len()).chain([stepped.len()]) {
        if got != n {
            return Err(Error::Argument(format!("{n} parameters, but {got} entries of state")));
        }
    }
    Ok(state.iter().map(TensorList::raw).collect())
}

/// Declares the arguments (laid out as `Arguments` in the C++ file), the entry point and the call.
macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident $entry:ident $arguments:ident { $($field:ident: $type:ty,)* } $lists:expr;)*) => { $(
        #[doc = concat!("Arguments of [`", stringify!($name), "`], named as in torch.")]
        #[derive(Clone, Copy, Debug)]
        #[repr(C)]
        #[expect(missing_docs, reason = "torch's arguments under their own names")]
        pub struct $arguments { $(pub $field: $type,)* }

        unsafe extern "C" {
            fn $entry(
                params: *mut CList,
                state: *const *mut CList,
                stepped: *mut u8,
                arguments: *const $arguments,
            ) -> c_int;
        }

        $(#[$doc])*
        pub fn $name(
            params: &TensorList,
            state: &[TensorList],
            stepped: &mut [u8],
            arguments: &$arguments,
        ) -> Result<()> {
            let lists: fn(&$arguments) -> usize = $lists;
            let state = pointers(params, state, lists(arguments), stepped)?;
            // SAFETY: as many live lists as the entry point reads, each with an entry a parameter, and as many flags;
            // the arguments have the layout of the C++ struct. The shim checks dtypes, shapes and devices.
            check(unsafe { $entry(params.raw(), state.as_ptr(), stepped.as_mut_ptr(), arguments) })
        }
    )* };
}

rules! {
    /// `torch.optim.RAdam`. State: `step`, `exp_avg`, `exp_avg_sq`.
    radam catena_radam RAdamArguments {
        lr: f64, beta1: f64, beta2: f64, eps: f64, weight_decay: f64, decoupled_weight_decay: bool, maximize: bool,
    } |_| 3;

    /// `torch.optim.NAdam`. State: `step`, `mu_product`, `exp_avg`, `exp_avg_sq`.
    nadam catena_nadam NAdamArguments {
        lr: f64, beta1: f64, beta2: f64, eps: f64, weight_decay: f64, momentum_decay: f64,
        decoupled_weight_decay: bool, maximize: bool,
    } |_| 4;

    /// `torch.optim.Adamax`. State: `step`, `exp_avg`, `exp_inf`.
    adamax catena_adamax AdamaxArguments {
        lr: f64, beta1: f64, beta2: f64, eps: f64, weight_decay: f64, maximize: bool,
    } |_| 3;

    /// `torch.optim.Adagrad(fused=True)`: libtorch's kernel. State: `step`, `sum`.
    adagrad catena_adagrad AdagradArguments {
        lr: f64, lr_decay: f64, weight_decay: f64, initial_accumulator_value: f64, eps: f64, maximize: bool,
    } |_| 2;

    /// `torch.optim.Adadelta`. State: `step`, `square_avg`, `acc_delta`.
    adadelta catena_adadelta AdadeltaArguments {
        lr: f64, rho: f64, eps: f64, weight_decay: f64, maximize: bool,
    } |_| 3;

    /// `torch.optim.RMSprop`. State: `step`, `square_avg`, `momentum_buffer` if that argument says so, `grad_avg` if
    /// centered.
    rmsprop catena_rmsprop RMSpropArguments {
        lr: f64, alpha: f64, eps: f64, weight_decay: f64, momentum: f64, centered: bool, maximize: bool,
        momentum_buffer: bool,
    } |a| 2 + usize::from(a.momentum_buffer) + usize::from(a.centered);

    /// `torch.optim.Rprop`. State: `step`, `prev`, `step_size`.
    rprop catena_rprop RpropArguments {
        lr: f64, etaminus: f64, etaplus: f64, step_size_min: f64, step_size_max: f64, maximize: bool,
    } |_| 3;

    /// `torch.optim.ASGD`. State: `step`, `eta`, `mu`, `ax`.
    asgd catena_asgd AsgdArguments {
        lr: f64, lambd: f64, alpha: f64, t0: f64, weight_decay: f64, maximize: bool,
    } |_| 4;

    /// Lion (Chen et al. 2023). State: `exp_avg`.
    lion catena_lion LionArguments {
        lr: f64, beta1: f64, beta2: f64, weight_decay: f64, maximize: bool,
    } |_| 1;

    /// LAMB (You et al. 2020). State: `step`, `exp_avg`, `exp_avg_sq`.
    lamb catena_lamb LambArguments {
        lr: f64, beta1: f64, beta2: f64, eps: f64, weight_decay: f64, maximize: bool,
    } |_| 3;

    /// `torch.optim.Adafactor`. State: `step`, `row_var` and `col_var` (read from two dimensions on), `variance` (read
    /// below). `eps1` below 0 stands for the dtype's epsilon.
    adafactor catena_adafactor AdafactorArguments {
        lr: f64, beta2_decay: f64, eps1: f64, eps2: f64, d: f64, weight_decay: f64, maximize: bool,
    } |_| 4;

    /// `torch.optim.Muon`. State: `momentum_buffer`. Parameters of other than two dimensions are an error.
    muon catena_muon MuonArguments {
        lr: f64, weight_decay: f64, momentum: f64, ns_a: f64, ns_b: f64, ns_c: f64, eps: f64,
        ns_steps: i64, nesterov: bool, match_rms_adamw: bool,
    } |_| 1;
}
