//! Snapshots of 25 M parameters with Adam: how long a run stalls for one, beside a plain copy of the same bytes; how long writing and
//! reading take, beside `torch.save` and `torch.load` with a SHA-256.
//!
//! `cargo bench --bench checkpoint`. PyTorch runs in a process of its own, `benches/peers/checkpoint.py`, under `$CATENA_PYTHON`
//! (default `python3`). Files are in the target folder: it must not be in memory.
#[path = "shared/python.rs"]
mod python;
#[path = "shared/spread.rs"]
mod spread;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use catena::chain::{Every, Result};
use catena::prelude::*;
use catena::tch::nn;
use catena::tch::{Device, Kind, Tensor};
use python::Python;
use serde_json::{Value, json};
use spread::Spread;

const COUNT: i64 = 50;
const SHAPE: [i64; 2] = [500, 1000];
const ROUNDS: usize = 9;

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let (run, file) = (folder.path().join("run"), folder.path().join("torch.pt"));
    let python = Python::start("checkpoint.py", Some(&json!({ "make": { "shape": SHAPE, "count": COUNT } })))
        .map_err(|why| println!("PyTorch is left out: {why}"))
        .ok();
    println!(
        "seconds: median (min to max) of {ROUNDS} interleaved rounds; ratios are medians over rounds (min to max)"
    );

    let (tell, told) = channel();
    let turns = Turns::new(run.clone(), file.clone(), python, tell);
    let mut runner = builder(&run).callback(turns).build().expect("the description is sound");
    runner.run().expect("the run ends");
    drop(runner); // and with it the sender
    let (mut rounds, mut python) = (Vec::new(), None);
    for told in told {
        match told {
            Told::Round(round) => rounds.push(round),
            Told::Python(back) => python = back,
        }
    }
    stalls(&rounds);
    writes(&run, &rounds);
    loads(&run, &file, python.as_mut());
}

/// A run that takes a snapshot after every batch.
fn builder(run: &Path) -> catena::RunnerBuilder {
    let vs = nn::VarStore::new(Device::Cpu);
    let normal = nn::Init::Randn { mean: 0.0, stdev: 1.0 };
    let params: Vec<Tensor> = (0..COUNT).map(|i| vs.root().var(&format!("p{i}"), &SHAPE, normal)).collect();
    let net = Net::from_fn(vs, move |_, _| {
        let sums: Vec<Tensor> = params.iter().map(|p| p.sum(Kind::Float)).collect();
        Ok(Tensor::stack(&sums, 0).unsqueeze(0).into())
    });
    let (x, y) = (Tensor::zeros([batches()], FLOAT), Tensor::zeros([batches(), COUNT], FLOAT));
    let loader = TensorLoader::new(&x, &y, 1).expect("as many inputs as targets");
    let stage = Stage::new("bench").train(loader).loss(Mse::new()).optimizer(Adam::new(1e-3));
    let checkpoint = Checkpoint::new().every(Every::Batches(1)).at_end(false);
    Runner::builder(net).run_dir(run).stage(stage).callback(checkpoint)
}

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// The first snapshot, and two a round.
fn batches() -> i64 {
    2 + 2 * ROUNDS as i64
}

/// What was measured after a batch.
struct Round {
    stall: f64,
    copy: f64,
    torch: Option<f64>,
}

enum Told {
    Round(Round),
    Python(Option<Python>),
}

/// Measures how long the runner is away after each batch, and lets the others have their turns when the snapshot is written.
struct Turns {
    run: PathBuf,
    file: PathBuf,
    python: Option<Python>,
    tell: Sender<Told>,
    from: Vec<u8>,
    to: Vec<u8>,
    batch: usize,
    ended: Instant,
}

impl Turns {
    fn new(run: PathBuf, file: PathBuf, python: Option<Python>, tell: Sender<Told>) -> Self {
        let bytes = COUNT as usize * 3 * 4 * SHAPE.iter().product::<i64>() as usize;
        let (from, to) = (vec![1; bytes], vec![2; bytes]);
        Self { run, file, python, tell, from, to, batch: 0, ended: Instant::now() }
    }
}

impl Callback for Turns {
    fn about(&self) -> About {
        About::of::<Self>().phase(Phase::Report).looks()
    }

