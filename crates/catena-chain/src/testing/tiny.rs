//! A tiny model, tiny data, and a driver in the middle of a batch.
use catena_tensor::batch::Batch;
use catena_tensor::data::TensorLoader;
use catena_tensor::model::{Mode, Net};
use catena_tensor::optim::{Optimizer, Sgd};
use catena_tensor::params::parameters;
use catena_tensor::tch::{Device, Kind, Tensor, nn};

use crate::callback::Callback;
use crate::chain::Member;
use crate::driver::Driver;
use crate::error::Result;
use crate::optimizers::Optimizers;
use crate::scope::{LoaderScope, PassScope, RunSettings, StageScope};

/// A linear model `fc` from 4 numbers to 3, with fixed weights.
pub fn tiny_model() -> Net {
    let vs = nn::VarStore::new(Device::Cpu);
    let fixed =
        nn::LinearConfig { ws_init: nn::Init::Const(0.1), bs_init: Some(nn::Init::Const(0.0)), bias: true };
    let fc = nn::linear(vs.root() / "fc", 4, 3, fixed);
    Net::new(vs, fc)
}

/// A batch of `rows` samples for [`tiny_model`], with labels 0, 1, 2, 0, ….
pub fn tiny_batch(rows: i64) -> Batch {
    Batch::new([("input", inputs(rows)), ("target", labels(rows))])
}

/// A loader of `rows` samples for [`tiny_model`], in order.
pub fn tiny_loader(rows: i64, batch_size: u64) -> TensorLoader {
    match TensorLoader::new(&inputs(rows), &labels(rows), batch_size) {
        Ok(loader) => loader,
        Err(error) => unreachable!("rows are equal and the batch size is the test's: {error}"),
    }
}

fn inputs(rows: i64) -> Tensor {
    (Tensor::arange(rows * 4, (Kind::Float, Device::Cpu)) * 0.37).sin().view([rows, 4])
}

fn labels(rows: i64) -> Tensor {
    Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(3)
}

/// A driver in stage `stage` (with the Eval loader `valid`), epoch 1, loader `train` of 4 batches, at the first batch of 6 samples, with [`tiny_model`] and
/// the optimizer `main` (SGD, lr 0.1). What is fired from here on is up to the test.
pub fn driver(callbacks: Vec<Box<dyn Callback>>) -> Result<Driver> {
    let members = callbacks.into_iter().map(Member::new).collect();
    let settings = RunSettings { seed: 0, device: Device::Cpu, run_dir: None };
    let model = tiny_model();
    let optimizer =
        Optimizer::new(Sgd::new(0.1), &parameters(catena_tensor::model::Model::var_store(&model)))?;
    let mut optimizers = Optimizers::default();
    optimizers.insert("main", optimizer);
    let mut driver = Driver::new(Box::new(model), members, settings)?;
    let passes = vec![PassScope { name: "main".into(), optimizer: Some("main".into()) }];
    let (name, evaluations) = ("stage".into(), vec!["valid".into()]);
    driver.enter_stage(StageScope { index: 0, name, epochs: 2, passes, evaluations }, optimizers);
    driver.enter_epoch();
    driver.enter_loader(LoaderScope::new("train", Mode::Train, Some(4)));
    driver.enter_batch(tiny_batch(6));
    driver.enter_pass(0)?;
    Ok(driver)
}
