//! What a run came to.
use std::collections::BTreeMap;

use catena_chain::{Context, Extremes};

use crate::cursor::Cursor;
use crate::ended_stage::{EndedStage, Stopped};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The last stage ran to its end, and so did every stage before it that nobody stopped.
    Completed,
    /// Somebody stopped it: the whole run, or its last stage.
    Stopped(Stopped),
    /// A signal, or whoever asked for it, interrupted it: a resumed run goes on. Holds what it was.
    Interrupted(String),
}

impl Status {
    /// Of a run that has ended; `cut_short` says whether a stop left something of it out.
    pub(crate) fn of(cx: &Context, cut_short: bool) -> Self {
        let stopped = cx.stopped_by().filter(|_| cut_short);
        match (cx.interrupted(), stopped) {
            (Some(why), _) => Self::Interrupted(why.to_owned()),
            (None, Some((by, why))) => Self::Stopped(Stopped { by: by.into(), why: why.map(Into::into) }),
            (None, None) => Self::Completed,
        }
    }
}

/// What a run came to.
///
/// ```
/// use catena::chain::testing;
/// use catena::prelude::*;
///
/// let train = testing::tiny_loader(40, 4);
/// let stage = Stage::new("train").train(train).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
/// let mut runner = Runner::builder(testing::tiny_model()).stage(stage).callback(MaxSteps(7)).build()?;
/// let report = runner.run()?;
/// let Status::Stopped(stopped) = report.status else { panic!("it was stopped") };
/// assert_eq!((stopped.by.as_str(), stopped.why.as_deref()), ("MaxSteps", Some("7 steps were made")));
/// # Ok::<(), catena::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub status: Status,
    /// How each stage ended that has.
    pub stages: Vec<EndedStage>,
    /// Epochs begun, over all stages.
    pub epochs: u64,
    /// Train batches of the run.
    pub batches: u64,
    /// Train batches that this process did: all, or those since the snapshot it went on from.
    pub batches_run: u64,
    /// The train batch whose snapshot it went on from.
    pub resumed_from: Option<u64>,
    /// Steps of the first pass's optimizer.
    pub steps: u64,
    /// Train samples.
    pub samples: u64,
    /// The last value of each metric: `train/loss`, `valid/accuracy@1`, ….
    pub metrics: BTreeMap<String, f64>,
    /// The smallest and largest value of each metric, and in which epoch.
    pub best: BTreeMap<String, Extremes>,
}

impl Report {
    pub(crate) fn new(cx: &Context, at: &Cursor, resumed_from: Option<u64>) -> Self {
        Self {
            status: Status::of(cx, at.cut_short),
            stages: at.ended.clone(),
            epochs: cx.global_epoch(),
            batches: cx.global_batch(),
            batches_run: cx.global_batch() - resumed_from.unwrap_or(0),
            resumed_from,
            steps: cx.global_step(),
            samples: cx.global_samples(),
            metrics: cx.metrics.ended().clone(),
            best: cx.metrics.best().clone(),
        }
    }
}
