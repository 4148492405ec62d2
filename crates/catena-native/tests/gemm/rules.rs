//! What BLAS promises, against sums in f64.
use std::ffi::c_int;

use catena_native::gemm::{self, Gemm};
use proptest::prelude::*;

use super::blas::Number;
use super::switch::alone;

/// A matrix of any numbers, in memory column by column or, if turned, row by row, with a gap behind each.
#[derive(Clone, Debug)]
struct Matrix {
    rows: usize,
    columns: usize,
    is_turned: bool,
    stride: usize,
    numbers: Vec<f64>,
}

impl Matrix {
    fn at(&self, row: usize, column: usize) -> f64 {
        self.numbers[self.place(row, column)]
    }

    fn place(&self, row: usize, column: usize) -> usize {
        if self.is_turned { row * self.stride + column } else { column * self.stride + row }
    }

    fn holds(&self, place: usize) -> bool {
        let inner = if self.is_turned { self.columns } else { self.rows };
        place % self.stride < inner
    }

    fn of<T: Number>(&self) -> Vec<T> {
        self.numbers.iter().copied().map(T::of).collect()
    }

    fn letter(&self) -> u8 {
        if self.is_turned { b'T' } else { b'N' }
    }
}

fn matrix(rows: usize, columns: usize, may_be_turned: bool) -> impl Strategy<Value = Matrix> {
    (any::<bool>(), 0..4_usize).prop_flat_map(move |(is_turned, gap)| {
        let is_turned = is_turned && may_be_turned;
        let (inner, outer) = if is_turned { (columns, rows) } else { (rows, columns) };
        let stride = (inner + gap).max(1);
        // numbers that both kinds have
        prop::collection::vec((-1000..1000_i32).prop_map(|number| f64::from(number) / 512.0), stride * outer)
            .prop_map(move |numbers| Matrix { rows, columns, is_turned, stride, numbers })
    })
}

fn factor() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), Just(-1.0), Just(0.375), Just(-2.5)]
}

#[derive(Clone, Debug)]
struct Case {
    a: Matrix,
    b: Matrix,
    c: Matrix,
    alpha: f64,
    beta: f64,
}

impl Case {
    /// The sizes m, n and k.
    fn sizes(&self) -> [c_int; 3] {
        [self.c.rows as c_int, self.c.columns as c_int, self.a.columns as c_int]
    }

    /// The number that is expected, and how far another may be from it.
    fn expected<T: Number>(&self, row: usize, column: usize) -> (f64, f64) {
        let terms = self.a.columns;
        let (mut sum, mut magnitude) = (0.0, 0.0);
        if self.alpha != 0.0 {
            for term in 0..terms {
                let product = self.a.at(row, term) * self.b.at(term, column);
                sum += product;
                magnitude += product.abs();
            }
        }
        let before = if self.beta == 0.0 { 0.0 } else { self.beta * self.c.at(row, column) };
        let magnitude = self.alpha.abs() * magnitude + before.abs();
        (self.alpha * sum + before, magnitude * T::ROUNDING * (terms + 4) as f64)
    }

    fn check<T: Number>(&self, c: &[T]) -> Result<(), TestCaseError> {
        for (place, number) in c.iter().enumerate() {
            let number: f64 = (*number).into();
            if self.c.holds(place) {
                let (row, column) = (place % self.c.stride, place / self.c.stride);
                let (row, column) = if self.c.is_turned { (column, row) } else { (row, column) };
                let (expected, off) = self.expected::<T>(row, column);
                let is_near = (number - expected).abs() <= off || number.is_nan() && expected.is_nan();
                prop_assert!(is_near, "{row}, {column}: {number}, not {expected} ± {off}");
            } else {
                prop_assert_eq!(number, self.c.numbers[place], "a number that is none of the result's");
            }
        }
        Ok(())
    }

    fn multiply<T: Number>(&self) -> Vec<T> {
        let mut c: Vec<T> = self.c.of();
        T::gemm(
            [self.a.letter(), self.b.letter()],
            self.sizes(),
            T::of(self.alpha),
            (&self.a.of(), self.a.stride as c_int),
            (&self.b.of(), self.b.stride as c_int),
            T::of(self.beta),
            (&mut c, self.c.stride as c_int),
        );
        c
    }
}

