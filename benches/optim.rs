//! One step of each optimizer at 1 M and 25 M parameters in 50 tensors: catena's, tch's where it has one, and PyTorch's (fused
//! where it has that, else its default), interleaved; and the memory that a step takes beyond parameters and gradients.
//!
//! PyTorch runs in a process of its own, `benches/peers/optim.py`, under `$CATENA_PYTHON` (default `python3`). Names as
//! arguments choose optimizers: `cargo bench --bench optim -- adam adamw`; `--device=cuda` takes the GPU.
#[path = "shared/python.rs"]
mod python;
#[path = "shared/spread.rs"]
mod spread;

use std::process::Command;
use std::time::Instant;

use catena::tch::nn::{self, OptimizerConfig as _};
use catena::tch::{Device, Kind, Tensor};
use catena::tensor::native::observe::{device_memory, reset_peak_memory};
use catena::tensor::optim::{Optimizer, OptimizerConfig, names};
use catena::tensor::params::parameters;
use catena::tensor::rng::manual_seed;
use python::Python;
use serde_json::{Value, json};
use spread::Spread;

const COUNT: i64 = 50;
const SHAPES: [(&str, [i64; 2]); 2] = [("1 M", [100, 200]), ("25 M", [500, 1000])];
/// What all turns of one optimizer, size and number of threads take together, about.
const SECONDS: f64 = 1.5;

fn main() {
    if let Some(name) = std::env::args().find_map(|a| a.strip_prefix("--memory=").map(str::to_owned)) {
        return memory_of(&name);
    }
    keep_freed_memory();
    let device = std::env::args().find_map(|a| a.strip_prefix("--device=").map(str::to_owned));
    let device = catena::tensor::device::parse(device.as_deref().unwrap_or("cpu")).expect("a device");
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let is_chosen = |name: &&str| chosen.is_empty() || chosen.iter().any(|c| c == name);
    let mut python =
        Python::start("optim.py", None).map_err(|why| println!("PyTorch is left out: {why}")).ok();
    let threads = catena::tch::get_num_threads();
    println!(
        "µs a step: median (min to max) of interleaved rounds; ratios are medians over rounds (min to max)"
    );
    for threads in if threads == 1 || device.is_cuda() { vec![1] } else { vec![1, threads] } {
        catena::tch::set_num_threads(threads);
        for (size, shape) in SHAPES {
            println!("\n{size} parameters in {COUNT} tensors, {threads} thread(s), {device:?}");
            if !device.is_cuda() {
                traffic(shape, threads);
            }
            for name in names().filter(is_chosen) {
                compare(name, shape, threads, device, python.as_mut());
            }
        }
    }
    if device.is_cuda() {
        return memory_on(device, names().filter(is_chosen));
    }
    println!(
        "\nMB at 25 M parameters: the state, and what making an optimizer and three steps take beyond it at their peak"
    );
    let program = std::env::current_exe().expect("this program has a path");
    for name in names().filter(is_chosen) {
        let mut child = Command::new(&program);
        KEEP.iter().for_each(|(name, _)| {
            child.env_remove(name);
        });
        let child = child.arg(format!("--memory={name}")).status();
        assert!(child.is_ok_and(|status| status.success()), "{name} could not be measured");
    }
}

/// What Adam must at least take: its memory traffic (four arrays read, three of them written back) with next to no arithmetic.
fn traffic(shape: [i64; 2], threads: i32) {
    let n = (COUNT * shape.iter().product::<i64>()) as usize;
    let mut arrays = [1.0, 2.0, 3.0, 4.0].map(|x: f32| vec![x; n]);
    let mut pass = || {
        let [p, g, m, v] = &mut arrays;
        let size = n.div_ceil(threads as usize);
        std::thread::scope(|scope| {
            let parts =
                p.chunks_mut(size).zip(g.chunks(size)).zip(m.chunks_mut(size).zip(v.chunks_mut(size)));
            for ((p, g), (m, v)) in parts {
                scope.spawn(move || {
                    for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                        (*m, *v) = (*m + g, *v - g);
                        *p += *m + *v;
                    }
                });
            }
        });
    };
    let times = Spread::of(&(0..15).map(|_| timed(1, Device::Cpu, &mut pass)).collect::<Vec<_>>());
    println!("  Adam's memory traffic alone {times}: {:.1} GB/s", 28e-3 * n as f64 / times.median());
}

