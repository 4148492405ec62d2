//! A stage: its loaders, epochs, losses, optimizers, and what is frozen.
use std::fmt;

use catena_chain::Callback;
use catena_tensor::data::{Loader, Start};
use catena_tensor::loss::LossFn;
use catena_tensor::model::Mode;
use catena_tensor::optim::OptimizerConfig;
use catena_tensor::schedule::{PlateauMode, Schedule};

/// A part of a run with its own loaders, epochs, losses, optimizers and callbacks.
///
/// ```
/// use catena::chain::testing;
/// use catena::prelude::*;
///
/// let warm_up = Stage::new("warm-up")
///     .epochs(1)
///     .train(testing::tiny_loader(12, 4))
///     .valid(testing::tiny_loader(6, 6))
///     .loss(CrossEntropy::new())
///     .optimizer(Sgd::new(0.1).momentum(0.9))
///     .schedule(CosineAnnealing::new(3))
///     .callback(ClipGradNorm::new(1.0));
/// let mut runner = Runner::builder(testing::tiny_model()).stage(warm_up).build()?;
/// assert_eq!(runner.run()?.steps, 3);
/// # Ok::<(), catena::Error>(())
/// ```
pub struct Stage {
    pub(crate) name: String,
    pub(crate) epochs: u64,
    pub(crate) loaders: Vec<StageLoader>,
    pub(crate) passes: Vec<Pass>,
    pub(crate) schedule: Option<Box<dyn Schedule>>,
    pub(crate) frozen: Vec<String>,
    /// Patterns of parameters alone: running statistics move on.
    pub(crate) frozen_parameters: Vec<String>,
    pub(crate) callbacks: Vec<Box<dyn Callback>>,
    pub(crate) bare: bool,
    pub(crate) start_from: StartFrom,
}

/// What the model is at a stage's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartFrom {
    /// As the stage before ended (default).
    #[default]
    AsItIs,
    /// As in the last snapshot of the stage before.
    Last,
    /// As in the best snapshot of the stage before, by a metric that was measured of just its parameters.
    Best {
        /// The metric's whole name, such as `valid/loss`.
        metric: String,
        /// Which way it gets better.
        mode: PlateauMode,
    },
}

impl StartFrom {
    /// As data; null for [`StartFrom::AsItIs`].
    pub(crate) fn to_value(&self) -> serde_json::Value {
        match self {
            Self::AsItIs => serde_json::Value::Null,
            Self::Last => "last".into(),
            Self::Best { metric, mode } => serde_json::json!({ "best": metric, "mode": mode }),
        }
    }
}

pub(crate) struct StageLoader {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) source: Box<dyn Loader>,
    pub(crate) on_request: bool,
    /// How many batches of an epoch a check has.
    pub(crate) limit: Option<u64>,
    /// Whether it was started and not left.
    pub(crate) is_started: bool,
}

impl StageLoader {
    /// How many batches the epoch of this start has, if that is known.
    pub(crate) fn batches_of(&self, start: &Start) -> Option<u64> {
        let batches = self.source.batches_of(start)?;
        Some(self.limit.map_or(batches, |limit| batches.min(limit)))
    }
}

/// One forward pass, loss and step of each batch. A stage has the pass `main`, unless it names its own.
///
/// ```
/// use catena::prelude::*;
///
/// let discriminator = Pass::new("discriminator").optimizer(Adam::new(2e-4).betas(0.5, 0.999));
/// # let _ = discriminator;
/// ```
pub struct Pass {
    pub(crate) name: String,
    pub(crate) optimizer: Option<OptimizerConfig>,
    pub(crate) params: String,
    pub(crate) loss: Option<Box<dyn LossFn>>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loaders: Vec<&str> = self.loaders.iter().map(|loader| loader.name.as_str()).collect();
        f.debug_struct("Stage")
            .field("name", &self.name)
            .field("epochs", &self.epochs)
            .field("loaders", &loaders)
            .field("passes", &self.passes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loss = self.loss.as_ref().map(|loss| loss.name());
        f.debug_struct("Pass")
            .field("name", &self.name)
            .field("optimizer", &self.optimizer)
            .field("loss", &loss)
            .finish_non_exhaustive()
    }
}

impl Pass {
    /// A pass whose optimizer has its name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), optimizer: None, params: "*".into(), loss: None }
    }

    /// What updates the parameters.
    #[must_use]
    pub fn optimizer(mut self, optimizer: impl Into<OptimizerConfig>) -> Self {
        self.optimizer = Some(optimizer.into());
        self
    }

    /// Which parameters it updates, by name pattern (default all).
    #[must_use]
    pub fn params(mut self, pattern: impl Into<String>) -> Self {
        self.params = pattern.into();
        self
    }

    /// Its loss.
    #[must_use]
    pub fn loss(mut self, loss: impl LossFn + 'static) -> Self {
        self.loss = Some(Box::new(loss));
        self
    }
}

