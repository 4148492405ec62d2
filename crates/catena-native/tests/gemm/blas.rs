//! BLAS's functions, by their names.
use std::ffi::{c_char, c_int};

/// A kind of numbers, and BLAS's functions for it.
pub(crate) trait Number: Copy + PartialEq + std::fmt::Debug + Into<f64> + 'static {
    /// What rounding once may cost, relative.
    const ROUNDING: f64;
    fn of(number: f64) -> Self;
    fn gemm(
        turn: [u8; 2],
        sizes: [c_int; 3],
        alpha: Self,
        a: Side<'_, Self>,
        b: Side<'_, Self>,
        beta: Self,
        c: Out<'_, Self>,
    );
    fn gemv(
        turn: u8,
        sizes: [c_int; 2],
        alpha: Self,
        a: Side<'_, Self>,
        x: Side<'_, Self>,
        beta: Self,
        y: Out<'_, Self>,
    );
    /// One group of products.
    fn batch(
        layout: c_int,
        turn: [c_int; 2],
        sizes: [c_int; 3],
        alpha: Self,
        sides: [(&[Vec<Self>], c_int); 2],
        beta: Self,
        c: (&mut [Vec<Self>], c_int),
    );
}

pub(crate) type Side<'a, T> = (&'a [T], c_int);
pub(crate) type Out<'a, T> = (&'a mut [T], c_int);

macro_rules! number {
    ($type:ident, $rounding:expr, $gemm:ident, $gemv:ident, $batch:ident) => {
        unsafe extern "C" {
            fn $gemm(
                turn_a: *const c_char,
                turn_b: *const c_char,
                m: *const c_int,
                n: *const c_int,
                k: *const c_int,
                alpha: *const $type,
                a: *const $type,
                lda: *const c_int,
                b: *const $type,
                ldb: *const c_int,
                beta: *const $type,
                c: *mut $type,
                ldc: *const c_int,
            );
            fn $gemv(
                turn: *const c_char,
                m: *const c_int,
                n: *const c_int,
                alpha: *const $type,
                a: *const $type,
                lda: *const c_int,
                x: *const $type,
                x_step: *const c_int,
                beta: *const $type,
                y: *mut $type,
                y_step: *const c_int,
            );
            fn $batch(
                layout: c_int,
                turn_a: *const c_int,
                turn_b: *const c_int,
                m: *const c_int,
                n: *const c_int,
                k: *const c_int,
                alpha: *const $type,
                a: *const *const $type,
                lda: *const c_int,
                b: *const *const $type,
                ldb: *const c_int,
                beta: *const $type,
                c: *const *mut $type,
                ldc: *const c_int,
                groups: c_int,
                sizes: *const c_int,
            );
        }

        impl Number for $type {
            const ROUNDING: f64 = $rounding;

            fn of(number: f64) -> Self {
                number as Self
            }

            fn gemm(
                turn: [u8; 2],
                [m, n, k]: [c_int; 3],
                alpha: Self,
                a: Side<'_, Self>,
                b: Side<'_, Self>,
                beta: Self,
                c: Out<'_, Self>,
            ) {
                let [turn_a, turn_b] = turn.map(|letter| letter as c_char);
                // SAFETY: the callers' matrices are as large as they say.
                unsafe {
                    $gemm(
                        &turn_a,
                        &turn_b,
                        &m,
                        &n,
                        &k,
                        &alpha,
                        a.0.as_ptr(),
                        &a.1,
                        b.0.as_ptr(),
                        &b.1,
                        &beta,
                        c.0.as_mut_ptr(),
                        &c.1,
                    );
                }
            }

            fn gemv(
                turn: u8,
                [m, n]: [c_int; 2],
                alpha: Self,
                a: Side<'_, Self>,
                x: Side<'_, Self>,
                beta: Self,
                y: Out<'_, Self>,
            ) {
                let turn = turn as c_char;
                // SAFETY: as above.
                unsafe {
                    $gemv(
                        &turn,
                        &m,
                        &n,
                        &alpha,
                        a.0.as_ptr(),
                        &a.1,
                        x.0.as_ptr(),
                        &x.1,
                        &beta,
                        y.0.as_mut_ptr(),
                        &y.1,
                    );
                }
            }

            fn batch(
                layout: c_int,
                [turn_a, turn_b]: [c_int; 2],
                [m, n, k]: [c_int; 3],
                alpha: Self,
                [a, b]: [(&[Vec<Self>], c_int); 2],
                beta: Self,
                c: (&mut [Vec<Self>], c_int),
            ) {
                let pointers = |all: &[Vec<Self>]| all.iter().map(Vec::as_ptr).collect::<Vec<_>>();
                let size = a.0.len() as c_int;
                let (left, right) = (pointers(a.0), pointers(b.0));
                let results: Vec<_> = c.0.iter_mut().map(Vec::as_mut_ptr).collect();
                // SAFETY: as above.
                unsafe {
                    $batch(
                        layout,
                        &turn_a,
                        &turn_b,
                        &m,
                        &n,
                        &k,
                        &alpha,
                        left.as_ptr(),
                        &a.1,
                        right.as_ptr(),
                        &b.1,
                        &beta,
                        results.as_ptr(),
                        &c.1,
                        1,
                        &size,
                    );
                }
            }
        }
    };
}

number!(f32, 6e-8, sgemm_, sgemv_, cblas_sgemm_batch);
number!(f64, 2e-16, dgemm_, dgemv_, cblas_dgemm_batch);