fn case(largest: usize) -> impl Strategy<Value = Case> {
    let size = move || prop_oneof![0..=largest, Just(1), Just(16), Just(64)];
    (size(), size(), size(), factor(), factor()).prop_flat_map(|(m, n, k, alpha, beta)| {
        (matrix(m, k, true), matrix(k, n, true), matrix(m, n, false)).prop_map(move |(a, b, c)| Case {
            a,
            b,
            c,
            alpha,
            beta,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_product_is_near_to_that_of_f64_and_nothing_else_changes(case in case(70)) {
        let _alone = alone(Gemm::Catena);
        case.check(&case.multiply::<f32>())?;
        case.check(&case.multiply::<f64>())?;
    }

    #[test]
    fn a_batch_has_the_bits_of_its_products(
        (cases, is_by_rows) in ((0..40_usize, 0..40_usize, 0..40_usize, 0..5_usize), any::<bool>()).prop_flat_map(|((m, n, k, size), is_by_rows)| {
            (prop::collection::vec((matrix(m, k, false), matrix(k, n, false), matrix(m, n, false)), size), Just(is_by_rows))
        }),
    ) {
        let _alone = alone(Gemm::Catena);
        // matrices of one group have one stride each
        let even = |matrix: &Matrix| Matrix { stride: matrix.rows.max(1), numbers: matrix.numbers.iter().copied().take(matrix.rows.max(1) * matrix.columns).collect(), ..matrix.clone() };
        let cases: Vec<Case> = cases.iter().map(|(a, b, c)| Case { a: even(a), b: even(b), c: even(c), alpha: 0.5, beta: 0.25 }).collect();
        let Some(first) = cases.first() else { return Ok(()) };
        let mut c: Vec<Vec<f32>> = cases.iter().map(|case| case.c.of()).collect();
        let a: Vec<Vec<f32>> = cases.iter().map(|case| case.a.of()).collect();
        let b: Vec<Vec<f32>> = cases.iter().map(|case| case.b.of()).collect();
        let (a, b) = ((&a[..], first.a.stride as c_int), (&b[..], first.b.stride as c_int));
        let ([m, n, k], ldc) = (first.sizes(), first.c.stride as c_int);
        if is_by_rows {
            // read row by row, all three are turned, and the sides have changed places
            f32::batch(101, [111, 111], [n, m, k], 0.5, [b, a], 0.25, (&mut c, ldc));
        } else {
            f32::batch(102, [111, 111], [m, n, k], 0.5, [a, b], 0.25, (&mut c, ldc));
        }
        for (case, c) in cases.iter().zip(c) {
            prop_assert_eq!(case.multiply::<f32>(), c);
        }
    }

    #[test]
    fn a_vector_is_multiplied_with_any_steps(
        case in case(70), steps in prop::sample::select(vec![(1, 1), (2, 1), (1, 3), (-1, 1), (1, -2), (-3, -1)]),
    ) {
        let _alone = alone(Gemm::Catena);
        prop_assume!(case.b.columns > 0 && case.a.rows > 0 && case.a.columns > 0);
        let spread = |numbers: Vec<f32>, step: c_int| {
            let mut all = vec![7.0; 1 + (numbers.len() - 1) * step.unsigned_abs() as usize];
            for (at, number) in numbers.iter().enumerate() {
                let at = if step < 0 { numbers.len() - 1 - at } else { at };
                all[at * step.unsigned_abs() as usize] = *number;
            }
            all
        };
        let x: Vec<f32> = (0..case.a.columns).map(|row| case.b.at(row, 0) as f32).collect();
        let y: Vec<f32> = (0..case.a.rows).map(|row| case.c.at(row, 0) as f32).collect();
        let mut out = spread(y, steps.1);
        let before = out.clone();
        let sizes = if case.a.is_turned { [case.a.columns, case.a.rows] } else { [case.a.rows, case.a.columns] };
        let (a, x) = (case.a.of::<f32>(), spread(x, steps.0));
        let sides = ((&a[..], case.a.stride as c_int), (&x[..], steps.0));
        f32::gemv(case.a.letter(), sizes.map(|size| size as c_int), case.alpha as f32, sides.0, sides.1, case.beta as f32, (&mut out, steps.1));
        let by = steps.1.unsigned_abs() as usize;
        for (at, (number, before)) in out.iter().zip(before).enumerate() {
            if at % by == 0 {
                let row = if steps.1 < 0 { case.a.rows - 1 - at / by } else { at / by };
                let (expected, off) = case.expected::<f32>(row, 0);
                prop_assert!((f64::from(*number) - expected).abs() <= off, "{row}: {number}, not {expected}");
            } else {
                prop_assert_eq!(*number, before);
            }
        }
    }
}

/// Runs `check` for both: what they have in common is BLAS's.
fn for_both(check: impl Fn()) {
    for choice in [Gemm::Catena, Gemm::Libtorch] {
        let _alone = alone(choice);
        check();
    }
}

#[test]
fn a_beta_of_zero_does_not_read_the_result_and_an_alpha_of_zero_no_side() {
    for_both(|| {
        for [m, n, k] in [[3, 5, 4], [1, 1, 1], [70, 9, 600], [1, 40, 30], [40, 1, 30]] {
            let (sides, nan) = (vec![1.0_f32; 70 * 600], vec![f32::NAN; 70 * 600]);
            let mut c = vec![f32::NAN; (m * n) as usize];
            f32::gemm([b'N', b'N'], [m, n, k], 2.0, (&sides, m), (&sides, k), 0.0, (&mut c, m));
            assert!(c.iter().all(|number| *number == 2.0 * k as f32), "{}: {c:?}", gemm::name());
            f32::gemm([b'N', b'N'], [m, n, k], 0.0, (&nan, m), (&nan, k), 0.5, (&mut c, m));
            assert!(c.iter().all(|number| *number == k as f32));
            c.fill(f32::NAN);
            f32::gemm([b'N', b'N'], [m, n, k], 0.0, (&nan, m), (&nan, k), 0.0, (&mut c, m));
            assert!(c.iter().all(|number| *number == 0.0));
        }
    });
}

#[test]
fn what_is_empty_leaves_scales_or_clears() {
    for_both(|| {
        let mut c = vec![3.0_f64; 6];
        f64::gemm([b'N', b'T'], [2, 3, 0], 1.0, (&[], 2), (&[], 3), 1.0, (&mut c, 2));
        assert_eq!(c, [3.0; 6]);
        f64::gemm([b'N', b'T'], [2, 3, 0], 1.0, (&[], 2), (&[], 3), 0.5, (&mut c, 2));
        assert_eq!(c, [1.5; 6]);
        f64::gemm([b'N', b'N'], [0, 3, 2], 1.0, (&[], 1), (&[1.0; 6], 2), 0.5, (&mut c, 1));
        assert_eq!(c, [1.5; 6]);
        f64::gemm([b'N', b'N'], [2, 3, 0], 1.0, (&[], 2), (&[], 1), 0.0, (&mut c, 2));
        assert_eq!(c, [0.0; 6]);
        // a vector without terms is left as it is, unlike a matrix
        let mut y = vec![3.0_f64; 2];
        f64::gemv(b'N', [2, 0], 1.0, (&[], 2), (&[], 1), 0.0, (&mut y, 1));
        assert_eq!(y, [3.0; 2]);
    });
}

#[test]
fn not_a_number_and_infinity_reach_their_rows_and_columns_and_no_others() {
    for_both(|| {
        for [m, n, k] in [[5, 7, 9], [65, 13, 700], [33, 1, 20], [1, 33, 20]] {
            for (number, is_left) in
                [(f64::NAN, true), (f64::INFINITY, true), (f64::NAN, false), (f64::INFINITY, false)]
            {
                for turn in [[b'N', b'N'], [b'T', b'N'], [b'N', b'T'], [b'T', b'T']] {
                    let (mut a, mut b) = (vec![1.0_f32; (m * k) as usize], vec![1.0_f32; (k * n) as usize]);
                    let (row, term, column) = (m - 1, k / 2, n / 2);
                    let (lda, ldb) =
                        (if turn[0] == b'N' { m } else { k }, if turn[1] == b'N' { k } else { n });
                    if is_left {
                        a[(if turn[0] == b'N' { row + term * lda } else { row * lda + term }) as usize] =
                            number as f32;
                    } else {
                        b[(if turn[1] == b'N' { term + column * ldb } else { term * ldb + column })
                            as usize] = number as f32;
                    }
                    let mut c = vec![0.0_f32; (m * n) as usize];
                    f32::gemm(turn, [m, n, k], 1.0, (&a, lda), (&b, ldb), 0.0, (&mut c, m));
                    for (at, found) in c.iter().enumerate() {
                        let is_hit = if is_left { at as c_int % m == row } else { at as c_int / m == column };
                        let expected = if is_hit { number } else { f64::from(k) };
                        let found = f64::from(*found);
                        assert!(
                            found == expected || found.is_nan() && expected.is_nan(),
                            "{}: {found}, {at}",
                            gemm::name()
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn what_blas_forbids_is_answered_by_the_library_that_libtorch_has() {
    let _alone = alone(Gemm::Catena);
    // it says so on the error stream, and returns
    let mut c = vec![3.0_f32; 4];
    f32::gemm([b'N', b'N'], [2, 2, 2], 1.0, (&[1.0; 4], 1), (&[1.0; 4], 2), 0.0, (&mut c, 2));
    assert_eq!(c, [3.0; 4]);
    f32::gemm([b'X', b'N'], [2, 2, 2], 1.0, (&[1.0; 4], 2), (&[1.0; 4], 2), 0.0, (&mut c, 2));
    assert_eq!(c, [3.0; 4]);
    f32::gemm([b'N', b'N'], [-2, 2, 2], 1.0, (&[1.0; 4], 2), (&[1.0; 4], 2), 0.0, (&mut c, 2));
    assert_eq!(c, [3.0; 4]);
}
