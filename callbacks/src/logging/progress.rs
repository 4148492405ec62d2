//! A bar that moves while a loader runs.
use std::time::{Duration, Instant};

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::{Deserialize, Serialize};

/// A progress bar for each running loader, on standard error; off a terminal nothing is drawn. It shows the running mean of
/// the loss a few times a second, for which it waits for the device then. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::Progress;
/// use catena_chain::{Event, testing};
///
/// let mut driver = testing::driver(vec![Box::new(Progress::new())])?;
/// for event in [Event::LoaderStart, Event::BatchEnd, Event::LoaderEnd] {
///     driver.fire(event)?;
/// }
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Progress {
    #[serde(skip)]
    bars: MultiProgress,
    #[serde(skip)]
    running: Vec<ProgressBar>,
    #[serde(skip, default = "Instant::now")]
    told: Instant,
}

/// The bars on the screen, for who writes lines between them.
pub(crate) struct Bars(pub(crate) MultiProgress);

const TELL: Duration = Duration::from_millis(250);

impl Default for Progress {
    fn default() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { bars, running: Vec::new(), told: Instant::now() }
    }
}

impl Progress {
    /// On standard error.
    pub fn new() -> Self {
        Self::default()
    }
}

fn style(known: bool) -> Result<ProgressStyle> {
    let template = if known {
        "{prefix} {bar:30} {pos}/{len} {rate} {eta} {msg}"
    } else {
        "{prefix} {spinner} {pos} {rate} {msg}"
    };
    let rate = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        // what can't be written is not shown
        let _ = write!(text, "{} batches/s", three_digits(state.per_sec()));
    };
    Ok(ProgressStyle::with_template(template)?.with_key("rate", rate))
}

/// A rate with three digits that count: a slow loader's is not 0.
fn three_digits(rate: f64) -> String {
    let decimals = if rate > 0.0 && rate.is_finite() { 2.0 - rate.log10().floor() } else { 0.0 };
    format!("{rate:.*}", decimals.clamp(0.0, 6.0) as usize)
}

impl Callback for Progress {
    fn about(&self) -> About {
        About::new::<Self>(
            Phase::Report,
            [Event::LoaderStart, Event::BatchEnd, Event::LoaderEnd, Event::Exception],
        )
        .looks()
        .logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_loader_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.ext.get::<Bars>().is_none() {
            cx.ext.insert(Bars(self.bars.clone()));
        }
        let bar = match cx.loader_batches() {
            Some(n) => ProgressBar::new(n),
            None => ProgressBar::no_length(),
        };
        let bar = self.bars.add(bar.with_style(style(cx.loader_batches().is_some())?));
        bar.set_prefix(format!("{}/{} {}", cx.epoch(), cx.epochs(), cx.loader()));
        self.running.push(bar);
        Ok(Flow::GO)
    }

    fn on_batch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let Some(bar) = self.running.last().filter(|bar| !bar.is_hidden()) else { return Ok(Flow::GO) };
        bar.set_position(cx.loader_batch());
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            if let Some(loss) = cx.metrics.so_far("loss")? {
                bar.set_message(format!("loss {loss:.4}"));
            }
        }
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, _: &mut Context) -> Result<Flow> {
        if let Some(bar) = self.running.pop() {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        Ok(Flow::GO)
    }

    fn on_exception(&mut self, _: &mut Context) -> Result<Flow> {
        for bar in self.running.drain(..) {
            bar.abandon();
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_loaders_rate_is_not_nothing() {
        let texts = [0.0, 0.004_321, 0.25, 3.456, 45.67, 1234.5].map(three_digits);
        assert_eq!(texts, ["0", "0.00432", "0.250", "3.46", "45.7", "1234"]);
    }
}
