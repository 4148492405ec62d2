//! A small run with everything in it that a resume can get wrong, and what is compared of it.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use catena::chain::Every;
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::manual_seed;
use catena::tensor::schedule::PlateauMode;
use sha2::{Digest, Sha256};

/// Train batches of the whole run: 3 epochs of 5 in the first stage, 2 of 4 in the second.
pub(crate) const BATCHES: u64 = 3 * 5 + 2 * 4;

fn rows(n: i64) -> (Tensor, Tensor) {
    let x = (Tensor::arange(n * 4, (Kind::Float, Device::Cpu)) * 0.37).sin().view([n, 4]);
    (x, Tensor::arange(n, (Kind::Int64, Device::Cpu)).remainder(3))
}

fn loader(n: i64, batch_size: u64) -> TensorLoader {
    let (x, y) = rows(n);
    TensorLoader::new(&x, &y, batch_size).unwrap()
}

fn model() -> Net {
    manual_seed(3);
    let vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    let layers = nn::seq_t()
        .add(nn::linear(&root / "fc1", 4, 8, Default::default()))
        .add(nn::batch_norm1d(&root / "bn", 8, Default::default()))
        .add_fn_t(|x, train| x.relu().dropout(0.3, train))
        .add(nn::linear(&root / "fc2", 8, 3, Default::default()));
    Net::new(vs, layers)
}

/// The run: two stages, two loaders, dropout, shuffling, augmentation, accumulation by 3 with a short tail, clipping, a schedule,
/// EMA, early stopping, the best two, evaluations in the middle of epochs.
pub(crate) fn builder(dir: &Path, checkpoint: Checkpoint) -> catena::RunnerBuilder {
    let first = Stage::new("first")
        .epochs(3)
        .train(loader(19, 4).shuffle(true))
        .valid(loader(6, 4))
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(1e-2))
        .schedule(CosineAnnealing::new(6))
        .callback(Accumulate::new(3))
        .callback(EarlyStopping::new("valid/loss").patience(3));
    let second = Stage::new("second")
        .epochs(2)
        .freeze("fc1.*")
        .train(loader(19, 5).shuffle(true))
        .valid(loader(6, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.05).momentum(0.9))
        .callback(Accumulate::new(3));
    Runner::builder(model())
        .seed(11)
        .run_dir(dir)
        .stage(first)
        .stage(second)
        .callback(GaussianNoise::new(0.1))
        .callback(ClipGradNorm::new(0.5))
        .callback(Ema::new(0.8).warm_up())
        .callback(Accuracy::new())
        .callback(Validate::every(Every::Batches(4)))
        .callback(checkpoint.keep_best(2, "valid/loss", PlateauMode::Min))
}

/// Everything that must be equal: hashes of parameters, optimizer and callbacks' tensors, the report, and the bytes of the files.
#[derive(Clone, Debug, PartialEq)]
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
        add("status", format!("{:?}", report.status));
        add("counts", format!("{:?}", (report.epochs, report.batches, report.steps, report.samples)));
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

/// The newest snapshot whose every file has the size and the hash that its manifest names: read without catena.
pub(crate) fn newest_that_verifies(dir: &Path) -> Option<(String, u64)> {
    let mut names: Vec<String> = std::fs::read_dir(dir.join("checkpoints"))
        .ok()?
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.len() == 14 && name.as_bytes()[12] == b'-')
        .collect();
    names.sort();
    names.into_iter().rev().find(|name| verifies(&dir.join("checkpoints").join(name))).map(|name| {
        let batch = name[..12].parse().unwrap();
        (name, batch)
    })
}

fn verifies(snapshot: &Path) -> bool {
    let Ok(text) = std::fs::read(snapshot.join("manifest.json")) else { return false };
    let Ok(manifest) = serde_json::from_slice::<serde_json::Value>(&text) else { return false };
    let Some(files) = manifest["files"].as_object() else { return false };
    files.iter().all(|(name, file)| {
        let Ok(bytes) = std::fs::read(snapshot.join(name)) else { return false };
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        file["size"] == bytes.len() && file["sha256"] == hash
    })
}
