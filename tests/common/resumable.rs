//! A small run with everything in it that a resume can get wrong, and what is compared of it.
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catena::chain::Every;
use catena::prelude::*;
use catena::record::fs::{FileSystem, Kind as EntryKind, Os, WriteFile};
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::manual_seed;
use catena::tensor::schedule::PlateauMode;
use serde::{Deserialize, Serialize};

/// Train batches of the whole run: 3 epochs of 5 in the first stage, 2 of 4 in the second.
#[allow(dead_code, reason = "not every test program counts them")]
pub(crate) const BATCHES: u64 = 3 * 5 + 2 * 4;

fn rows(n: i64) -> (Tensor, Tensor) {
    let x = (Tensor::arange(n * 4, (Kind::Float, Device::Cpu)) * 0.37).sin().view([n, 4]);
    (x, Tensor::arange(n, (Kind::Int64, Device::Cpu)).remainder(3))
}

fn loader(n: i64, batch_size: u64) -> TensorLoader {
    let (x, y) = rows(n);
    TensorLoader::new(&x, &y, batch_size).unwrap()
}

/// Batch norm, dropout, a weight with two names (`decode.weight` is `encode.weight`, turned round), and a layer in bfloat16.
fn model(device: Device) -> Net {
    manual_seed(3);
    let vs = nn::VarStore::new(device);
    let root = vs.root();
    let encode = nn::linear(&root / "encode", 8, 4, Default::default());
    let tied = (&root / "decode").add("weight", encode.ws.shallow_clone(), true);
    let half = nn::linear(&root / "half", 8, 8, Default::default());
    (&root / "half").bfloat16();
    let layers = nn::seq_t()
        .add(nn::linear(&root / "fc1", 4, 8, Default::default()))
        .add(nn::batch_norm1d(&root / "bn", 8, Default::default()))
        .add_fn_t(|x, train| x.relu().dropout(0.3, train))
        .add(encode)
        .add_fn(move |x| x.tanh().matmul(&tied))
        .add_fn(move |x| x + x.to_kind(Kind::BFloat16).apply(&half).to_kind(Kind::Float))
        .add(nn::linear(&root / "fc2", 8, 3, Default::default()));
    Net::new(vs, layers)
}

/// The run: two stages, two loaders, tied weights, a frozen part, batch norm, a part in bfloat16, dropout, shuffling, augmentation,
/// accumulation by 3 with a short tail, clipping, a schedule, EMA, early stopping, the best two, evaluations in the middle of epochs.
#[allow(dead_code, reason = "not every test program trains on the CPU")]
pub(crate) fn builder(dir: &Path, checkpoint: Checkpoint) -> catena::RunnerBuilder {
    builder_on(Device::Cpu, dir, checkpoint)
}

/// The run on some device; its data is in the CPU's memory.
pub(crate) fn builder_on(device: Device, dir: &Path, checkpoint: Checkpoint) -> catena::RunnerBuilder {
    // so small a model is faster so, and much faster beside other programs
    catena::tch::set_num_threads(1);
    let first = Stage::new("first")
        .epochs(3)
        .train(loader(19, 4).shuffle(true))
        .valid(loader(6, 4))
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(1e-2))
        .schedule(CosineAnnealing::new(6))
        .callback(Accumulate::new(3))
        .callback(EarlyStopping::new("valid/loss").patience(9));
    let second = Stage::new("second")
        .epochs(2)
        .freeze("fc1.*")
        .train(loader(19, 5).shuffle(true))
        .valid(loader(6, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.05).momentum(0.9))
        .callback(Accumulate::new(3));
    let mut builder = Runner::builder(model(device));
    for event in Event::ALL {
        // wherever an onlooker may draw, one does
        if !event.is_of_batch() && event != Event::Exception {
            builder = builder.callback(draws(event));
        }
    }
    builder
        .seed(11)
        .run_dir(dir)
        .file_system(Arc::new(NoSync))
        .stage(first)
        .stage(second)
        .callback(GaussianNoise::new(0.1))
        .callback(ClipGradNorm::new(0.5))
        .callback(Ema::new(0.8).warm_up())
        .callback(Accuracy::new())
        .callback(Validate::every(Every::Batches(4)))
        .callback(outside_of_loaders(Event::EpochStart))
        .callback(outside_of_loaders(Event::EpochEnd))
        .callback(outside_of_loaders(Event::StageEnd))
        .callback(checkpoint.keep_best(2, "valid/loss", PlateauMode::Min))
}

