//! catena trains neural networks with libtorch: the training loop is a chain of callbacks.
//!
//! A [`Runner`] drives stages, epochs, loaders and batches, and sends [`Event`]s. All that happens to a batch, from the transfer
//! to the device over forward pass, loss and backward pass to the optimizer's step, is done by callbacks in one ordered chain,
//! and a callback of yours takes part on equal terms.
//!
//! ```
//! use catena::prelude::*;
//! use catena::tch::{Device, Kind, Tensor, nn};
//!
//! # fn main() -> catena::Result<()> {
//! // a model is a tch module and its variables
//! let vs = nn::VarStore::new(Device::Cpu);
//! let layers = nn::seq()
//!     .add(nn::linear(vs.root() / "fc1", 8, 32, Default::default()))
//!     .add_fn(|x| x.relu())
//!     .add(nn::linear(vs.root() / "fc2", 32, 3, Default::default()));
//!
//! // the data: the label is which of the first three numbers is the largest
//! let x = Tensor::rand([600, 8], (Kind::Float, Device::Cpu));
//! let y = x.narrow(1, 0, 3).argmax(1, false);
//! let loader = TensorLoader::new(&x, &y, 32)?.shuffle(true);
//!
//! let stage = Stage::new("train").epochs(5).train(loader).loss(CrossEntropy::new()).optimizer(AdamW::new(1e-2));
//! let mut runner = Runner::builder(Net::new(vs, layers)).stage(stage).callback(Accuracy::new()).build()?;
//! let report = runner.run()?;
//! assert!(report.metrics["train/accuracy@1"] > 0.8);
//! # Ok(())
//! # }
//! ```
//!
//! Where to go from here: [`Callback`] to write one, [`Event`] for the loop's outline, [`Flow`] for skipping and stopping,
//! [`callbacks`] for those that come with catena, [`Runner::plan`] to see a chain.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![forbid(unsafe_code)]

/// The README's programs are compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs of the pages, too.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../docs/checkpoints.md")]
    struct Checkpoints;

    #[doc = include_str!("../docs/data.md")]
    struct Data;

    #[doc = include_str!("../docs/metrics-and-logs.md")]
    struct MetricsAndLogs;

    #[doc = include_str!("../docs/gpus.md")]
    struct Gpus;

    #[doc = include_str!("../docs/your-own-project.md")]
    struct YourOwnProject;
}

mod builder;
mod cursor;
mod disk;
mod ended_stage;
mod error;
mod plan;
pub mod prelude;
mod report;
mod resume;
mod runner;
mod stage;

pub use builder::RunnerBuilder;
pub use catena_callbacks as callbacks;
pub use catena_callbacks::metrics;
pub use catena_chain as chain;
pub use catena_chain::{Callback, CallbackExt, Context, Event, Flow, State};
pub use catena_data as data;
pub use catena_loggers as loggers;
pub use catena_record as record;
pub use catena_tensor as tensor;
pub use catena_tensor::{rand_chacha, tch};
pub use ended_stage::{EndedStage, Stopped};
pub use error::{Error, Result};
pub use report::{Report, Status};
pub use resume::Resume;
pub use runner::Runner;
pub use serde_json;
pub use stage::{Pass, Stage, StartFrom};

#[cfg(fuzzing)]
pub use disk::read_state;
