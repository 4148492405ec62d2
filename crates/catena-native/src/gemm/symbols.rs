//! What libtorch calls: the matrix products of BLAS, under the names of BLAS.
//!
//! libtorch finds a program's functions before its own. Each of these computes the product here, or hands its arguments on to the function that libtorch would have
//! called otherwise. What BLAS forbids is handed on too, so that a mistake has its usual answer. A panic in a function of C's kind ends the process: none reaches C++.
use std::arch::x86_64::__cpuid;
use std::ffi::{c_char, c_int};
use std::sync::OnceLock;

use super::element::Element;
use super::kernels::Set;
use super::own;
use super::product::Product;
use super::split::Work;

/// Whether the kernels beat libtorch's own on this processor. Intel's library, which libtorch has inside, uses the best that its maker's processors have, and not
/// what others have.
pub(super) fn wins() -> bool {
    let maker = __cpuid(0);
    let maker = [maker.ebx, maker.edx, maker.ecx].map(u32::to_le_bytes);
    matches!(maker.as_flattened(), b"AuthenticAMD" | b"HygonGenuine")
}

/// Why nothing can be computed here.
pub(super) fn why_not() -> Option<&'static str> {
    static IS_ASKED: OnceLock<bool> = OnceLock::new();
    if Set::of_this_processor().is_none() {
        return Some("the processor lacks AVX2 or FMA");
    }
    let is_asked = IS_ASKED.get_or_init(|| own::is_first(c"sgemm_"));
    (!is_asked)
        .then_some("libtorch does not ask it, because it is in a library that was loaded after libtorch")
}

/// The instructions to compute with; none if somebody else multiplies.
fn set() -> Option<Set> {
    if super::is_catenas() { Set::of_this_processor() } else { None }
}

/// One side of a product: whether it is turned, where it is, and from one of its columns to the next.
type Side<T> = (Option<bool>, *const T, c_int);

/// The product that is asked for, column by column in memory; none if BLAS's rules are broken.
fn product<T: Element>(
    sizes: [c_int; 3],
    alpha: T,
    (turn_a, a, lda): Side<T>,
    (turn_b, b, ldb): Side<T>,
    (beta, c, ldc): (T, *mut T, c_int),
) -> Option<Product<T>> {
    let (turn_a, turn_b, [m, n, k]) = (turn_a?, turn_b?, sizes);
    let fits = |stride: c_int, rows: c_int| stride >= rows.max(1);
    let (rows_of_a, rows_of_b) = (if turn_a { k } else { m }, if turn_b { n } else { k });
    if sizes.iter().any(|size| *size < 0) || !fits(lda, rows_of_a) || !fits(ldb, rows_of_b) || !fits(ldc, m) {
        return None;
    }
    let strides = |turn: bool, stride: c_int| if turn { (stride as isize, 1) } else { (1, stride as isize) };
    let (a_strides, b_strides, c_strides) = (strides(turn_a, lda), strides(turn_b, ldb), strides(false, ldc));
    let [m, n, k] = sizes.map(|size| size as usize);
    let product = Product { m, n, k, alpha, a, a_strides, b, b_strides, beta, c, c_strides };
    Some(product.by_vector().unwrap_or(product))
}

/// A matrix by a vector; none if BLAS's rules are broken.
fn vector<T: Element>(
    [m, n]: [c_int; 2],
    alpha: T,
    (turn, a, lda): Side<T>,
    (x, x_step): (*const T, c_int),
    (beta, y, y_step): (T, *mut T, c_int),
) -> Option<Product<T>> {
    let turn = turn?;
    if m < 0 || n < 0 || lda < m.max(1) || x_step == 0 || y_step == 0 {
        return None;
    }
    let (rows, terms) = if turn { (n, m) } else { (m, n) };
    // without terms the result is left as it is, unlike that of matrices
    let rows = if terms == 0 { 0 } else { rows };
    // a vector that goes backwards begins at its end
    let first = |len: c_int, step: c_int| if step < 0 { (1 - len as isize) * step as isize } else { 0 };
    Some(Product {
        m: rows as usize,
        n: 1,
        k: terms as usize,
        alpha,
        a,
        a_strides: if turn { (lda as isize, 1) } else { (1, lda as isize) },
        b: x.wrapping_offset(first(terms, x_step)),
        b_strides: (x_step as isize, 0),
        beta,
        c: y.wrapping_offset(first(rows, y_step)),
        c_strides: (y_step as isize, 0),
    })
}

/// BLAS's letter for a side.
fn letter(letter: c_char) -> Option<bool> {
    match letter as u8 {
        b'N' | b'n' => Some(false),
        b'T' | b't' | b'C' | b'c' => Some(true),
        _ => None,
    }
}

