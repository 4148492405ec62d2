//! The kernels of the crates `gemm-f32` and `gemm-f64`: a small block of the result, kept in registers.
use std::sync::OnceLock;

/// Adds up products for a block of at most `rows` × `columns` of the result.
///
/// Its arguments: the block's rows, columns and depth; the result; the left side's rows and the right side's columns; strides of the result (column, row), of the
/// left side (column) and of the right side (row, column); the factor of what is in the result, and that of the product; 0, 1 or 2 for a first factor of 0, of 1,
/// or any; and what real numbers don't need. It reads whole vectors of the left side's rows.
pub(super) type Kernel<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    *const T,
    *const T,
    isize,
    isize,
    isize,
    isize,
    isize,
    T,
    T,
    u8,
    bool,
    bool,
    bool,
    *const T,
);

/// The kernels of one instruction set. All give the same bits: each sum is one chain of fused multiply-adds, in the order of its terms.
pub(super) struct Kernels<T: 'static> {
    /// Numbers in a vector.
    pub(super) lanes: usize,
    /// The largest block's rows.
    pub(super) rows: usize,
    /// The largest block's columns.
    pub(super) columns: usize,
    /// For each number of vectors, then for each number of columns.
    table: &'static [Kernel<T>],
}

impl<T> Kernels<T> {
    /// The kernel for so many vectors of rows and so many columns, neither of them 0.
    pub(super) fn of(&self, vectors: usize, columns: usize) -> Kernel<T> {
        self.table[(vectors - 1) * self.columns + columns - 1]
    }
}

/// What a processor has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    Avx512,
    Avx2,
}

impl Set {
    /// The best that this processor has, if it has any.
    pub(super) fn of_this_processor() -> Option<Self> {
        static SET: OnceLock<Option<Set>> = OnceLock::new();
        *SET.get_or_init(|| {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            match avx2 {
                true if is_x86_feature_detected!("avx512f") => Some(Self::Avx512),
                true => Some(Self::Avx2),
                false => None,
            }
        })
    }
}

macro_rules! kernels {
    ($type:ident, $module:ident, $lanes:expr, $narrow:expr) => {
        pub(super) fn $type(set: Set) -> Kernels<$type> {
            use $module::microkernel::{avx512f::$type as wide, fma::$type as narrow};
            static WIDE: [[Kernel<$type>; wide::NR]; wide::MR_DIV_N] = wide::UKR;
            static NARROW: [[Kernel<$type>; narrow::NR]; narrow::MR_DIV_N] = narrow::UKR;
            match set {
                Set::Avx512 => Kernels {
                    lanes: $lanes,
                    rows: wide::MR_DIV_N * $lanes,
                    columns: wide::NR,
                    table: WIDE.as_flattened(),
                },
                Set::Avx2 => Kernels {
                    lanes: $narrow,
                    rows: narrow::MR_DIV_N * $narrow,
                    columns: narrow::NR,
                    table: NARROW.as_flattened(),
                },
            }
        }
    };
}

kernels!(f32, gemm_f32, 16, 8);
kernels!(f64, gemm_f64, 8, 4);
