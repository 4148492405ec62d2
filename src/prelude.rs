//! What most programs use: `use catena::prelude::*`.
#[cfg(feature = "mlflow")]
pub use catena_callbacks::Mlflow;
#[cfg(feature = "tensorboard")]
pub use catena_callbacks::TensorBoard;
pub use catena_callbacks::metrics::{Average, ClassScore, Measure, Metric, Task};
pub use catena_callbacks::{
    Accumulate, Accuracy, AdaptiveClip, Autocast, Backward, Checkpoint, ClipGradNorm, ClipGradValue, Console,
    Criterion, CsvFiles, DeadActivations, EarlyStopping, Ema, FiniteModel, Forward, GaussianNoise, GradNorms,
    GradientNoise, Journal, JsonLines, Loggers, Lookahead, LossScaler, LossSum, LrCurve, LrFinder,
    LrSchedule, MaxSteps, MemoryUse, ModelSummary, NanGuard, OnNan, Optimize, Progress, ReduceLrOnPlateau,
    RunLog, Sam, Signals, SoftUpdate, Swa, SyncAudit, Tail, Throughput, Timeline, ToDevice, Validate,
    ZeroGrad,
};
pub use catena_chain::{
    About, Callback, CallbackExt, Context, Effect, Event, Events, Every, Flow, Lifetime, Outcome, Phase,
    Reduce, Role, State, look, on,
};
pub use catena_tensor::batch::{Batch, Outputs};
pub use catena_tensor::data::{Loader, TensorLoader};
pub use catena_tensor::layers::{self, Layers};
pub use catena_tensor::loss::{CrossEntropy, Loss, LossFn, Mse};
pub use catena_tensor::model::{Mode, Model, Net};
pub use catena_tensor::optim::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Asgd, Lamb, Lion, Muon, NAdam, Optimizer,
    OptimizerConfig, ParamGroup, RAdam, RMSprop, Rprop, Rule, Sgd,
};
pub use catena_tensor::schedule::{
    AnnealStrategy, Chained, Constant, CosineAnnealing, CosineAnnealingWarmRestarts, Cyclic, Exponential,
    InverseSqrt, Lambda, Linear, MultiStep, Multiplicative, Noam, OneCycle, Plateau, PlateauMode, Polynomial,
    Schedule, Sequential, Step, SwaLr, Warmup, WarmupStableDecay,
};

pub use crate::{Pass, Report, Resume, Runner, Stage, StartFrom, Status};