/// glibc's settings, as in `benches/peers/run.py`.
const KEEP: [(&str, &str); 2] =
    [("MALLOC_TRIM_THRESHOLD_", "1073741824"), ("MALLOC_MMAP_THRESHOLD_", "33554432")];

/// Runs this program again if need be: without these settings glibc may return tch's temporaries to the system at every step,
/// and it depends on what ran before whether it does.
fn keep_freed_memory() {
    if KEEP.iter().all(|(name, _)| std::env::var_os(name).is_some()) {
        return;
    }
    let program = std::env::current_exe().expect("this program has a path");
    let again = Command::new(program).args(std::env::args().skip(1)).envs(KEEP).status();
    std::process::exit(again.expect("this program runs").code().unwrap_or(1));
}

/// In a process of its own, whose memory has no gaps from what was there before.
fn memory_of(name: &str) {
    let own = store(SHAPES[1].1, Device::Cpu);
    let before = memory("VmRSS");
    let _where_there_is_one = std::fs::write("/proc/self/clear_refs", "5"); // the peak starts anew
    let mut optimizer = make(name, &own);
    (0..3).for_each(|_| optimizer.step().expect("gradients fit"));
    let taken = memory("VmHWM").saturating_sub(before) as f64;
    let bytes = |t: &Tensor| t.numel() * t.kind().elt_size_in_bytes();
    let state = optimizer.state().iter().map(|(_, t)| bytes(t)).sum::<usize>() as f64;
    println!("  {name:<10} {:>6.1} {:>+6.1}", state / 1e6, (taken - state) / 1e6);
}

/// On a GPU libtorch's allocator knows the peak.
fn memory_on<'a>(device: Device, names: impl Iterator<Item = &'a str>) {
    println!("\nMB at 25 M parameters: the state, and what three steps take beyond it at their peak");
    for name in names {
        let own = store(SHAPES[1].1, device);
        let now = || device_memory(device).expect("the allocator tells");
        let mut optimizer = make(name, &own);
        optimizer.step().expect("gradients fit");
        reset_peak_memory(device).expect("the allocator tells");
        let before = now().allocated;
        (0..3).for_each(|_| optimizer.step().expect("gradients fit"));
        let state: usize =
            optimizer.state().iter().map(|(_, t)| t.numel() * t.kind().elt_size_in_bytes()).sum();
        println!("  {name:<10} {:>6.1} {:>+6.1}", state as f64 / 1e6, (now().peak - before) as f64 / 1e6);
    }
}

fn make(name: &str, vs: &nn::VarStore) -> Optimizer {
    let config = OptimizerConfig::from_value(settings(name)).expect("the settings are sound");
    Optimizer::new(config, &parameters(vs)).expect("the settings are sound")
}

/// Torch's arguments, at values that leave nothing out.
fn settings(name: &str) -> Value {
    match name {
        "sgd" => json!({"name": name, "lr": 1e-4, "momentum": 0.9}),
        "adamw" => json!({"name": name, "lr": 1e-4, "weight_decay": 1e-2}),
        "rmsprop" => json!({"name": name, "lr": 1e-4, "momentum": 0.9}),
        name => json!({"name": name, "lr": 1e-4}),
    }
}

fn store(shape: [i64; 2], device: Device) -> nn::VarStore {
    manual_seed(0);
    let vs = nn::VarStore::new(device);
    for i in 0..COUNT {
        let p = vs.root().var(&format!("p{i}"), &shape, nn::Init::Randn { mean: 0.0, stdev: 1.0 });
        (&p * 0.0).sum(Kind::Float).backward(); // makes a gradient to be filled
        let _filled = p.grad().normal_(0.0, 1.0);
    }
    vs
}

