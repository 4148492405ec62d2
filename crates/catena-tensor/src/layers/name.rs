//! What layers are called.
use std::any::type_name;

use tch::nn::Path;

/// The path's parts with dots between them: what the `VarStore` puts before a tensor's name.
pub(super) fn name_of(path: &Path<'_>) -> String {
    path.components().collect::<Vec<_>>().join(".")
}

/// `Linear` of `tch::nn::linear::Linear`, `Conv` of `tch::nn::conv::Conv<[i64; 2]>`.
pub(super) fn kind_of<M>() -> String {
    let whole = type_name::<M>().split('<').next().unwrap_or_default();
    whole.rsplit("::").next().unwrap_or_default().to_owned()
}
