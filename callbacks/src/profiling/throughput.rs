//! How fast batches go through, and how long they are waited for.
use std::time::{Duration, Instant};

use catena_chain::{About, Callback, Context, Edge, Event, Flow, Phase, Result, Role, State, Work};
use catena_record::formats::timing::{self, TimingRow};
use serde::{Deserialize, Serialize};

use super::rows::Rows;

/// Measures samples, batches and on demand tokens a second, and the share of the time in which the run waited for its loader.
///
/// A row goes to `timing.jsonl` every few seconds and when a loader ends:
///
/// ```text
/// {"time": …, "global_batch": 340, "loader": "train", "seconds": 5.02, "throughput": {"batches": 67.7, "samples": 2166.9}, "data_wait": 0.031}
/// ```
///
/// It speaks of the time since the loader's row before; an evaluation in the middle of a loader is left out of it, a snapshot is
/// not. The last row is in `cx.ext` too, as [`Rates`]. On a GPU, where kernels run on while the loader works, the share says how
/// long the host waited for data, not how long the GPU was idle.
///
/// The runner puts it in when there is a run directory. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::{Rates, Throughput};
/// use catena_chain::{Event, testing};
///
/// let throughput = Throughput::new().tokens("input");
/// let mut driver = testing::driver(vec![Box::new(throughput)])?; // 6 samples of 4 numbers
/// for event in [Event::LoaderStart, Event::BatchEnd, Event::LoaderEnd] {
///     driver.fire(event)?;
/// }
/// let rates = driver.context().ext.get::<Rates>().unwrap();
/// assert_eq!((rates.loader.as_str(), (rates.samples * rates.seconds).round()), ("train", 6.0));
/// assert_eq!((rates.tokens.unwrap() * rates.seconds).round(), 24.0);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throughput {
    #[serde(with = "catena_record::float")]
    seconds: f64,
    tokens: Option<Tokens>,
    #[serde(skip)]
    rows: Rows,
    #[serde(skip)]
    running: Vec<Window>,
}

/// What counts as tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// The elements of the batch's tensor of this name, padding included.
    Elements(String),
    /// The batch's weight, for loaders that weigh batches by their tokens.
    Weight,
}

/// How fast a loader's batches went through.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// The loader.
    pub loader: String,
    /// How long it was looked at, in seconds.
    pub seconds: f64,
    /// Batches a second.
    pub batches: f64,
    /// Samples a second.
    pub samples: f64,
    /// Tokens a second, if they are counted.
    pub tokens: Option<f64>,
    /// The share of the time in which the run waited for the loader, from 0 to 1.
    pub data_wait: f64,
}

/// What a loader has given since its last row.
#[derive(Debug)]
struct Window {
    began: Instant,
    work: Option<Instant>,
    waited: Duration,
    away: Duration,
    batches: u64,
    samples: u64,
    tokens: f64,
}

impl Window {
    fn new(began: Instant) -> Self {
        let (waited, away) = (Duration::ZERO, Duration::ZERO);
        Self { began, work: None, waited, away, batches: 0, samples: 0, tokens: 0.0 }
    }
}

impl Default for Throughput {
    fn default() -> Self {
        Self { seconds: 5.0, tokens: None, rows: Rows::default(), running: Vec::new() }
    }
}

impl Throughput {
    /// A row every 5 seconds and at each loader's end, without tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many seconds lie between two rows of a loader, at least (default 5).
    #[must_use]
    pub fn seconds(mut self, seconds: f64) -> Self {
        self.seconds = seconds;
        self
    }

    /// Counts the elements of this tensor of the batch as tokens (default: none are counted).
    #[must_use]
    pub fn tokens(mut self, tensor: impl Into<String>) -> Self {
        self.tokens = Some(Tokens::Elements(tensor.into()));
        self
    }

    /// Counts the batch's weight as tokens.
    #[must_use]
    pub fn weight_is_tokens(mut self) -> Self {
        self.tokens = Some(Tokens::Weight);
        self
    }

    fn tokens_of(&self, cx: &Context) -> Result<f64> {
        Ok(match &self.tokens {
            None => 0.0,
            Some(Tokens::Weight) => cx.batch.weight,
            Some(Tokens::Elements(name)) => cx.batch.get(name)?.numel() as f64,
        })
    }

    fn tell(&mut self, window: &Window, now: Instant, cx: &mut Context) {
        let seconds = (now - window.began).saturating_sub(window.away).as_secs_f64();
        if window.batches == 0 || seconds <= 0.0 {
            return;
        }
        let rates = Rates {
            loader: cx.loader().to_owned(),
            seconds,
            batches: window.batches as f64 / seconds,
            samples: window.samples as f64 / seconds,
            tokens: self.tokens.as_ref().map(|_| window.tokens / seconds),
            data_wait: (window.waited.as_secs_f64() / seconds).min(1.0),
        };
        let (batches, samples) = (Some(rates.batches), Some(rates.samples));
        let throughput = timing::Throughput { batches, samples, tokens: rates.tokens, ..Default::default() };
        let row = TimingRow {
            loader: Some(rates.loader.clone()),
            seconds: Some(seconds),
            throughput: Some(throughput),
            data_wait: Some(rates.data_wait),
            ..TimingRow::default()
        };
        self.rows.add(cx, row);
        cx.ext.insert(rates);
    }
}