/// Looks, and draws from torch's generators: that is put back.
fn draws(event: Event) -> impl Callback {
    let draw = move |_: &mut Context| {
        let _drawn = Tensor::randn([3], (Kind::Float, Device::Cpu));
        Ok(())
    };
    look(event, draw).in_phase(Phase::User).named(format!("draws at {event}"))
}

/// Logs where no loader is.
fn outside_of_loaders(event: Event) -> impl Callback {
    let log = move |cx: &mut Context| cx.log(event.name(), cx.global_batch() as f64 / 7.0, Reduce::Last);
    look(event, log).in_phase(Phase::Measure).named(event.name())
}

/// Everything that must be equal: hashes of parameters, optimizer and callbacks' tensors, the report, and the bytes of the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended(BTreeMap<String, String>);

impl Ended {
    pub(crate) fn of(runner: &Runner, report: &Report, dir: &Path) -> Self {
        let cx = runner.driver().context();
        let mut all = BTreeMap::new();
        let mut add = |name: &str, value: String| all.insert(name.to_owned(), value);
        add("parameters", sha256(&state_dict(cx.model.var_store())).unwrap());
        for (name, optimizer) in cx.optimizers.iter() {
            add(&format!("optimizer {name}"), sha256(&optimizer.state()).unwrap());
            add(
                &format!("settings {name}"),
                serde_json::to_string(&optimizer.state_dict().unwrap()).unwrap(),
            );
        }
        for (key, state) in runner.driver().states().unwrap() {
            add(&format!("state {key}"), format!("{} {}", state.json, sha256(&state.tensors).unwrap()));
        }
        let bits = |map: &BTreeMap<String, f64>| {
            format!("{:?}", map.iter().map(|(k, v)| (k, v.to_bits())).collect::<Vec<_>>())
        };
        add("metrics", bits(&report.metrics));
        add("best", format!("{:?}", report.best));
        add("stages", format!("{:?}", report.stages));
        add("status", format!("{:?}", report.status));
        add("counts", format!("{:?}", (report.epochs, report.batches, report.steps, report.samples)));
        let mut kept: Vec<String> = std::fs::read_dir(dir.join("checkpoints"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        kept.sort_unstable();
        add("kept snapshots", kept.join(" "));
        for file in files(dir) {
            let bytes = std::fs::read(&file).unwrap();
            let name = file.strip_prefix(dir).unwrap().display().to_string();
            add(&name, String::from_utf8_lossy(&bytes).into_owned());
        }
        Self(all)
    }

    /// What differs, for messages.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let keys = self.0.keys().chain(other.0.keys().filter(|key| !self.0.contains_key(*key)));
        keys.filter(|key| self.0.get(*key) != other.0.get(*key)).cloned().collect()
    }
}

/// The files that a resumed run must leave as an uninterrupted one does.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = vec![dir.join("journal.jsonl"), dir.join("metrics.jsonl")];
    files.extend(std::fs::read_dir(dir.join("metrics")).unwrap().map(|entry| entry.unwrap().path()));
    files
}

/// The operating system's, without waiting for the disk: for tests in which no power is lost.
#[derive(Debug)]
pub(crate) struct NoSync;

struct Unsynced(Box<dyn WriteFile>);

impl Write for Unsynced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl WriteFile for Unsynced {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FileSystem for NoSync {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        Os.create_folder(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Ok(Box::new(Unsynced(Os.create(path)?)))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Os.open(path)
    }
    fn stat(&self, path: &Path) -> io::Result<(EntryKind, u64)> {
        Os.stat(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<(String, EntryKind)>> {
        Os.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Os.rename(from, to)
    }
    fn sync_file(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        Os.remove_file(path)
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        Os.remove_folder(path)
    }
}
