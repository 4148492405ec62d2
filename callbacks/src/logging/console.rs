//! A line an epoch and loader.
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Instant;

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State, Stop};
use catena_record::span;
use serde::{Deserialize, Serialize};

use super::progress::Bars;

/// Writes a line when a loader ends, and when a stage or the run was stopped (by whom, and why), to standard error unless told
/// otherwise; readable in a file as in a terminal.
///
/// ```text
/// train  epoch  1/10  train  loss 0.8254  accuracy@1 0.7511  lr 9.755e-3  1438 samples in 53.1 ms
/// train  epoch  1/10  valid  loss 0.3107  accuracy@1 0.9109  359 samples in 2.41 ms
/// ```
///
/// A stream that can't be written to is reported once in the log, and the run goes on. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::Console;
/// use catena_chain::{Event, testing};
///
/// let mut driver = testing::driver(vec![Box::new(Console::new())])?;
/// driver.fire(Event::LoaderStart)?;
/// driver.fire(Event::LoaderEnd)?;
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    #[serde(skip, default = "stderr")]
    stream: Box<dyn Write>,
    /// Whether lines have times.
    times: bool,
    #[serde(skip)]
    started: Vec<Instant>,
    #[serde(skip)]
    broken: bool,
}

fn stderr() -> Box<dyn Write> {
    Box::new(io::stderr())
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::to(io::stderr())
    }
}

impl Console {
    /// To standard error.
    pub fn new() -> Self {
        Self::default()
    }

    /// To any stream.
    pub fn to(stream: impl Write + 'static) -> Self {
        Self { stream: Box::new(stream), times: true, started: Vec::new(), broken: false }
    }

    /// Leaves out what the clock says, so that two runs write the same.
    #[must_use]
    pub fn without_times(mut self) -> Self {
        self.times = false;
        self
    }

    fn write(&mut self, cx: &mut Context, line: &str) {
        if self.broken {
            return;
        }
        let stream = &mut self.stream;
        let mut write = || writeln!(stream, "{line}").and_then(|()| stream.flush());
        let written = match cx.ext.get::<Bars>() {
            Some(bars) => bars.0.suspend(write),
            None => write(),
        };
        if let Err(error) = written {
            log::warn!("Console can't write and is silent from here on: {error}");
            self.broken = true;
        }
    }
}

impl Callback for Console {
    fn about(&self) -> About {
        About::new::<Self>(
            Phase::Report,
            [Event::LoaderStart, Event::LoaderEnd, Event::StageEnd, Event::RunEnd],
        )
        .looks()
        .logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_loader_start(&mut self, _: &mut Context) -> Result<Flow> {
        self.started.push(Instant::now());
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let epochs = cx.epochs().to_string();
        let mut line = format!(
            "{}  epoch {:>width$}/{epochs}  {}",
            cx.stage(),
            cx.epoch(),
            cx.loader(),
            width = epochs.len()
        );
        for (name, value) in cx.metrics.all_so_far()? {
            write!(line, "  {name} {}", number(value))?;
        }
        write!(line, "  {} samples", cx.loader_samples())?;
        if let Some(started) = self.started.pop().filter(|_| self.times) {
            write!(line, " in {}", span::text(started.elapsed().as_secs_f64()))?;
        }
        if cx.cut_short() {
            let of = cx.loader_batches().map_or(String::new(), |n| format!(" of {n}"));
            write!(line, "  (stopped after batch {}{of})", cx.loader_batch())?;
        }
        self.write(cx, &line);
        Ok(Flow::GO)
    }

    fn on_stage_end(&mut self, cx: &mut Context) -> Result<Flow> {
        // a stop of the run is told at its end
        if cx.cut_short() && cx.interrupted().is_none() && cx.flow().stop == Stop::Stage {
            let (stage, epoch, epochs) = (cx.stage(), cx.epoch(), cx.epochs());
            let line = format!("stage `{stage}` was stopped in epoch {epoch} of {epochs}{}", by(cx, true));
            self.write(cx, &line);
        }
        Ok(Flow::GO)
    }

    fn on_run_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.cut_short() {
            let (batches, steps) = (cx.global_batch(), cx.global_step());
            let (how, by) = match cx.interrupted() {
                Some(why) => ("interrupted", format!(": {why}")),
                // why a stage was stopped stands in the line above
                None => ("stopped", by(cx, cx.flow().stop == Stop::Run)),
            };
            self.write(cx, &format!("the run was {how} after {batches} batches and {steps} steps{by}"));
        }
        Ok(Flow::GO)
    }
}

/// Who stopped what has ended, and why.
fn by(cx: &Context, with_why: bool) -> String {
    let Some((callback, why)) = cx.stopped_by() else { return String::new() };
    let why = why.filter(|_| with_why).map_or(String::new(), |why| format!(": {why}"));
    format!(" by {callback}{why}")
}

/// Four digits that matter, without an exponent where that is readable.
fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if value == 0.0 || (1e-2..1e5).contains(&size) { format!("{value:.4}") } else { format!("{value:.3e}") }
}

#[cfg(test)]
mod tests {
    use catena_chain::{Reduce, testing};

    use super::*;

    #[test]
    fn numbers_are_short_and_lose_nothing_that_matters() {
        let texts = [0.0, 0.5, 12345.678, 1e5, 9.755e-3, -0.25, f64::NAN, f64::INFINITY].map(number);
        assert_eq!(texts, ["0.0000", "0.5000", "12345.6780", "1.000e5", "9.755e-3", "-0.2500", "NaN", "inf"]);
    }

    #[test]
    fn a_broken_stream_does_not_end_the_run() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut driver = testing::driver(vec![Box::new(Console::to(Broken))]).unwrap();
        driver.context_mut().log("loss", 1.0, Reduce::Mean).unwrap();
        for event in [Event::LoaderStart, Event::LoaderEnd, Event::LoaderStart, Event::LoaderEnd] {
            driver.fire(event).unwrap();
        }
    }
}
