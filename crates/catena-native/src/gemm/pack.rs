//! Blocks of a matrix, laid out as the kernels read them: row behind row for each step of the depth.
use std::arch::x86_64::*;

use super::element::Element;

/// Copies `rows` numbers for each step of the depth, and fills them up to `width` with zeros.
///
/// # Safety
///
/// `rows` × `depth` numbers are at `from`, each step `stride` behind the one before; there is room for `width` × `depth` at `to`.
pub(super) unsafe fn straight<T: Element>(
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
                    *to.add(row) = T::ZERO;
                }
            }
        }
    }
}

/// Copies a block whose rows lie along the depth, each `stride` behind the one before. Rows up to `width` that are not there are like the last one: nobody reads
/// what is computed of them.
///
/// # Safety
///
/// The processor has AVX2; `rows` × `depth` numbers are at `from`; there is room for `width` × `depth` at `to`; `width` is a multiple of 8.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn transposed_f32(
    from: *const f32,
    stride: isize,
    rows: usize,
    depth: usize,
    to: *mut f32,
    width: usize,
) {
    const SIDE: usize = 8;
    for first in (0..width).step_by(SIDE) {
        // SAFETY: a row that is there.
        let row = |at: usize| unsafe { from.offset((first + at).min(rows - 1) as isize * stride) };
        let lines: [*const f32; SIDE] = std::array::from_fn(row);
        let mut step = 0;
        while step + SIDE <= depth {
            // SAFETY: `SIDE` numbers of each row begin there.
            let [a, b, c, d, e, f, g, h] =
                std::array::from_fn(|at| unsafe { _mm256_loadu_ps(lines[at].add(step)) });
            let (ab, ab2) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (cd, cd2) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            let (ef, ef2) = (_mm256_unpacklo_ps(e, f), _mm256_unpackhi_ps(e, f));
            let (gh, gh2) = (_mm256_unpacklo_ps(g, h), _mm256_unpackhi_ps(g, h));
            let (s, s1) = (_mm256_shuffle_ps::<0x44>(ab, cd), _mm256_shuffle_ps::<0xee>(ab, cd));
            let (s2, s3) = (_mm256_shuffle_ps::<0x44>(ab2, cd2), _mm256_shuffle_ps::<0xee>(ab2, cd2));
            let (t, t1) = (_mm256_shuffle_ps::<0x44>(ef, gh), _mm256_shuffle_ps::<0xee>(ef, gh));
            let (t2, t3) = (_mm256_shuffle_ps::<0x44>(ef2, gh2), _mm256_shuffle_ps::<0xee>(ef2, gh2));
            let columns = [
                _mm256_permute2f128_ps::<0x20>(s, t),
                _mm256_permute2f128_ps::<0x20>(s1, t1),
                _mm256_permute2f128_ps::<0x20>(s2, t2),
                _mm256_permute2f128_ps::<0x20>(s3, t3),
                _mm256_permute2f128_ps::<0x31>(s, t),
                _mm256_permute2f128_ps::<0x31>(s1, t1),
                _mm256_permute2f128_ps::<0x31>(s2, t2),
                _mm256_permute2f128_ps::<0x31>(s3, t3),
            ];
            for (at, column) in columns.into_iter().enumerate() {
                // SAFETY: within `width` × `depth`.
                unsafe { _mm256_storeu_ps(to.add((step + at) * width + first), column) };
            }
            step += SIDE;
        }
        for step in step..depth {
            for (at, line) in lines.iter().enumerate() {
                // SAFETY: as above, number by number.
                unsafe { *to.add(step * width + first + at) = *line.add(step) };
            }
        }
    }
}

/// As [`transposed_f32`].
///
/// # Safety
///
/// As there; `width` is a multiple of 4.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn transposed_f64(
    from: *const f64,
    stride: isize,
    rows: usize,
    depth: usize,
    to: *mut f64,
    width: usize,
) {
    const SIDE: usize = 4;
    for first in (0..width).step_by(SIDE) {
        // SAFETY: a row that is there.
        let row = |at: usize| unsafe { from.offset((first + at).min(rows - 1) as isize * stride) };
        let lines: [*const f64; SIDE] = std::array::from_fn(row);
        let mut step = 0;
        while step + SIDE <= depth {
            // SAFETY: `SIDE` numbers of each row begin there.
            let [a, b, c, d] = std::array::from_fn(|at| unsafe { _mm256_loadu_pd(lines[at].add(step)) });
            let (ab, ab2) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
            let (cd, cd2) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
            let columns = [
                _mm256_permute2f128_pd::<0x20>(ab, cd),
                _mm256_permute2f128_pd::<0x20>(ab2, cd2),
                _mm256_permute2f128_pd::<0x31>(ab, cd),
                _mm256_permute2f128_pd::<0x31>(ab2, cd2),
            ];
            for (at, column) in columns.into_iter().enumerate() {
                // SAFETY: within `width` × `depth`.
                unsafe { _mm256_storeu_pd(to.add((step + at) * width + first), column) };
            }
            step += SIDE;
        }
        for step in step..depth {
            for (at, line) in lines.iter().enumerate() {
                // SAFETY: as above, number by number.
                unsafe { *to.add(step * width + first + at) = *line.add(step) };
            }
        }
    }
}