/// CBLAS's number for a side.
fn number(number: c_int) -> Option<bool> {
    match number {
        111 => Some(false),
        112 | 113 => Some(true),
        _ => None,
    }
}

/// Computes products of equal sizes.
///
/// # Safety
///
/// All that they name is there, and this processor has the instructions.
unsafe fn compute<T: Element>(set: Set, products: &[Product<T>]) {
    // SAFETY: as the caller promises.
    unsafe { Work { kernels: &T::kernels(set), products }.compute() }
}

/// Functions of C's kind: what they compute here, and what is called otherwise.
macro_rules! functions {
    ($(unsafe fn $name:ident($($argument:ident: $type:ty),* $(,)?) as $text:literal $here:block)*) => {
        $(
            /// # Safety
            ///
            /// As BLAS has it.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $type),*) {
                static OWN: $crate::gemm::own::Own = $crate::gemm::own::Own::new($text);
                type Function = unsafe extern "C" fn($($type),*);
                // SAFETY: BLAS's callers hand over what is read.
                let here = || -> Option<()> { unsafe { $here } };
                if here().is_none() {
                    let own = OWN.find();
                    assert!(!own.is_null(), "neither catena nor libtorch can multiply here: there is no other {}", stringify!($name));
                    // SAFETY: it is BLAS's function of this name, and the arguments are the caller's.
                    unsafe { std::mem::transmute::<*mut std::ffi::c_void, Function>(own)($($argument),*) }
                }
            }
        )*
    };
}

#[cfg(test)]
pub(super) use functions;

macro_rules! functions_of {
    ($float:ident, $gemm:ident $gemm_name:literal, $gemv:ident $gemv_name:literal, $batch:ident $batch_name:literal) => {
        functions! {
            unsafe fn $gemm(
                turn_a: *const c_char, turn_b: *const c_char, m: *const c_int, n: *const c_int, k: *const c_int, alpha: *const $float,
                a: *const $float, lda: *const c_int, b: *const $float, ldb: *const c_int, beta: *const $float, c: *mut $float,
                ldc: *const c_int,
            ) as $gemm_name {
                let set = set()?;
                let (a, b) = ((letter(*turn_a), a, *lda), (letter(*turn_b), b, *ldb));
                compute(set, &[product([*m, *n, *k], *alpha, a, b, (*beta, c, *ldc))?]);
                Some(())
            }

            unsafe fn $gemv(
                turn: *const c_char, m: *const c_int, n: *const c_int, alpha: *const $float, a: *const $float, lda: *const c_int,
                x: *const $float, x_step: *const c_int, beta: *const $float, y: *mut $float, y_step: *const c_int,
            ) as $gemv_name {
                let set = set()?;
                let a = (letter(*turn), a, *lda);
                compute(set, &[vector([*m, *n], *alpha, a, (x, *x_step), (*beta, y, *y_step))?]);
                Some(())
            }

            unsafe fn $batch(
                layout: c_int, turn_a: *const c_int, turn_b: *const c_int, m: *const c_int, n: *const c_int, k: *const c_int,
                alpha: *const $float, a: *const *const $float, lda: *const c_int, b: *const *const $float, ldb: *const c_int,
                beta: *const $float, c: *const *mut $float, ldc: *const c_int, groups: c_int, sizes: *const c_int,
            ) as $batch_name {
                let set = set()?;
                let mut all = Vec::new();
                let mut first = 0;
                for g in 0..usize::try_from(groups).ok()? {
                    let size = usize::try_from(*sizes.add(g)).ok()?;
                    let mut group = Vec::with_capacity(size);
                    for i in first..first + size {
                        let left = (number(*turn_a.add(g)), *a.add(i), *lda.add(g));
                        let right = (number(*turn_b.add(g)), *b.add(i), *ldb.add(g));
                        let [m, n, k] = [*m.add(g), *n.add(g), *k.add(g)];
                        // row by row in memory, the sides change places
                        let (left, right, m, n) = match layout {
                            102 => (left, right, m, n),
                            101 => (right, left, n, m),
                            _ => return None,
                        };
                        group.push(product([m, n, k], *alpha.add(g), left, right, (*beta.add(g), *c.add(i), *ldc.add(g)))?);
                    }
                    all.push(group);
                    first += size;
                }
                for group in all {
                    compute(set, &group);
                }
                Some(())
            }
        }
    };
}

functions_of!(f32, sgemm_ c"sgemm_", sgemv_ c"sgemv_", cblas_sgemm_batch c"cblas_sgemm_batch");
functions_of!(f64, dgemm_ c"dgemm_", dgemv_ c"dgemv_", cblas_dgemm_batch c"cblas_dgemm_batch");
