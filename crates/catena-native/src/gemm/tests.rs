//! Every number against its definition, for any sizes, layouts, instruction sets, parts and threads.
use std::ffi::c_void;

use super::element::Element;
use super::kernels::Set;
use super::product::{Product, stretch};
use super::split::{Parts, Work, parts};
use crate::ffi;

/// What these tests need of a kind of numbers beside its kernels.
trait Number: Element + std::fmt::Debug {
    fn of(number: f64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! number {
    ($type:ident) => {
        impl Number for $type {
            fn of(number: f64) -> Self {
                number as Self
            }
            fn bits(self) -> u64 {
                self.to_bits().into()
            }
        }
    };
}

number!(f32);
number!(f64);

/// Numbers from a seed, a little more than -1 to 1, of both signs.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 ^ (self.0 >> 29)).wrapping_mul(0x9e3779b97f4a7c15) >> 11
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn vector<T: Number>(&mut self, len: usize) -> Vec<T> {
        (0..len).map(|_| T::of(self.next() as f64 / (1_u64 << 52) as f64 - 1.0)).collect()
    }
}

/// A product's matrices, with room between columns.
struct Matrices<T> {
    a: Vec<T>,
    b: Vec<T>,
    c: Vec<T>,
    product: Product<T>,
}

/// A matrix of so many rows and columns, in one of BLAS's two layouts: its size in memory, and its strides.
fn laid_out(rows: usize, columns: usize, is_turned: bool, gap: usize) -> (usize, (isize, isize)) {
    let (inner, outer) = if is_turned { (columns, rows) } else { (rows, columns) };
    let stride = (inner + gap).max(1);
    (stride * outer, if is_turned { (stride as isize, 1) } else { (1, stride as isize) })
}

fn matrices<T: Number>([m, n, k]: [usize; 3], numbers: &mut Numbers) -> Matrices<T> {
    let mut gap = || [0, 0, 1, 5][numbers.below(4)];
    let gaps = [gap(), gap(), gap()];
    let factors = [0.0, 1.0, 1.0, -0.75, 0.3];
    let mut factor = || T::of(factors[numbers.below(factors.len())]);
    let (alpha, beta) = (factor(), factor());
    let (a_size, a_strides) = laid_out(m, k, numbers.below(2) == 1, gaps[0]);
    let (b_size, b_strides) = laid_out(k, n, numbers.below(2) == 1, gaps[1]);
    let (c_size, c_strides) = laid_out(m, n, false, gaps[2]);
    let (a, b, c) = (numbers.vector(a_size), numbers.vector(b_size), numbers.vector(c_size));
    let nowhere = std::ptr::null_mut();
    let product =
        Product { m, n, k, alpha, a: nowhere, a_strides, b: nowhere, b_strides, beta, c: nowhere, c_strides };
    Matrices { a, b, c, product }
}

impl<T: Number> Matrices<T> {
    /// The product, whose result goes to `c`.
    fn product(&self, c: &mut [T]) -> Product<T> {
        Product { a: self.a.as_ptr(), b: self.b.as_ptr(), c: c.as_mut_ptr(), ..self.product }
    }

    /// The result as it is defined; `pick` says which numbers.
    #[target_feature(enable = "fma")]
    fn defined(&self, pick: impl Fn(usize, usize) -> bool) -> Vec<Option<T>> {
        let Product { m, n, k, alpha, beta, a_strides, b_strides, c_strides, .. } = self.product;
        let mut defined = vec![None; self.c.len()];
        for row in 0..m {
            for column in (0..n).filter(|column| pick(row, *column)) {
                let at = row + column * c_strides.1 as usize;
                let mut number = self.c[at];
                if k == 0 || alpha == T::ZERO {
                    number = if beta == T::ZERO { T::ZERO } else { beta * number };
                }
                let stretch = stretch::<T>(k).max(1);
                for first in (0..if alpha == T::ZERO { 0 } else { k }).step_by(stretch) {
                    let mut sum = T::ZERO;
                    for term in first..k.min(first + stretch) {
                        let a = self.a[row * a_strides.0 as usize + term * a_strides.1 as usize];
                        let b = self.b[term * b_strides.0 as usize + column * b_strides.1 as usize];
                        sum = a.fused(b, sum);
                    }
                    number = match first {
                        0 if beta == T::ZERO => alpha * sum,
                        0 if beta != T::ONE => beta * number + alpha * sum,
                        _ => alpha.fused(sum, number),
                    };
                }
                defined[at] = Some(number);
            }
        }
        defined
    }

