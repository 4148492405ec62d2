//! One matrix product, and the one way in which each of its numbers is computed.
//!
//! A number of the result is `beta · c + alpha · Σ a·b`. Its terms are added in their order, each by one fused multiply-add, in stretches of at most
//! [`Element::DEPTH`] terms whose lengths follow from `k` alone; each stretch begins with 0 and is added to the result by one more. So the bits of a number depend
//! on its row and its column only: not on the other rows and columns, nor on the number of threads, on blocks, on the instruction set, or on where anything lies.
use std::ops::Range;

use super::element::Element;
use super::kernels::Kernels;
use super::pack;

/// A product of `m` × `k` by `k` × `n`. Strides are (from row to row, from column to column), in numbers.
#[derive(Clone, Copy)]
pub(super) struct Product<T> {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) alpha: T,
    pub(super) a: *const T,
    pub(super) a_strides: (isize, isize),
    pub(super) b: *const T,
    pub(super) b_strides: (isize, isize),
    pub(super) beta: T,
    pub(super) c: *mut T,
    pub(super) c_strides: (isize, isize),
}

/// How many terms a stretch has. The last one may have less.
pub(super) fn stretch<T: Element>(k: usize) -> usize {
    k.div_ceil(k.div_ceil(T::DEPTH).max(1))
}

/// Rows and columns that are worked on at a time, so that what is packed of them stays in the second cache and in a share of the third.
const ROWS: usize = 256;
const COLUMNS: usize = 1020;

impl<T: Element> Product<T> {
    /// Computes a part of the result.
    ///
    /// # Safety
    ///
    /// The processor has the kernels' instructions; all that the sizes and strides name is there, and nobody else uses the part of the result; one of the strides
    /// of `a` is 1 unless there is one row or one term.
    pub(super) unsafe fn compute(&self, kernels: &Kernels<T>, rows: Range<usize>, columns: Range<usize>) {
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        if self.k == 0 || self.alpha == T::ZERO {
            // SAFETY: within the result.
            return unsafe { self.scale(rows, columns) };
        }
        if self.n == 1 {
            // SAFETY: as the caller promises.
            return unsafe { self.times_vector(rows) };
        }
        T::with_room(|room| {
            let stretch = stretch::<T>(self.k);
            for first in (0..self.k).step_by(stretch) {
                let depth = first..self.k.min(first + stretch);
                for first in columns.clone().step_by(COLUMNS) {
                    let columns = first..columns.end.min(first + COLUMNS);
                    // SAFETY: within what is there.
                    let right = unsafe { self.right(kernels, &rows, &columns, &depth, &mut room.right) };
                    for first in rows.clone().step_by(ROWS) {
                        let rows = first..rows.end.min(first + ROWS);
                        // SAFETY: within what is there.
                        unsafe {
                            let left = self.left(kernels, &rows, &columns, &depth, &mut room.left);
                            self.block(kernels, &rows, &columns, &depth, &left, &right);
                        }
                    }
                }
            }
        });
    }

    /// What is left of the product where nothing is added: `beta · c`. A `beta` of 0 does not read it.
    unsafe fn scale(&self, rows: Range<usize>, columns: Range<usize>) {
        if self.beta == T::ONE {
            return;
        }
        for column in columns {
            for row in rows.clone() {
                // SAFETY: the caller promises that it is there.
                unsafe {
                    let number = at(self.c, self.c_strides, row, column).cast_mut();
                    *number = if self.beta == T::ZERO { T::ZERO } else { self.beta * *number };
                }
            }
        }
    }

    /// The left side's rows, in panels.
    unsafe fn left(
        &self,
        kernels: &Kernels<T>,
        rows: &Range<usize>,
        columns: &Range<usize>,
        depth: &Range<usize>,
        room: &mut super::element::Block<T>,
    ) -> Left<T> {
        let from = at(self.a, self.a_strides, rows.start, depth.start);
        let is_straight = self.a_strides.0 == 1;
        let mut left = Left { packed: room.of(0), from, stride: self.a_strides.1, first_packed: 0 };
        // whole vectors are read where they are, unless they are read often
        if is_straight && columns.len() <= DIRECT * kernels.columns {
            left.first_packed = rows.len() / kernels.rows;
            if rows.len().is_multiple_of(kernels.lanes) {
                left.first_packed = usize::MAX;
                return left;
            }
        }
        left.packed = room.of(rows.len().next_multiple_of(kernels.rows) * depth.len());
        for panel in left.first_packed..rows.len().div_ceil(kernels.rows) {
            let first = panel * kernels.rows;
            let height = kernels.rows.min(rows.len() - first);
            let width = height.next_multiple_of(kernels.lanes);
            // SAFETY: within the left side, and within the room.
            unsafe {
                let from = from.offset(first as isize * self.a_strides.0);
                let to = left.packed.add(first * depth.len());
                if is_straight {
                    pack::straight(from, self.a_strides.1, height, depth.len(), to, width);
                } else {
                    T::transposed(from, self.a_strides.0, height, depth.len(), to, width);
                }
            }
        }
        left
    }

