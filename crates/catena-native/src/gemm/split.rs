//! Products on several of libtorch's threads: the results are split among them, never a sum.
use std::ffi::c_void;
use std::ops::Range;

use super::element::Element;
use super::kernels::Kernels;
use super::product::Product;
use crate::ffi;

/// So many products of two numbers are worth a thread.
const WORTH: usize = 1 << 18;

/// Products of equal sizes, computed by the same kernels.
pub(super) struct Work<'a, T: Element> {
    pub(super) kernels: &'a Kernels<T>,
    pub(super) products: &'a [Product<T>],
}

impl<T: Element> Work<'_, T> {
    /// Computes all.
    ///
    /// # Safety
    ///
    /// As [`Product::compute`] for each product.
    pub(super) unsafe fn compute(&self) {
        let Some(Product { m, n, k, .. }) = self.products.first() else { return };
        let each = m.saturating_mul(*n).saturating_mul((*k).max(1));
        let useful = each.saturating_mul(self.products.len()) / WORTH;
        // SAFETY: it only asks.
        let there = || unsafe { ffi::catena_threads() }.max(1) as usize;
        let threads = if useful < 2 { 1 } else { useful.min(there()) };
        if threads == 1 {
            for product in self.products {
                // SAFETY: as the caller promises.
                unsafe { product.compute(self.kernels, 0..product.m, 0..product.n) }
            }
            return;
        }
        let of_each = threads.div_ceil(self.products.len()).min((each / WORTH).max(1));
        let grid = grid(of_each, *m, *n, self.kernels);
        let parts = Parts { work: self, grid };
        let all = self.products.len() * grid.0 * grid.1;
        // SAFETY: `parts` lives until the call ends, and its parts don't overlap.
        let code = unsafe {
            ffi::catena_parallel(all as i64, Parts::<T>::compute, (&raw const parts).cast::<c_void>())
        };
        assert!(code == 0, "libtorch's threads can't be used: {:?}", crate::error::check(code));
    }
}

/// What the threads share of some work.
pub(super) struct Parts<'a, T: Element> {
    pub(super) work: &'a Work<'a, T>,
    pub(super) grid: (usize, usize),
}

impl<T: Element> Parts<'_, T> {
    /// Computes the part of this number. A panic ends the process here: behind it is C++.
    ///
    /// # Safety
    ///
    /// As [`Work::compute`]; `parts` are some of this kind of numbers, and have a part of this number.
    pub(super) unsafe extern "C" fn compute(parts: *const c_void, number: i64) {
        // SAFETY: what `Work::compute` hands over.
        let Self { work, grid } = unsafe { &*parts.cast::<Self>() };
        let number = number as usize;
        let (product, number) = (&work.products[number / (grid.0 * grid.1)], number % (grid.0 * grid.1));
        let block = (work.kernels.rows, work.kernels.columns);
        let (rows, columns) = part(*grid, product.m, product.n, block, number);
        // SAFETY: as the caller of `Work::compute` promises; the parts don't overlap.
        unsafe { product.compute(work.kernels, rows, columns) }
    }
}

/// The rows and columns of a part: whole blocks, but for the last ones.
fn part(
    grid: (usize, usize),
    m: usize,
    n: usize,
    block: (usize, usize),
    number: usize,
) -> (Range<usize>, Range<usize>) {
    let share = |len: usize, block: usize, part: usize, parts: usize| {
        let edge = |part: usize| len.min(len.div_ceil(block) * part / parts * block);
        edge(part)..edge(part + 1)
    };
    (share(m, block.0, number % grid.0, grid.0), share(n, block.1, number / grid.0, grid.1))
}

/// All parts of a grid.
#[cfg(test)]
pub(super) fn parts(
    grid: (usize, usize),
    m: usize,
    n: usize,
    block: (usize, usize),
) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    (0..grid.0 * grid.1).map(move |number| part(grid, m, n, block, number))
}

/// Into how many parts rows and columns are split for so many threads: the largest part has to be small, and then the fewest numbers are read twice.
fn grid<T>(threads: usize, m: usize, n: usize, kernels: &Kernels<T>) -> (usize, usize) {
    let cost = |&(rows, columns): &(usize, usize)| {
        let height = m.div_ceil(kernels.rows).div_ceil(rows) * kernels.rows;
        let width = n.div_ceil(kernels.columns).div_ceil(columns) * kernels.columns;
        // packing a number costs about as much as multiplying it a few times
        height * width + 8 * (height + width)
    };
    (1..=threads).map(|rows| (rows, threads / rows)).min_by_key(cost).unwrap_or((1, 1))
}