    fn on_batch_start(&mut self, _: &mut Context) -> Result<Flow> {
        let stall = self.ended.elapsed().as_secs_f64();
        if self.batch > 0 {
            let snapshot = self.run.join(format!("checkpoints/{:012}-b", self.batch));
            while !snapshot.exists() {
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_millis(100)); // its name is made durable
            let begin = Instant::now();
            self.to.copy_from_slice(&self.from);
            let copy = begin.elapsed().as_secs_f64();
            let is_second = self.batch.is_multiple_of(2);
            let torch = self.python.as_mut().filter(|_| is_second).map(|python| {
                // as a snapshot's retention does: memory for files that was just given back is the fastest to be had
                let _there_is_none_at_first = std::fs::remove_file(&self.file);
                python.answer(&json!({ "save": self.file }))["seconds"].as_f64().expect("a time")
            });
            self.tell.send(Told::Round(Round { stall, copy, torch }))?;
        }
        self.batch += 1;
        Ok(Flow::GO)
    }

    fn on_batch_end(&mut self, _: &mut Context) -> Result<Flow> {
        self.ended = Instant::now();
        Ok(Flow::GO)
    }

    fn on_run_end(&mut self, _: &mut Context) -> Result<Flow> {
        self.tell.send(Told::Python(self.python.take()))?;
        Ok(Flow::GO)
    }

    fn state(&self) -> State {
        State::none()
    }
}

fn stalls(rounds: &[Round]) {
    let (first, rounds) = rounds.split_first().expect("there are snapshots");
    let of = |of: fn(&Round) -> f64| -> Vec<f64> { rounds.iter().map(of).collect() };
    let (stalls, copies) = (of(|round| round.stall), of(|round| round.copy));
    println!("stall, the first save apart: {:.3}", Spread::of(&stalls));
    println!("  the first save {:.3}", first.stall);
    println!("  a plain copy {:.3}; to itself {:.3}", Spread::of(&copies), pairs(&copies));
    println!(
        "  the stall to the copy {:.3}; to itself {:.3}",
        Spread::of_ratios(&stalls, &copies),
        pairs(&stalls)
    );
}

fn writes(run: &Path, rounds: &[Round]) {
    let timing = std::fs::read_to_string(run.join("timing.jsonl")).expect("the run wrote it");
    let lines: Vec<Value> = timing.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let written: Vec<&Value> = lines.iter().filter(|line| line["write"].is_number()).collect();
    let seconds: Vec<f64> = written.iter().filter_map(|line| line["write"].as_f64()).collect();
    let megabytes = written.last().and_then(|line| line["bytes"].as_f64()).unwrap_or(0.0) / 1e6;
    // those whose turn was just before PyTorch's
    let (mut ours, mut torch) = (Vec::new(), Vec::new());
    for (round, seconds) in rounds.iter().zip(&seconds) {
        if let Some(time) = round.torch {
            ours.push(*seconds);
            torch.push(time);
        }
    }
    println!(
        "write, {megabytes:.0} MB: {:.3}; to itself {:.3}",
        Spread::of(&seconds[1..]),
        pairs(&seconds[1..])
    );
    if !torch.is_empty() {
        println!(
            "  torch.save, SHA-256, fsync: {:.3}; to itself {:.3}",
            Spread::of(&torch),
            neighbours(&torch)
        );
        println!("  the write to PyTorch's {:.3}", Spread::of_ratios(&ours, &torch));
    }
}

fn loads(run: &Path, file: &Path, mut python: Option<&mut Python>) {
    let (mut resumes, mut torch, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    let resume = || {
        let mut runner = builder(run).build().expect("the description is sound");
        let begin = Instant::now();
        let report = runner.resume(Resume::Latest).expect("there is a snapshot");
        let seconds = begin.elapsed().as_secs_f64();
        assert_eq!((report.batches, report.batches_run), (batches() as u64, 0));
        seconds
    };
    resume();
    for _ in 0..ROUNDS {
        resumes.push(resume());
        if let Some(python) = &mut python {
            let answer = python.answer(&json!({ "load": file }));
            torch.extend(answer["seconds"].as_f64());
            taken.extend(answer["taken"].as_f64());
        }
        resumes.push(resume());
    }
    println!("load, all of `Runner::resume`: {:.3}; to itself {:.3}", Spread::of(&resumes), pairs(&resumes));
    if !torch.is_empty() {
        let ours: Vec<f64> = resumes.iter().copied().step_by(2).collect();
        println!("  SHA-256 and torch.load: {:.3}; to itself {:.3}", Spread::of(&torch), neighbours(&torch));
        println!("  with load_state_dict: {:.3}", Spread::of(&taken));
        println!(
            "  the resume to torch.load {:.3}; to that with load_state_dict {:.3}",
            Spread::of_ratios(&ours, &torch),
            Spread::of_ratios(&ours, &taken)
        );
    }
}

/// The second of each round to the first.
fn pairs(values: &[f64]) -> Spread {
    Spread::of(&values.chunks_exact(2).map(|pair| pair[1] / pair[0]).collect::<Vec<_>>())
}

/// Each to the one before.
fn neighbours(values: &[f64]) -> Spread {
    Spread::of_ratios(&values[1..], values)
}
