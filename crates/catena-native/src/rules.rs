//! The optimizers' arithmetic: one step over a list of parameters, in one call. Each rule has a file of its own in `cpp/`.
//!
//! Parameters without a gradient are passed over, and so is their state. A gradient whose memory is laid out otherwise than
//! its parameter's is copied first; a sparse one is an error. Nothing is recorded for autograd.
//!
//! `state` has a list for each kind of state, in the order each function names; all of it is zero before a parameter's first
//! step, which sets what starts at another value. `stepped` has an entry a parameter: whether it has been stepped before,
//! that is, whether its state means anything; the calls set it. Numbers of state (`step`, `mu_product`, `eta`, `mu`) are f32
//! scalars on the CPU, but the `step` of Adam and Adagrad is on its parameter's device. Elementwise rules run in one pass over
//! memory on the CPU in f32 and f64, and by tensor operations elsewhere; SGD, Adam and Adagrad are libtorch's fused kernels.
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

/// Declares the arguments, the entry point and the call. The C++ side has both from a header that `build.rs` makes of the same table.
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
            // the header that the entry point is compiled with asserts the arguments' layout. The shim checks dtypes, shapes
            // and devices.
            check(unsafe { $entry(params.raw(), state.as_ptr(), stepped.as_mut_ptr(), arguments) })
        }
    )* };
}

include!("rules/table.rs");
include!(concat!(env!("OUT_DIR"), "/layout.rs"));