    /// The right side's columns.
    unsafe fn right(
        &self,
        kernels: &Kernels<T>,
        rows: &Range<usize>,
        columns: &Range<usize>,
        depth: &Range<usize>,
        room: &mut super::element::Block<T>,
    ) -> Right<T> {
        let from = at(self.b, self.b_strides, depth.start, columns.start);
        if self.b_strides.0 == 1 || rows.len() <= 2 * kernels.rows {
            return Right {
                from,
                panel: kernels.columns as isize * self.b_strides.1,
                strides: self.b_strides,
            };
        }
        let width = kernels.columns;
        let to = room.of(columns.len().next_multiple_of(width) * depth.len());
        for first in (0..columns.len()).step_by(width) {
            let height = width.min(columns.len() - first);
            // SAFETY: within the right side, and within the room.
            unsafe {
                let from = from.offset(first as isize * self.b_strides.1);
                let to = to.add(first * depth.len());
                for step in 0..depth.len() {
                    for column in 0..height {
                        *to.add(step * width + column) = *from
                            .offset(step as isize * self.b_strides.0 + column as isize * self.b_strides.1);
                    }
                }
            }
        }
        Right { from: to, panel: (width * depth.len()) as isize, strides: (width as isize, 1) }
    }

    /// All of one block's kernels.
    unsafe fn block(
        &self,
        kernels: &Kernels<T>,
        rows: &Range<usize>,
        columns: &Range<usize>,
        depth: &Range<usize>,
        left: &Left<T>,
        right: &Right<T>,
    ) {
        let beta = if depth.start == 0 { self.beta } else { T::ONE };
        let status = if beta == T::ZERO { 0 } else { 1 + u8::from(beta != T::ONE) };
        for (j, first) in columns.clone().step_by(kernels.columns).enumerate() {
            let width = kernels.columns.min(columns.end - first);
            let right_at = right.from.wrapping_offset(j as isize * right.panel);
            for (i, first_row) in rows.clone().step_by(kernels.rows).enumerate() {
                let height = kernels.rows.min(rows.end - first_row);
                let vectors = height.div_ceil(kernels.lanes);
                let (left_at, stride) = if i < left.first_packed {
                    (left.from.wrapping_add(i * kernels.rows), left.stride)
                } else {
                    let at = left.packed.wrapping_add(i * kernels.rows * depth.len());
                    (at.cast_const(), (vectors * kernels.lanes) as isize)
                };
                // SAFETY: the block is there, whole vectors of its rows are, and the caller promises the instructions.
                unsafe {
                    kernels.of(vectors, width)(
                        height,
                        width,
                        depth.len(),
                        at(self.c, self.c_strides, first_row, first).cast_mut(),
                        left_at,
                        right_at,
                        self.c_strides.1,
                        self.c_strides.0,
                        stride,
                        right.strides.0,
                        right.strides.1,
                        beta,
                        self.alpha,
                        status,
                        false,
                        false,
                        false,
                        std::ptr::null(),
                    );
                }
            }
        }
    }
}

/// In how many blocks of columns the left side is read where it is.
const DIRECT: usize = 8;

struct Left<T> {
    packed: *mut T,
    from: *const T,
    stride: isize,
    /// Panels from this one on are packed.
    first_packed: usize,
}

struct Right<T> {
    from: *const T,
    /// From one panel to the next.
    panel: isize,
    strides: (isize, isize),
}

fn at<T>(from: *const T, strides: (isize, isize), row: usize, column: usize) -> *const T {
    from.wrapping_offset(row as isize * strides.0 + column as isize * strides.1)
}