fn tchs(name: &str, vs: &nn::VarStore) -> Option<nn::Optimizer> {
    let made = match name {
        "sgd" => nn::sgd(0.9, 0.0, 0.0, false).build(vs, 1e-4),
        "adam" => nn::adam(0.9, 0.999, 0.0).build(vs, 1e-4),
        "adamw" => nn::adamw(0.9, 0.999, 1e-2).build(vs, 1e-4),
        "rmsprop" => nn::rms_prop(0.99, 1e-8, 0.0, 0.9, false).build(vs, 1e-4),
        _ => return None,
    };
    Some(made.expect("the settings are sound"))
}

fn compare(name: &str, shape: [i64; 2], threads: i32, device: Device, python: Option<&mut Python>) {
    let own = store(shape, device);
    let mut optimizer = make(name, &own);
    let mut ours = || optimizer.step().expect("gradients fit");
    (0..2).for_each(|_| ours());
    let others = store(shape, device);
    let mut theirs = tchs(name, &others);
    if let Some(optimizer) = &mut theirs {
        optimizer.step();
    }
    let made =
        python.and_then(|python| Some((made(python, settings(name), shape, threads, device)?, python)));
    let (kind, mut python) = made.unzip();

    let once = timed(1, device, &mut ours);
    let steps = (5e3 / once).ceil() as usize; // a turn takes at least 5 ms
    let turns = 2 + usize::from(theirs.is_some()) * 4 + usize::from(python.is_some());
    let a_round = once * 1e-6 * (turns * (steps + 1)) as f64;
    let rounds = (SECONDS / a_round).clamp(5.0, 21.0) as usize;
    let (mut catena, mut again, mut tch, mut torch) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        for turn in 0..4 {
            match (round + turn) % 4 {
                0 => catena.push(timed(steps, device, &mut ours)),
                1 => again.push(timed(steps, device, &mut ours)),
                2 => tch.extend(theirs.as_mut().map(|theirs| timed(steps, device, &mut || theirs.step()))),
                _ => torch.extend(python.as_mut().map(|python| microseconds(python, steps))),
            }
        }
    }
    let ratio = Spread::of_ratios;
    print!("  {name:<10} {:>10}; to itself {:.3}", Spread::of(&catena), ratio(&again, &catena));
    if !tch.is_empty() {
        print!("; tch's takes {:.2} of it", ratio(&tch, &catena));
    }
    if let Some(kind) = kind.filter(|_| !torch.is_empty()) {
        print!("; to PyTorch's {kind} {:.3}", ratio(&catena, &torch));
    }
    println!();
}

/// Microseconds a step, after one that wakes the threads.
fn timed(steps: usize, device: Device, step: &mut dyn FnMut()) -> f64 {
    let wait = || {
        if let Device::Cuda(index) = device {
            catena::tch::Cuda::synchronize(index as i64);
        }
    };
    step();
    wait();
    let begin = Instant::now();
    (0..steps).for_each(|_| step());
    wait();
    begin.elapsed().as_secs_f64() * 1e6 / steps as f64
}

/// Bytes, from `/proc`; 0 where there is none.
fn memory(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok()).unwrap_or(0) << 10
}

/// `fused` or `default`, when PyTorch has made its optimizer; none if it has no such one.
fn made(
    python: &mut Python,
    settings: Value,
    shape: [i64; 2],
    threads: i32,
    device: Device,
) -> Option<String> {
    let device = catena::tensor::device::name(device);
    let made = python.answer(&json!({
        "make": settings, "shape": shape, "count": COUNT, "threads": threads, "device": device,
    }));
    made["kind"].as_str().map(str::to_owned)
}

fn microseconds(python: &mut Python, steps: usize) -> f64 {
    python.answer(&json!({ "steps": steps }))["us"].as_f64().expect("a time")
}