    /// That `c` is as defined, and as it was where it is none of the result's.
    fn check(&self, c: &[T], defined: &[Option<T>], is_whole: bool, what: impl std::fmt::Debug) {
        for (at, (number, (defined, before))) in c.iter().zip(defined.iter().zip(&self.c)).enumerate() {
            if let Some(expected) = defined.or(is_whole.then_some(*before)) {
                let Product { m, n, k, alpha, beta, a_strides, b_strides, .. } = self.product;
                assert_eq!(
                    number.bits(),
                    expected.bits(),
                    "{m} x {n} x {k}, number {at}: {number:?} is not {expected:?}; {alpha:?} {beta:?} {a_strides:?} {b_strides:?} {what:?}",
                );
            }
        }
    }
}

fn sets() -> Vec<Set> {
    match Set::of_this_processor() {
        Some(Set::Avx512) => vec![Set::Avx512, Set::Avx2],
        Some(Set::Avx2) => vec![Set::Avx2],
        None => Vec::new(),
    }
}

/// All small sizes, whole and in up to five parts, each by another layout, factors and gaps.
fn small_sizes<T: Number>(step: usize) {
    let mut numbers = Numbers(1);
    for set in sets() {
        let kernels = T::kernels(set);
        for at in (0..41 * 41 * 41).step_by(step) {
            let sizes = [at % 41, at / 41 % 41, at / 1681];
            let matrices = matrices::<T>(sizes, &mut numbers);
            // SAFETY: there is a set, so there is FMA.
            let defined = unsafe { matrices.defined(|_, _| true) };
            let mut c = matrices.c.clone();
            // SAFETY: the matrices are as large as the sizes say, and the processor has the set.
            unsafe { matrices.product(&mut c).compute(&kernels, 0..sizes[0], 0..sizes[1]) };
            matrices.check(&c, &defined, true, set);
            let pieces = 2 + numbers.below(4);
            for grid in [(pieces, 1), (1, pieces)] {
                let mut c = matrices.c.clone();
                let product = matrices.product(&mut c);
                for (rows, columns) in parts(grid, sizes[0], sizes[1], (1, 1)) {
                    // SAFETY: as above.
                    unsafe { product.compute(&kernels, rows, columns) };
                }
                matrices.check(&c, &defined, true, (set, grid));
            }
        }
    }
}

#[test]
fn every_number_is_as_defined_for_all_small_sizes_and_all_parts() {
    small_sizes::<f32>(1);
    small_sizes::<f64>(7);
}

/// Sizes of every magnitude up to 2000, and some that are vectors.
fn sizes(numbers: &mut Numbers) -> [usize; 3] {
    let mut size = |below: usize| 1 + numbers.below(below);
    let limits = [2000, 300, 40];
    let [m, n, k] = [(); 3].map(|()| limits[size(3) - 1]);
    let [m, n, k] = [m, n, k].map(&mut size);
    match size(6) {
        1 => [m, 1, k],
        2 => [1, n, k],
        _ => [m, n, k],
    }
}

fn any_threads<T: Number>(rounds: usize) {
    let mut numbers = Numbers(2);
    let before = tch::get_num_threads();
    for round in 0..rounds {
        let sizes = sizes(&mut numbers);
        let matrices = matrices::<T>(sizes, &mut numbers);
        let sample: Vec<usize> = (0..13).map(|_| numbers.below(sizes[0] * sizes[1])).collect();
        for set in sets() {
            let kernels = T::kernels(set);
            // SAFETY: there is a set, so there is FMA.
            let defined =
                unsafe { matrices.defined(|row, column| sample.contains(&(row + column * sizes[0]))) };
            let mut one = Vec::new();
            for threads in 1..=5 {
                tch::set_num_threads(threads);
                let mut c = matrices.c.clone();
                let products = [matrices.product(&mut c)];
                // SAFETY: the matrices are as large as the sizes say, and the processor has the set.
                unsafe { Work { kernels: &kernels, products: &products }.compute() };
                matrices.check(&c, &defined, false, (set, threads));
                let bits: Vec<u64> = c.into_iter().map(T::bits).collect();
                if threads == 1 {
                    one = bits;
                } else {
                    assert!(
                        one == bits,
                        "round {round}, {sizes:?}: {threads} threads have other bits than one"
                    );
                }
            }
        }
    }
    tch::set_num_threads(before);
}

#[test]
fn any_number_of_threads_has_the_same_bits() {
    any_threads::<f32>(200);
    any_threads::<f64>(60);
}

#[test]
fn a_product_within_a_parallel_region_has_the_same_bits() {
    let Some(set) = sets().pop() else { return };
    struct Inside<'a>(&'a Matrices<f32>, std::sync::Mutex<Vec<Vec<f32>>>, Set);
    unsafe extern "C" fn multiply(inside: *const c_void, _: i64) {
        // SAFETY: what is handed over below.
        let Inside(matrices, results, set) = unsafe { &*inside.cast::<Inside<'_>>() };
        let mut c = matrices.c.clone();
        let products = [matrices.product(&mut c)];
        // SAFETY: the matrices are as large as the sizes say, and the processor has the set.
        unsafe { Work { kernels: &f32::kernels(*set), products: &products }.compute() };
        results.lock().unwrap().push(c);
    }
    let mut numbers = Numbers(3);
    for _ in 0..10 {
        let sizes = [200 + numbers.below(200), 200 + numbers.below(200), 200 + numbers.below(900)];
        let matrices = matrices::<f32>(sizes, &mut numbers);
        let inside = Inside(&matrices, std::sync::Mutex::new(Vec::new()), set);
        multiply_alone(&inside, multiply);
        // SAFETY: it lives until the call ends.
        let code = unsafe { ffi::catena_parallel(6, multiply, (&raw const inside).cast()) };
        assert_eq!(code, 0);
        let results = inside.1.into_inner().unwrap();
        assert_eq!(results.len(), 7);
        assert!(results.iter().all(|result| result == &results[0]), "{sizes:?}");
    }

    fn multiply_alone(inside: &Inside<'_>, multiply: unsafe extern "C" fn(*const c_void, i64)) {
        // SAFETY: as in the parallel call.
        unsafe { multiply((&raw const *inside).cast(), 0) }
    }
}

#[test]
fn parts_cover_the_result_once() {
    for (m, n) in [(0, 5), (1, 1), (7, 100), (64, 6), (65, 13), (1000, 1)] {
        for grid in [(1, 1), (2, 1), (1, 3), (3, 2), (5, 5)] {
            let mut seen = vec![0; m * n];
            for (rows, columns) in parts(grid, m, n, (16, 6)) {
                for row in rows {
                    columns.clone().for_each(|column| seen[row * n + column] += 1);
                }
            }
            assert!(seen.iter().all(|times| *times == 1), "{m} x {n}, {grid:?}");
        }
    }
}

super::symbols::functions! {
    unsafe fn catena_product_that_panics(number: *const i32) as c"catena_product_that_panics" {
        assert!(*number == 0, "a product's panic");
        Some(())
    }
}

fn panic_in_a_function_of_c() {
    // SAFETY: the number is there.
    unsafe { catena_product_that_panics(&1) }
}

fn panic_in_a_part() {
    let Some(set) = sets().pop() else { return };
    let work = Work { kernels: &f32::kernels(set), products: &[] };
    let parts = Parts { work: &work, grid: (1, 1) };
    // SAFETY: it lives until the call ends. There is no product of this number.
    let _ = unsafe { ffi::catena_parallel(2, Parts::<f32>::compute, (&raw const parts).cast()) };
}

#[test]
fn a_panic_ends_the_process_before_it_reaches_c() {
    use std::os::unix::process::ExitStatusExt;
    const CHILD: &str = "CATENA_TEST_PANIC";
    match std::env::var(CHILD).as_deref() {
        Ok("function") => return panic_in_a_function_of_c(),
        Ok("part") => return panic_in_a_part(),
        _ => {}
    }
    for (place, text) in [("function", "a product's panic"), ("part", "index out of bounds")] {
        let name = "gemm::tests::a_panic_ends_the_process_before_it_reaches_c";
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args(["--exact", name, "--nocapture"]).env(CHILD, place).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{place}: {errors}");
        assert!(errors.contains(text) && errors.contains("cannot unwind"), "{place}: {errors}");
    }
}