impl Callback for Throughput {
    fn about(&self) -> About {
        use Event::{BatchEnd, Exception, LoaderEnd, LoaderStart};
        About::new::<Self>(Phase::Report, [LoaderStart, BatchEnd, LoaderEnd, Exception])
            .looks()
            .role(Role::Throughput)
            .logs_nothing()
            .observes()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        if self.seconds >= 0.0 {
            return Ok(());
        }
        Err(format!("`seconds` is {}, but must not be negative", self.seconds).into())
    }

    fn on_work(&mut self, work: Work<'_>, edge: Edge, _: &Context) {
        if !matches!(work, Work::Data | Work::Evaluation) {
            return;
        }
        let Some(window) = self.running.last_mut() else { return };
        let now = Instant::now();
        match edge {
            Edge::Begin => window.work = Some(now),
            Edge::End => {
                let spent = window.work.take().map_or(Duration::ZERO, |begin| now - begin);
                match work {
                    Work::Data => window.waited += spent,
                    _ => window.away += spent,
                }
            }
        }
    }

    fn on_loader_start(&mut self, _: &mut Context) -> Result<Flow> {
        self.running.push(Window::new(Instant::now()));
        Ok(Flow::GO)
    }

    fn on_batch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let tokens = self.tokens_of(cx)?;
        let Some(window) = self.running.last_mut() else { return Ok(Flow::GO) };
        window.batches += 1;
        window.samples += cx.batch.samples();
        window.tokens += tokens;
        let now = Instant::now();
        if (now - window.began).as_secs_f64() >= self.seconds {
            let window = std::mem::replace(window, Window::new(now));
            self.tell(&window, now, cx);
        }
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if let Some(window) = self.running.pop() {
            self.tell(&window, Instant::now(), cx);
        }
        Ok(Flow::GO)
    }

    fn on_exception(&mut self, _: &mut Context) -> Result<Flow> {
        self.running.clear();
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;

    use super::*;

    fn rates(driver: &catena_chain::drive::Driver) -> Rates {
        driver.context().ext.get::<Rates>().unwrap().clone()
    }

    #[test]
    fn waiting_counts_and_an_evaluation_in_between_does_not() {
        let mut driver = testing::driver(vec![Box::new(Throughput::new())]).unwrap();
        let sleep = |ms| std::thread::sleep(Duration::from_millis(ms));
        let began = Instant::now();
        driver.fire(Event::LoaderStart).unwrap();
        driver.tell(Work::Data, Edge::Begin);
        sleep(40);
        driver.tell(Work::Data, Edge::End);
        driver.fire(Event::BatchEnd).unwrap();
        driver.tell(Work::Evaluation, Edge::Begin);
        driver.fire(Event::LoaderStart).unwrap();
        driver.tell(Work::Data, Edge::Begin);
        sleep(400);
        driver.tell(Work::Data, Edge::End);
        driver.fire(Event::LoaderEnd).unwrap();
        driver.tell(Work::Evaluation, Edge::End);
        sleep(10);
        driver.fire(Event::LoaderEnd).unwrap();
        let Rates { seconds, samples, data_wait, tokens, .. } = rates(&driver);
        let whole = began.elapsed().as_secs_f64();
        assert!(seconds >= 0.05 && seconds <= whole - 0.4, "{seconds} of {whole}");
        assert!((samples * seconds - 6.0).abs() < 1e-9);
        assert!(data_wait * seconds >= 0.04 && data_wait < 1.0, "{data_wait} of {seconds}");
        assert_eq!(tokens, None);
    }

    #[test]
    fn each_row_speaks_of_the_time_since_the_row_before() {
        let mut driver =
            testing::driver(vec![Box::new(Throughput::new().seconds(0.0).weight_is_tokens())]).unwrap();
        driver.fire(Event::LoaderStart).unwrap();
        for _ in 0..3 {
            driver.fire(Event::BatchEnd).unwrap();
            let Rates { seconds, batches, tokens, .. } = rates(&driver);
            assert!((batches * seconds - 1.0).abs() < 1e-9);
            assert!((tokens.unwrap() * seconds - 6.0).abs() < 1e-9);
        }
        driver.context_mut().ext.remove::<Rates>();
        driver.fire(Event::LoaderEnd).unwrap();
        assert!(driver.context().ext.get::<Rates>().is_none(), "nothing came after the last row");
    }

    #[test]
    fn a_tensor_that_is_not_in_the_batch_is_an_error_that_names_those_that_are() {
        let mut driver = testing::driver(vec![Box::new(Throughput::new().tokens("ids"))]).unwrap();
        driver.fire(Event::LoaderStart).unwrap();
        let error = driver.fire(Event::BatchEnd).unwrap_err();
        let text = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(text, "no tensor is named `ids`; there are: input, target");
    }
}
