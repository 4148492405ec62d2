//! The shim's entry points (`cpp/`), as C sees them.
use std::ffi::{c_char, c_int, c_void};

use torch_sys::C_tensor;

/// `TensorList` of `cpp/guard.h`.
#[repr(C)]
pub(crate) struct CList {
    _opaque: [u8; 0],
}

/// `Run` of `cpp/run_of_layers.cpp`.
#[repr(C)]
pub(crate) struct CRun {
    _opaque: [u8; 0],
}

/// `RunLayer` of `cpp/run_of_layers.cpp`.
#[repr(C)]
pub(crate) struct RawLayer {
    pub(crate) kind: i32,
    pub(crate) weight: i32,
    pub(crate) bias: i32,
    pub(crate) dims: i32,
    pub(crate) number: f64,
}

pub(crate) type CTensor = *mut C_tensor;

unsafe extern "C" {
    pub(crate) fn catena_last_error() -> *const c_char;
    #[cfg(test)]
    pub(crate) fn catena_throw(kind: c_int) -> c_int;
    pub(crate) fn catena_libtorch_version() -> *const c_char;
    pub(crate) fn catena_cpu_capability(out: *mut *const c_char) -> c_int;
    pub(crate) fn catena_set_deterministic(enabled: c_int, warn_only: c_int) -> c_int;
    pub(crate) fn catena_deterministic(enabled: *mut c_int, warn_only: *mut c_int) -> c_int;
    pub(crate) fn catena_generator_state(device_type: c_int, index: c_int, out: *mut CTensor) -> c_int;
    pub(crate) fn catena_set_generator_state(device_type: c_int, index: c_int, state: CTensor) -> c_int;
    pub(crate) fn catena_keep_memory(at_most: u64) -> c_int;
    pub(crate) fn catena_kept_memory() -> u64;
    pub(crate) fn catena_copy(destination: CTensor, source: CTensor, non_blocking: c_int) -> c_int;
    pub(crate) fn catena_from_bytes(
        bytes: *mut u8,
        n: usize,
        owner: *mut c_void,
        drop: unsafe extern "C" fn(*mut c_void),
        out: *mut CTensor,
    ) -> c_int;
    pub(crate) fn catena_identity(tensor: CTensor) -> usize;
    pub(crate) fn catena_memory(tensor: CTensor, begin: *mut usize, end: *mut usize) -> c_int;
    pub(crate) fn catena_number(tensor: CTensor, number: *mut f64, is_number: *mut c_int) -> c_int;
    pub(crate) fn catena_rows(tensor: CTensor) -> i64;
    pub(crate) fn catena_labels_fit(logits: CTensor, labels: CTensor) -> c_int;
    pub(crate) fn catena_set_grad(tensor: CTensor, grad: CTensor) -> c_int;

    pub(crate) fn catena_syncs_start(handle: *mut u64) -> c_int;
    pub(crate) fn catena_syncs_count(scalars: *mut u64, copies: *mut u64, sizes: *mut u64);
    pub(crate) fn catena_syncs_stop(handle: u64) -> c_int;
    pub(crate) fn catena_device_memory(
        device_type: c_int,
        index: c_int,
        allocated: *mut i64,
        reserved: *mut i64,
        peak: *mut i64,
    ) -> c_int;
    pub(crate) fn catena_reset_peak_memory(device_type: c_int, index: c_int) -> c_int;

    pub(crate) fn catena_autocast(device_type: c_int, enabled: *mut c_int, dtype: *mut c_int) -> c_int;
    pub(crate) fn catena_set_autocast(
        device_type: c_int,
        enabled: c_int,
        dtype: c_int,
        nesting: c_int,
    ) -> c_int;
    pub(crate) fn catena_unscale(params: *mut CList, inverse_scale: f64, found_inf: *mut c_int) -> c_int;

    pub(crate) fn catena_list_new(tensors: *const CTensor, n: usize, out: *mut *mut CList) -> c_int;
    pub(crate) fn catena_list_free(list: *mut CList);
    pub(crate) fn catena_zero_grad(params: *mut CList) -> c_int;
    pub(crate) fn catena_divide_gradients(params: *mut CList, divisor: f64) -> c_int;
    pub(crate) fn catena_lerp(tensors: *mut CList, to: *mut CList, weight: f64) -> c_int;
    pub(crate) fn catena_backward(loss: CTensor, params: *mut CList) -> c_int;
    pub(crate) fn catena_gradient_norm(params: *mut CList, ord: f64, out: *mut CTensor) -> c_int;
    pub(crate) fn catena_clip_grad_norm(
        params: *mut CList,
        max_norm: f64,
        ord: f64,
        out: *mut CTensor,
    ) -> c_int;

    pub(crate) fn catena_run_new(
        layers: *const RawLayer,
        n: usize,
        params: *const CTensor,
        n_params: usize,
        out: *mut *mut CRun,
    ) -> c_int;
    pub(crate) fn catena_run_free(run: *mut CRun);
    pub(crate) fn catena_run_forward(run: *const CRun, input: CTensor, train: u8, out: *mut CTensor)
    -> c_int;
    pub(crate) fn catena_label_loss(
        logits: CTensor,
        labels: CTensor,
        ignored: i64,
        out: *mut CTensor,
    ) -> c_int;

    #[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn catena_threads() -> c_int;
    #[cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn catena_parallel(
        n: i64,
        work: unsafe extern "C" fn(*const c_void, i64),
        context: *const c_void,
    ) -> c_int;
}
