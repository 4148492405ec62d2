//! Products of a matrix and a vector: each number of the matrix is needed once, so nothing is packed.
use std::ops::Range;

use super::element::Element;
use super::product::{Product, stretch};

/// Sums that are worked on at a time: they stay in the first cache.
const ROWS: usize = 1024;
/// Columns that are added at a time.
const COLUMNS: usize = 8;

impl<T: Element> Product<T> {
    /// The same product, turned so that its right side is a vector; none if it has none.
    pub(super) fn by_vector(&self) -> Option<Self> {
        let turned = |(row, column): (isize, isize)| (column, row);
        match (self.m, self.n) {
            (_, 1) => Some(*self),
            (1, _) => Some(Self {
                m: self.n,
                n: self.m,
                a: self.b,
                a_strides: turned(self.b_strides),
                b: self.a,
                b_strides: turned(self.a_strides),
                c_strides: turned(self.c_strides),
                ..*self
            }),
            _ => None,
        }
    }

    /// Computes rows of the result, which has one column.
    ///
    /// # Safety
    ///
    /// As [`Product::compute`].
    pub(super) unsafe fn times_vector(&self, rows: Range<usize>) {
        let stretch = stretch::<T>(self.k);
        let (mut sums, mut by) = ([T::ZERO; ROWS], [T::ZERO; 512]);
        const { assert!(T::DEPTH <= 512, "room for the terms of a stretch") };
        for first in (0..self.k).step_by(stretch) {
            let depth = stretch.min(self.k - first);
            let by = &mut by[..depth];
            for (step, number) in by.iter_mut().enumerate() {
                // SAFETY: the caller promises that it is there.
                *number = unsafe { *self.b.offset((first + step) as isize * self.b_strides.0) };
            }
            for row in rows.clone().step_by(ROWS) {
                let sums = &mut sums[..ROWS.min(rows.end - row)];
                let from = self
                    .a
                    .wrapping_offset(row as isize * self.a_strides.0 + first as isize * self.a_strides.1);
                // SAFETY: the caller promises numbers and instructions.
                unsafe {
                    if self.a_strides.0 == 1 {
                        columns(sums, from, self.a_strides.1, by);
                    } else {
                        T::dots(sums, from, self.a_strides.0, by);
                    }
                    self.add(sums, row, first == 0);
                }
            }
        }
    }

    /// Adds sums to the result; the first ones to `beta` times what is there.
    unsafe fn add(&self, sums: &[T], row: usize, is_first: bool) {
        let beta = if is_first { self.beta } else { T::ONE };
        for (at, sum) in sums.iter().enumerate() {
            // SAFETY: the caller promises that it is there, and the processor has FMA.
            unsafe {
                let number = self.c.offset((row + at) as isize * self.c_strides.0);
                *number = if beta == T::ZERO {
                    self.alpha * *sum
                } else if beta == T::ONE {
                    fused(self.alpha, *sum, *number)
                } else {
                    beta * *number + self.alpha * *sum
                };
            }
        }
    }
}

#[inline]
#[target_feature(enable = "fma")]
fn fused<T: Element>(a: T, b: T, to: T) -> T {
    a.fused(b, to)
}

/// Makes each sum that of its row's products with `by`, in their order. The rows lie side by side, one column `stride` behind the other.
#[target_feature(enable = "avx2,fma")]
unsafe fn columns<T: Element>(sums: &mut [T], from: *const T, stride: isize, by: &[T]) {
    let rows = sums.len();
    // SAFETY: the caller promises that the column is there.
    let column =
        |step: usize| unsafe { std::slice::from_raw_parts(from.offset(step as isize * stride), rows) };
    sums.fill(T::ZERO);
    let (whole, rest) = by.as_chunks::<COLUMNS>();
    for (chunk, by) in whole.iter().enumerate() {
        let columns: [&[T]; COLUMNS] = std::array::from_fn(|at| column(chunk * COLUMNS + at));
        for (row, sum) in sums.iter_mut().enumerate() {
            for (column, by) in columns.iter().zip(by) {
                // SAFETY: each column has as many rows.
                *sum = unsafe { *column.get_unchecked(row) }.fused(*by, *sum);
            }
        }
    }
    for (at, by) in rest.iter().enumerate() {
        for (sum, number) in sums.iter_mut().zip(column(whole.len() * COLUMNS + at)) {
            *sum = number.fused(*by, *sum);
        }
    }
}