impl Stage {
    /// A stage of one epoch without loaders.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            epochs: 1,
            loaders: Vec::new(),
            passes: vec![Pass::new("main")],
            schedule: None,
            frozen: Vec::new(),
            frozen_parameters: Vec::new(),
            callbacks: Vec::new(),
            bare: false,
            start_from: StartFrom::AsItIs,
        }
    }

    /// What the model is at the stage's start (default: as the stage before ended). Snapshots need a run directory, and a stage
    /// before this one that took some.
    #[must_use]
    pub fn start_from(mut self, start_from: StartFrom) -> Self {
        self.start_from = start_from;
        self
    }

    /// How many epochs (default 1).
    #[must_use]
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.epochs = epochs;
        self
    }

    /// Adds a loader; an epoch runs them in this order.
    #[must_use]
    pub fn loader(mut self, name: impl Into<String>, mode: Mode, loader: impl Loader + 'static) -> Self {
        let (name, source) = (name.into(), Box::new(loader));
        self.loaders.push(StageLoader {
            name,
            mode,
            source,
            on_request: false,
            limit: None,
            is_started: false,
        });
        self
    }

    /// Adds a Train loader named `train`.
    #[must_use]
    pub fn train(self, loader: impl Loader + 'static) -> Self {
        self.loader("train", Mode::Train, loader)
    }

    /// Adds an Eval loader named `valid`.
    #[must_use]
    pub fn valid(self, loader: impl Loader + 'static) -> Self {
        self.loader("valid", Mode::Eval, loader)
    }

    /// Adds an Infer loader named `infer`.
    #[must_use]
    pub fn infer(self, loader: impl Loader + 'static) -> Self {
        self.loader("infer", Mode::Infer, loader)
    }

    /// Adds an Eval loader that runs only when a callback asks for it with [`Context::request_evaluation`].
    ///
    /// [`Context::request_evaluation`]: catena_chain::Context::request_evaluation
    #[must_use]
    pub fn on_request(mut self, name: impl Into<String>, loader: impl Loader + 'static) -> Self {
        let (name, source) = (name.into(), Box::new(loader));
        self.loaders.push(StageLoader {
            name,
            mode: Mode::Eval,
            source,
            on_request: true,
            limit: None,
            is_started: false,
        });
        self
    }

    fn main(&mut self) -> &mut Pass {
        let at = self.passes.iter().position(|pass| pass.name == "main").unwrap_or_else(|| {
            self.passes.push(Pass::new("main"));
            self.passes.len() - 1
        });
        &mut self.passes[at]
    }

    /// The loss of the pass `main`.
    #[must_use]
    pub fn loss(mut self, loss: impl LossFn + 'static) -> Self {
        self.main().loss = Some(Box::new(loss));
        self
    }

    /// The optimizer of the pass `main`, named `main`. It is new at the stage's start.
    #[must_use]
    pub fn optimizer(mut self, optimizer: impl Into<OptimizerConfig>) -> Self {
        self.main().optimizer = Some(optimizer.into());
        self
    }

    /// Adds a pass over each batch, in place of `main` if that has neither loss nor optimizer.
    #[must_use]
    pub fn pass(mut self, pass: Pass) -> Self {
        self.passes.retain(|p| p.name != "main" || p.optimizer.is_some() || p.loss.is_some());
        self.passes.push(pass);
        self
    }

    /// Moves the learning rate by step; short for a callback `LrSchedule`.
    #[must_use]
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Freezes the parameters and buffers whose names match a pattern, for this stage. A frozen batch norm of [`Layers`](crate::tensor::layers::Layers) runs in
    /// evaluation mode: it normalises by its running statistics, which stay as they are. In a module of tch they stay too, but it normalises by the batch as before.
    /// [`Stage::freeze_parameters`] leaves statistics alone.
    #[must_use]
    pub fn freeze(mut self, pattern: impl Into<String>) -> Self {
        self.frozen.push(pattern.into());
        self
    }

    /// Freezes the parameters whose names match a pattern, for this stage, and no buffers: a batch norm's running statistics go on with the data.
    #[must_use]
    pub fn freeze_parameters(mut self, pattern: impl Into<String>) -> Self {
        self.frozen_parameters.push(pattern.into());
        self
    }

    /// The patterns of frozen parameters, with and without their buffers.
    pub(crate) fn all_frozen(&self) -> Vec<String> {
        self.frozen.iter().chain(&self.frozen_parameters).cloned().collect()
    }

    /// Adds a callback that takes part in this stage only: it hears nothing of `run_start` and `run_end`.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Puts no acting callbacks in: forward pass, loss, backward pass and step are up to callbacks of yours.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Whether the runner puts acting callbacks in.
    pub(crate) fn acts(&self) -> bool {
        let names_something = self.passes.iter().any(|pass| pass.loss.is_some() || pass.optimizer.is_some());
        !self.bare && (names_something || !self.trains())
    }

    pub(crate) fn trains(&self) -> bool {
        self.loaders.iter().any(|loader| loader.mode == Mode::Train)
    }
}
