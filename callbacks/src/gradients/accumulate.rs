//! Gradient accumulation: several micro-batches, one step.
use catena_tensor::settings::Range;
use std::collections::BTreeMap;

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use serde::{Deserialize, Serialize};

/// What becomes of a window that a loader's end leaves short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tail {
    /// It steps: no sample is lost.
    #[default]
    Step,
    /// It is dropped: every step has a whole window.
    Drop,
}

/// Adds the gradients of `n` micro-batches before each step, as if they were one batch.
///
/// Each micro-batch counts by its loss's weight (its samples, unless the loss says otherwise): its loss is multiplied by its
/// weight relative to the window's first, and the sum of the gradients is divided once by the sum of these ratios. Factors of 1
/// are not applied, so with equal weights and `n` a power of two this is, to the bit, the plain loop that divides the loss by
/// `n`; and it is the exact mean for a short last window and unequal micro-batches. A window whose weights are all 0 is
/// skipped.
///
/// Gradients are added up in the parameters' dtype, by autograd, as in PyTorch: for bfloat16 parameters, small gradients late in a
/// long window are rounded away. Keep the parameters in f32 and let [`Autocast`](crate::Autocast) compute in half precision.
///
/// On resume: the window belongs to the run's own state, so there is nothing to keep here.
///
/// ```
/// use catena_callbacks::Accumulate;
/// use catena_chain::{Event, testing};
/// use catena_tensor::{loss::Loss, tch::Tensor};
///
/// let mut driver = testing::driver(vec![Box::new(Accumulate::new(2))])?;
/// for (weight, scale, held) in [(4.0, 1.0, true), (2.0, 0.5, false)] {
///     driver.enter_pass(0)?;
///     driver.context_mut().loss = Some(Loss::new(Tensor::from(1.0), weight));
///     driver.fire(Event::Loss)?;
///     driver.fire(Event::Backward)?;
///     assert_eq!(driver.context().loss_scale, scale);
///     assert_eq!(driver.context().window.is_held(), held);
///     driver.leave_pass()?;
/// }
/// assert_eq!(driver.context().window.ratios(), 1.5);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accumulate {
    /// How many micro-batches a window has.
    n: u64,
    #[serde(default)]
    tail: Tail,
    #[serde(default)]
    sum: bool,
    #[serde(default)]
    from_epoch: BTreeMap<u64, u64>,
}

impl Accumulate {
    /// The mean over `n` micro-batches.
    pub fn new(n: u64) -> Self {
        Self { n, tail: Tail::Step, sum: false, from_epoch: BTreeMap::new() }
    }

    /// The plain sum of `n` micro-batches' gradients: the loop that does not divide its loss.
    pub fn sum(n: u64) -> Self {
        Self { sum: true, ..Self::new(n) }
    }

    /// What becomes of a short last window (default [`Tail::Step`]).
    #[must_use]
    pub fn tail(mut self, tail: Tail) -> Self {
        self.tail = tail;
        self
    }

    /// Another `n` from an epoch of the stage on (they count from 1); epochs before it keep theirs.
    #[must_use]
    pub fn from_epoch(mut self, epoch: u64, n: u64) -> Self {
        self.from_epoch.insert(epoch, n);
        self
    }

    fn n(&self, cx: &Context) -> u64 {
        self.from_epoch.range(..=cx.epoch()).next_back().map_or(self.n, |(_, n)| *n)
    }

    fn weight(&self, cx: &Context) -> Result<f64> {
        let loss = cx
            .loss
            .as_ref()
            .ok_or("no loss is set: a callback in phase loss before Accumulate must set cx.loss")?;
        // in f32, as the gradients are that it multiplies
        if (cx.window.ratio(loss.weight) as f32).is_finite() {
            return Ok(loss.weight);
        }
        Err(format!(
            "the loss's weight is {}, which is too far above that of the window's first micro-batch to be added to it",
            loss.weight
        )
        .into())
    }
}

impl Callback for Accumulate {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Loss, [Event::Loss, Event::Backward, Event::Step])
            .per_pass()
            .logs_nothing()
            .settings(self)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        Range::Count(1).setting("n", self.n as f64)?;
        match self.from_epoch.iter().find(|&(epoch, n)| *epoch == 0 || *n == 0) {
            Some((epoch, n)) => Err(format!(
                "`from_epoch` has {n} from epoch {epoch}, but both must be at least 1: epochs count from 1"
            )
            .into()),
            None => Ok(()),
        }
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.is_train() && !self.sum {
            let ratio = cx.window.ratio(self.weight(cx)?);
            cx.loss_scale *= ratio;
        }
        Ok(Flow::GO)
    }

    fn on_backward(&mut self, cx: &mut Context) -> Result<Flow> {
        let weight = self.weight(cx)?;
        cx.window.add(weight);
        if cx.window.micro_batches() < self.n(cx) && !cx.is_last_batch() {
            cx.window.hold();
        }
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        let n = self.n(cx);
        let short = cx.window.micro_batches() < n;
        if self.tail == Tail::Drop
            && cx.epoch() == 1
            && cx.is_last_batch()
            && let Some(batches) = cx.loader_batches().filter(|batches| *batches < n)
        {
            log::warn!(
                "Accumulate makes no step in epoch 1: it waits for {n} micro-batches, but loader `{}` has {batches} batches, and \
                 `Tail::Drop` drops a shorter window",
                cx.loader()
            );
        }
        let ratios = cx.window.ratios();
        if (short && self.tail == Tail::Drop) || ratios == 0.0 {
            return Ok(Flow::SKIP_STEP);
        }
        if !self.sum && ratios != 1.0 {
            cx.optimizer_mut()?.divide_gradients(ratios)?;
        }
        Ok(Flow::GO)
    }
}
