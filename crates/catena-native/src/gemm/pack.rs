//! Blocks of a matrix whose numbers lie the wrong way round for the kernels: copied as they read them, or multiplied by a vector right there.
use std::arch::x86_64::*;

/// Copies `rows` numbers for each step of the depth, and fills them up to `width` with zeros.
///
/// # Safety
///
/// `rows` × `depth` numbers are at `from`, each step `stride` behind the one before; there is room for `width` × `depth` at `to`.
pub(super) unsafe fn straight<T: Copy + Default>(
    from: *const T,
    stride: isize,
    rows: usize,
    depth: usize,
    to: *mut T,
    width: usize,
) {
    for step in 0..depth {
        // SAFETY: the caller promises both.
        unsafe {
            let from = from.offset(step as isize * stride);
            let to = to.add(step * width);
            // a length that the compiler knows is a few vectors
            if rows * size_of::<T>() == 256 {
                to.cast::<[u8; 256]>().write_unaligned(from.cast::<[u8; 256]>().read_unaligned());
            } else {
                std::ptr::copy_nonoverlapping(from, to, rows);
                for row in rows..width {
                    *to.add(row) = T::default();
                }
            }
        }
    }
}

/// What turns columns into rows, for one kind of numbers: a square of so many rows and steps, in registers.
macro_rules! turning {
    ($turn:ident, $transposed:ident, $dots:ident, $type:ident, $side:literal, $store:ident, $splat:ident, $fused:ident) => {
        /// Copies a block whose rows lie along the depth, each `stride` behind the one before. Rows up to `width` that are not there are like the last one:
        /// nobody reads what is computed of them.
        ///
        /// # Safety
        ///
        /// The processor has AVX2; `rows` × `depth` numbers are at `from`; there is room for `width` × `depth` at `to`; `width` is a multiple of 8.
        #[target_feature(enable = "avx2")]
        pub(super) unsafe fn $transposed(
            from: *const $type,
            stride: isize,
            rows: usize,
            depth: usize,
            to: *mut $type,
            width: usize,
        ) {
            for first in (0..width).step_by($side) {
                let mut lines = [from; $side];
                for (at, line) in lines.iter_mut().enumerate() {
                    *line = from.wrapping_offset((first + at).min(rows - 1) as isize * stride);
                }
                let mut step = 0;
                while step + $side <= depth {
                    // SAFETY: the square is within what is there, and within the room.
                    unsafe {
                        let columns = $turn(&lines, step);
                        for (at, column) in columns.iter().enumerate() {
                            $store(to.add((step + at) * width + first), *column);
                        }
                    }
                    step += $side;
                }
                for step in step..depth {
                    for (at, line) in lines.iter().enumerate() {
                        // SAFETY: as above, number by number.
                        unsafe { *to.add(step * width + first + at) = *line.add(step) };
                    }
                }
            }
        }

        /// Makes each sum that of its row's products with `by`, in their order. The rows lie along the depth, each `stride` behind the one before.
        ///
        /// # Safety
        ///
        /// The processor has AVX2 and FMA, and a row of `by.len()` numbers is there for each sum.
        #[target_feature(enable = "avx2,fma")]
        pub(super) unsafe fn $dots(sums: &mut [$type], from: *const $type, stride: isize, by: &[$type]) {
            /// So many vectors of sums, whose chains run side by side.
            const CHAINS: usize = 2;
            /// So many squares are worked on one after the other: two cache lines of each row.
            const SQUARES: usize = 128 / ($side * size_of::<$type>());
            let rows = sums.len();
            for first in (0..rows).step_by(CHAINS * $side) {
                let chains = (rows - first).div_ceil($side).min(CHAINS);
                let mut lines = [[from; $side]; CHAINS];
                for (at, line) in lines.as_flattened_mut().iter_mut().enumerate() {
                    *line = from.wrapping_offset((first + at).min(rows - 1) as isize * stride);
                }
                let mut all = [$splat(0.0); CHAINS];
                let squares = by.len() / $side;
                // a row's cache lines are used up at once: those of other rows may want their places
                for first in (0..squares).step_by(SQUARES) {
                    for (sum, lines) in all[..chains].iter_mut().zip(&lines) {
                        for step in (first..squares.min(first + SQUARES)).map(|square| square * $side) {
                            // SAFETY: the square is within what is there.
                            unsafe {
                                for (at, column) in $turn(lines, step).iter().enumerate() {
                                    *sum = $fused(*column, $splat(*by.get_unchecked(step + at)), *sum);
                                }
                            }
                        }
                    }
                }
                for (chain, lines) in lines.iter().enumerate().take(chains) {
                    let mut numbers = [0.0; $side];
                    // SAFETY: room for one vector.
                    unsafe { $store(numbers.as_mut_ptr(), all[chain]) };
                    let sums = &mut sums[first + chain * $side..];
                    for ((sum, line), mut number) in sums.iter_mut().zip(lines).zip(numbers) {
                        for (step, by) in by.iter().enumerate().skip(squares * $side) {
                            // SAFETY: within the row.
                            number = unsafe { *line.add(step) }.mul_add(*by, number);
                        }
                        *sum = number;
                    }
                }
            }
        }
    };
}

turning!(turn_f32, transposed_f32, dots_f32, f32, 8, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps);
turning!(turn_f64, transposed_f64, dots_f64, f64, 4, _mm256_storeu_pd, _mm256_set1_pd, _mm256_fmadd_pd);

/// The columns of a square. Halves of rows are put together as they are loaded, and a shuffle for two columns is spared by blending: there are fewer ways for
/// shuffles through a processor than for either.
///
/// # Safety
///
/// Eight numbers are there in each line from `step` on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn turn_f32(lines: &[*const f32; 8], step: usize) -> [__m256; 8] {
    // SAFETY: the caller promises the numbers.
    let half = |row: usize, at: usize| unsafe { _mm_loadu_ps(lines[row].add(step + at)) };
    let mut columns = [_mm256_setzero_ps(); 8];
    for at in [0, 4] {
        let a = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(half(0, at)), half(4, at));
        let b = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(half(1, at)), half(5, at));
        let c = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(half(2, at)), half(6, at));
        let d = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(half(3, at)), half(7, at));
        let (ab, ab2) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (cd, cd2) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        let (low, high) = (_mm256_shuffle_ps::<0x4e>(ab, cd), _mm256_shuffle_ps::<0x4e>(ab2, cd2));
        columns[at] = _mm256_blend_ps::<0xcc>(ab, low);
        columns[at + 1] = _mm256_blend_ps::<0x33>(cd, low);
        columns[at + 2] = _mm256_blend_ps::<0xcc>(ab2, high);
        columns[at + 3] = _mm256_blend_ps::<0x33>(cd2, high);
    }
    columns
}

/// As [`turn_f32`].
///
/// # Safety
///
/// Four numbers are there in each line from `step` on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn turn_f64(lines: &[*const f64; 4], step: usize) -> [__m256d; 4] {
    // SAFETY: the caller promises the numbers.
    let half = |row: usize, at: usize| unsafe { _mm_loadu_pd(lines[row].add(step + at)) };
    let mut columns = [_mm256_setzero_pd(); 4];
    for at in [0, 2] {
        let a = _mm256_insertf128_pd::<1>(_mm256_castpd128_pd256(half(0, at)), half(2, at));
        let b = _mm256_insertf128_pd::<1>(_mm256_castpd128_pd256(half(1, at)), half(3, at));
        columns[at] = _mm256_unpacklo_pd(a, b);
        columns[at + 1] = _mm256_unpackhi_pd(a, b);
    }
    columns
}
