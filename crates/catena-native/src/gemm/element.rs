//! The two kinds of numbers that are multiplied, and the kernels for them.
use std::cell::RefCell;

use super::kernels::{Kernels, Set};
use super::pack;

/// f32 or f64.
pub(super) trait Element:
    Copy + Default + PartialEq + std::ops::Add<Output = Self> + std::ops::Mul<Output = Self> + 'static
{
    const ZERO: Self;
    const ONE: Self;
    /// How many terms are added up in registers before the sum goes to memory. A sum has the same bits for any blocking but this one.
    const DEPTH: usize;

    fn kernels(set: Set) -> Kernels<Self>;

    /// See [`pack::transposed_f32`].
    ///
    /// # Safety
    ///
    /// The processor has AVX2, and `rows` × `depth` numbers are at `from`, as many as are asked for at `to`.
    unsafe fn transposed(
        from: *const Self,
        stride: isize,
        rows: usize,
        depth: usize,
        to: *mut Self,
        width: usize,
    );

    /// See [`pack::dots_f32`].
    ///
    /// # Safety
    ///
    /// The processor has AVX2 and FMA, and a row of `by.len()` numbers is at `from` for each sum.
    unsafe fn dots(sums: &mut [Self], from: *const Self, stride: isize, by: &[Self]);

    /// `self · by + to`, rounded once.
    fn fused(self, by: Self, to: Self) -> Self;

    /// Lends this thread's memory for packed blocks; new memory where it can't be had.
    fn with_room<R>(call: impl FnOnce(&mut Room<Self>) -> R) -> R;
}

/// Memory for a packed block of each side, kept from product to product.
pub(super) struct Room<T> {
    pub(super) left: Block<T>,
    pub(super) right: Block<T>,
}

impl<T> Room<T> {
    const fn new() -> Self {
        Self { left: Block(Vec::new()), right: Block(Vec::new()) }
    }
}

pub(super) struct Block<T>(Vec<T>);

impl<T: Element> Block<T> {
    /// Memory for so many numbers, at the beginning of a cache line. It holds numbers of the past.
    pub(super) fn of(&mut self, len: usize) -> *mut T {
        const LINE: usize = 64;
        let len = len + LINE / size_of::<T>();
        if self.0.len() < len {
            // what is there is not copied
            self.0.clear();
            self.0.resize(len, T::ZERO);
        }
        let at = self.0.as_mut_ptr();
        at.wrapping_add(at.align_offset(LINE))
    }
}

macro_rules! element {
    ($type:ident, $depth:expr, $transposed:ident, $dots:ident) => {
        impl Element for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const DEPTH: usize = $depth;

            fn kernels(set: Set) -> Kernels<Self> {
                super::kernels::$type(set)
            }

            unsafe fn transposed(
                from: *const Self,
                stride: isize,
                rows: usize,
                depth: usize,
                to: *mut Self,
                width: usize,
            ) {
                // SAFETY: the caller promises what it asks for.
                unsafe { pack::$transposed(from, stride, rows, depth, to, width) }
            }

            unsafe fn dots(sums: &mut [Self], from: *const Self, stride: isize, by: &[Self]) {
                // SAFETY: the caller promises what it asks for.
                unsafe { pack::$dots(sums, from, stride, by) }
            }

            #[inline(always)]
            fn fused(self, by: Self, to: Self) -> Self {
                self.mul_add(by, to)
            }

            fn with_room<R>(call: impl FnOnce(&mut Room<Self>) -> R) -> R {
                thread_local!(static ROOM: RefCell<Room<$type>> = const { RefCell::new(Room::new()) });
                let mut call = Some(call);
                let mut answer = None;
                // a thread that ends has none left
                let _ = ROOM.try_with(|room| {
                    if let (Ok(mut room), Some(call)) = (room.try_borrow_mut(), call.take()) {
                        answer = Some(call(&mut room));
                    }
                });
                match (answer, call) {
                    (Some(answer), _) => answer,
                    (None, Some(call)) => call(&mut Room::new()),
                    (None, None) => unreachable!("a call that was made has an answer"),
                }
            }
        }
    };
}

element!(f32, 512, transposed_f32, dots_f32);
element!(f64, 256, transposed_f64, dots_f64);
