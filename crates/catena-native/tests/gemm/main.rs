//! Matrix products under the names of BLAS, as libtorch calls them.
#![cfg(all(feature = "gemm", target_os = "linux", target_arch = "x86_64"))]

mod blas;
mod rules;
mod switch;
