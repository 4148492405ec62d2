//! Matrix products, libtorch's own beside this crate's: medians in microseconds, the two by turns, on one thread or on as many as the first argument says.
//!
//! `cargo bench -p catena-native --bench gemm`
#![allow(clippy::print_stdout, reason = "that is what a benchmark is for")]
use std::ffi::{c_char, c_int};
use std::time::Instant;

use catena_native::gemm::{self, Gemm};
use tch::{Device, Kind, Tensor};

unsafe extern "C" {
    fn sgemm_(
        turn_a: *const c_char,
        turn_b: *const c_char,
        m: *const c_int,
        n: *const c_int,
        k: *const c_int,
        alpha: *const f32,
        a: *const f32,
        lda: *const c_int,
        b: *const f32,
        ldb: *const c_int,
        beta: *const f32,
        c: *mut f32,
        ldc: *const c_int,
    );
}

/// The work of a bench, and how many products of two numbers it has.
struct Work {
    name: String,
    products: f64,
    call: Box<dyn FnMut()>,
}

/// One call, as libtorch makes it: letters, then the sizes of BLAS.
fn raw(name: &str, letters: &[u8; 2], m: c_int, n: c_int, k: c_int) -> Work {
    let [turn_a, turn_b] = letters.map(|letter| letter as c_char);
    let a = vec![0.5_f32; (m * k) as usize];
    let b = vec![0.25_f32; (k * n) as usize];
    let mut c = vec![0_f32; (m * n) as usize];
    let (lda, ldb) = (if letters[0] == b'T' { k } else { m }, if letters[1] == b'T' { n } else { k });
    Work {
        name: format!("{name}: {}{} {m} x {n} x {k}", letters[0] as char, letters[1] as char),
        products: f64::from(m) * f64::from(n) * f64::from(k),
        // SAFETY: the matrices are as large as the sizes say.
        call: Box::new(move || unsafe {
            let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
            sgemm_(&turn_a, &turn_b, &m, &n, &k, &1.0, a, &lda, b, &ldb, &0.0, c, &m);
        }),
    }
}

/// The three products of a linear layer.
fn linear(batch: c_int, from: c_int, to: c_int) -> [Work; 3] {
    let name = format!("linear {batch} x {from} -> {to}");
    [
        raw(&format!("{name}, forward"), b"TN", to, batch, from),
        raw(&format!("{name}, dW"), b"NT", from, to, batch),
        raw(&format!("{name}, dX"), b"NN", from, batch, to),
    ]
}

fn operation(name: &str, products: i64, mut call: impl FnMut() -> Tensor + 'static) -> Work {
    Work {
        name: name.to_owned(),
        products: products as f64,
        call: Box::new(move || {
            drop(std::hint::black_box(call()));
        }),
    }
}

fn batched(name: &str, batch: i64, [m, k, n]: [i64; 3], turned: bool) -> Work {
    let a = Tensor::rand([batch, m, k], (Kind::Float, Device::Cpu));
    let b = if turned {
        Tensor::rand([batch, n, k], (Kind::Float, Device::Cpu)).transpose(1, 2)
    } else {
        Tensor::rand([batch, k, n], (Kind::Float, Device::Cpu))
    };
    operation(&format!("bmm {name}: {batch} x ({m} x {k} x {n})"), batch * m * k * n, move || a.bmm(&b))
}

fn works() -> Vec<Work> {
    let mut works = Vec::new();
    for (batch, from, to) in [
        (64, 784, 128),
        (64, 128, 10),
        (16, 64, 32),
        (16, 32, 10),
        (256, 1024, 1024),
        (1, 784, 128),
        (2, 784, 128),
    ] {
        works.extend(linear(batch, from, to));
    }
    for size in [64, 256, 1024] {
        works.push(raw("square", b"NN", size, size, size));
        works.push(raw("square", b"TN", size, size, size));
    }
    let double = |side: i64| Tensor::rand([side, side], (Kind::Double, Device::Cpu));
    for side in [256, 1024] {
        let (a, b) = (double(side), double(side));
        works.push(operation(&format!("mm of f64: {side}^3"), side * side * side, move || a.mm(&b)));
    }
    works.push(batched("plain", 64, [256, 64, 256], false));
    works.push(batched("scores", 64, [256, 64, 256], true));
    works.push(batched("values", 64, [256, 256, 64], false));
    works.push(batched("small", 256, [16, 16, 16], false));
    for (rows, terms) in [(128, 784), (1024, 1024), (4096, 4096)] {
        let a = Tensor::rand([rows, terms], (Kind::Float, Device::Cpu));
        let (x, y) = (
            Tensor::rand([terms], (Kind::Float, Device::Cpu)),
            Tensor::rand([rows], (Kind::Float, Device::Cpu)),
        );
        let turned = a.transpose(0, 1);
        works.push(operation(&format!("mv: {rows} x {terms}"), rows * terms, move || a.mv(&x)));
        works.push(operation(&format!("mv, turned: {terms} x {rows}"), rows * terms, move || turned.mv(&y)));
    }
    works
}

/// Microseconds of a call, from as many as take a few milliseconds.
fn time(call: &mut dyn FnMut(), calls: usize) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed().as_secs_f64() * 1e6 / calls as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let threads = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1);
    let only = std::env::var("ONLY").unwrap_or_default();
    tch::set_num_threads(threads);
    println!("{:46} {:>10} {:>10} {:>6} {:>10}", "", "libtorch", "catena", "ratio", "GFLOP/s");
    for Work { name, products, mut call } in works().into_iter().filter(|work| work.name.contains(&only)) {
        let mut times = [Vec::new(), Vec::new()];
        let choices = [Gemm::Libtorch, Gemm::Catena];
        let calls = (3e3 / time(&mut call, 3)).clamp(1.0, 1e5) as usize;
        for _ in 0..31 {
            for (choice, times) in choices.into_iter().zip(&mut times) {
                gemm::set(choice).expect("both are there");
                call();
                times.push(time(&mut call, calls));
            }
        }
        let [libtorch, catena] = times.map(median);
        let speed = 2e-3 * products / catena;
        println!("{name:46} {libtorch:10.2} {catena:10.2} {:6.2} {speed:10.0}", catena / libtorch);
    }
}
