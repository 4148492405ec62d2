//! Feeds loggers with what the run logs.
use std::sync::Arc;
use std::time::{Duration, Instant};

use catena_chain::{
    About, Callback, Context, Event, Events, Every, Flow, Phase, Result, Role, State, Trigger, Value,
    read_values,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::outbox::entry;
use super::writer::Writer;
use super::{Ending, Entry, Logger, Outbox, Params, Payload, RunInfo, Scalars, Scope};

/// Feeds loggers: at each loader's end with its metrics, scalars and (of a [`Measure`](crate::metrics::Measure)) arrays; with those of
/// single Train batches where that is asked for; and with what callbacks before it log outside of loaders (when the run, a stage or
/// an epoch begins or ends), under their own names.
///
/// Values of batches are kept as they were logged and read many at once, so nothing waits for the device. Loggers format and
/// write on a thread of their own. A logger that can't write (a full disk, a broken pipe) is a warning in the log, once; the run
/// goes on. What an interruption cuts short is not logged: the resumed run logs it whole.
///
/// On resume every file goes on from where it was at the snapshot, so it is, to the byte, what a run that was never killed
/// would have written (unless [`Loggers::batches`] was given seconds: a clock chooses its rows).
///
/// ```
/// use catena_callbacks::{CsvFiles, JsonLines, Loggers};
/// use catena_chain::Every;
///
/// let loggers = Loggers::new().with(JsonLines::new()).with(CsvFiles::new()).batches(Every::Steps(50));
/// ```
pub struct Loggers {
    loggers: Vec<Box<dyn Logger>>,
    names: Vec<String>,
    batches: Trigger,
    params: Option<Result<Params>>,
    /// The run, from `run_start` on.
    run: Option<RunInfo>,
    writer: Option<Writer>,
    positions: Map<String, Json>,
    waiting: Waiting,
}

impl std::fmt::Debug for Loggers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loggers")
            .field("names", &self.names)
            .field("batches", &self.batches)
            .finish_non_exhaustive()
    }
}

/// How many values of batches wait before they are read, and for how long they may.
const READ_AT: usize = 256;
const READ_AFTER: Duration = Duration::from_secs(5);

/// Rows of batches whose values are not read yet.
#[derive(Debug, Default)]
struct Waiting {
    rows: Vec<(Entry, Arc<[String]>)>,
    values: Vec<Value>,
    numbers: Vec<f64>,
    since: Option<Instant>,
    names: Arc<[String]>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    positions: Map<String, Json>,
    batches: Json,
}

impl Default for Loggers {
    fn default() -> Self {
        let (loggers, names, positions) = (Vec::new(), Vec::new(), Map::new());
        Self {
            loggers,
            names,
            batches: Trigger::new(Every::Never),
            params: None,
            run: None,
            writer: None,
            positions,
            waiting: Waiting::default(),
        }
    }
}

impl Loggers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a logger.
    #[must_use]
    pub fn with(mut self, logger: impl Logger + 'static) -> Self {
        self.names.push(logger.name().to_owned());
        self.loggers.push(Box::new(logger));
        self
    }

    /// Logs what single Train batches logged, this often (default never).
    #[must_use]
    pub fn batches(mut self, every: Every) -> Self {
        self.batches = Trigger::new(every);
        self
    }

    /// Logs the hyper-parameters when the run begins: anything with fields, whose names are joined by dots
    /// (`optimizer.lr`). Lists are values, as JSON. Something without fields is an error at `build()`. They stand in `run.json`
    /// too, among the settings of this callback, where `catena report` finds them.
    #[must_use]
    pub fn params(mut self, params: &impl Serialize) -> Self {
        self.params = Some(Params::of(params));
        self
    }

    /// The loggers begin, and go to the thread that writes.
    fn begin(&mut self) -> Result<()> {
        if let Some(run) = &self.run {
            self.loggers.iter_mut().try_for_each(|logger| logger.start(run))?;
        }
        self.writer = Some(Writer::spawn(std::mem::take(&mut self.loggers))?);
        Ok(())
    }

    fn writer(&self) -> Result<&Writer> {
        let never = "it begins at run_start, which a callback of a stage does not hear; add it to the runner with `.callback(…)`";
        self.writer.as_ref().ok_or_else(|| never.into())
    }

    /// Gives everything that waits to the writer, and what other callbacks handed over.
    fn hand_on(&mut self, cx: &mut Context) -> Result<()> {
        let mut entries = self.waiting.read()?;
        if let Some(outbox) = cx.ext.get_mut::<Outbox>() {
            entries.append(&mut outbox.entries);
        }
        if entries.is_empty() { Ok(()) } else { self.writer()?.log(entries) }
    }

    /// What this event has logged outside of loaders. A resumed run hears again where it is, which is logged already.
    fn log_of_event(&self, cx: &Context) -> Result<()> {
        let values: Scalars = cx.metrics.of_event().collect();
        if values.iter().next().is_none() || cx.resuming() || cx.interrupted().is_some() {
            return Ok(());
        }
        self.writer()?.log(vec![entry(cx, Scope::Run, Payload::Scalars(values))])
    }

    /// After an end event. One that an interruption has brought about comes again when the run goes on, and so does what was
    /// handed over at it.
    fn hand_on_if_whole(&mut self, cx: &mut Context) -> Result<Flow> {
        if let (true, Some(outbox)) = (cx.interrupted().is_some(), cx.ext.get_mut::<Outbox>()) {
            outbox.entries.clear();
        }
        self.hand_on(cx)?;
        Ok(Flow::GO)
    }
}

impl Callback for Loggers {
    fn about(&self) -> About {
        use Event::{
            BatchEnd, EpochEnd, EpochStart, Exception, LoaderEnd, RunEnd, RunStart, StageEnd, StageStart,
        };
        let starts = Events::of(&[RunStart, StageStart, EpochStart]);
        let hears = starts.with(Events::of(&[BatchEnd, LoaderEnd, EpochEnd, StageEnd, RunEnd, Exception]));
        let params = self.params.as_ref().and_then(|params| params.as_ref().ok());
        let settings = params.map_or(Json::Null, |params| json!({ "params": params }));
        let batches = match self.batches.every() {
            Every::Never => String::new(),
            every => format!(", batches every {every}"),
        };
        let note = self.names.join(", ") + &batches;
        About::of::<Self>()
            .phase(Phase::Report)
            .hears(hears)
            .looks()
            .role(Role::Loggers)
            .logs_nothing()
            .settings(&settings)
            .note(note)
    }

    fn state(&self) -> State {
        let Self { loggers: _, names: _, batches, params: _, run: _, writer: _, positions, waiting: _ } =
            self;
        let saved = Saved { positions: positions.clone(), batches: batches.state().json };
        State { json: serde_json::to_value(saved).unwrap_or_default(), tensors: Vec::new() }
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let Saved { positions, batches } = state.read()?;
        self.batches.load_state(&State { json: batches, tensors: Vec::new() })?;
        if let Some(run) = &self.run {
            for logger in &self.loggers {
                if let Some(position) = positions.get(logger.name()) {
                    logger.check(run, position)?;
                }
            }
        }
        self.positions.clone_from(&positions);
        // of a run that goes on, the writer begins in `on_resumed`
        self.writer.as_ref().map_or(Ok(()), |writer| writer.resume(positions))
    }

    fn on_resumed(&mut self, _: &mut Context) -> Result<()> {
        self.begin()?;
        self.writer()?.resume(self.positions.clone())
    }

    fn check(&self) -> Result<()> {
        if self.names.is_empty() {
            return Err("it feeds no logger; add one with `.with(…)`".into());
        }
        if let Some(Err(error)) = &self.params {
            return Err(format!("its hyper-parameters can't be logged: {error}").into());
        }
        match self.batches.every() {
            Every::Overhead(_) => return Err("`batches` can't be an overhead: that is for snapshots".into()),
            every => every.check()?,
        }
        match self.names.iter().enumerate().find(|(i, name)| self.names[..*i].contains(name)) {
            Some((_, name)) => Err(format!("two loggers are named `{name}`; one is enough").into()),
            None => Ok(()),
        }
    }

    fn flush(&mut self, cx: &mut Context) -> Result<()> {
        if self.writer.is_some() {
            self.hand_on(cx)?;
            self.positions = self.writer()?.sync()?;
        }
        Ok(())
    }

    fn on_run_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.run = Some(RunInfo::of(cx));
        if cx.ext.get::<Outbox>().is_none() {
            cx.ext.insert(Outbox::default());
        }
        if cx.resuming() {
            return Ok(Flow::GO);
        }
        self.begin()?;
        if let Some(Ok(params)) = &self.params {
            let params = entry(cx, Scope::Run, Payload::Params(params.clone()));
            self.writer()?.log(vec![params])?;
        }
        self.log_of_event(cx)?;
        Ok(Flow::GO)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.log_of_event(cx)?;
        Ok(Flow::GO)
    }

    fn on_epoch_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.log_of_event(cx)?;
        Ok(Flow::GO)
    }

    fn on_batch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.is_train() && self.batches.due(cx) {
            self.waiting.add(cx);
        }
        if self.waiting.is_due() || cx.ext.get::<Outbox>().is_some_and(|outbox| !outbox.entries.is_empty()) {
            self.hand_on(cx)?;
        }
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        // the loader's end may have made a step
        if cx.is_train() && self.batches.due(cx) {
            self.waiting.add(cx);
        }
        if cx.interrupted().is_none() {
            let metrics: Scalars = cx.metrics.all_so_far()?.collect();
            let mut entries = self.waiting.read()?;
            // at once with what metrics gave beside scalars: one row has both
            if let Some(outbox) = cx.ext.get_mut::<Outbox>() {
                entries.append(&mut outbox.entries);
            }
            entries.push(entry(cx, Scope::Loader, Payload::Scalars(metrics)));
            self.writer()?.log(entries)?;
        }
        self.hand_on_if_whole(cx)
    }

    fn on_epoch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.log_of_event(cx)?;
        self.hand_on_if_whole(cx)
    }

    fn on_stage_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.log_of_event(cx)?;
        self.hand_on_if_whole(cx)
    }

    fn on_run_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.log_of_event(cx)?;
        self.hand_on_if_whole(cx)?;
        self.writer()?.end(if cx.interrupted().is_some() { Ending::Interrupted } else { Ending::Done })?;
        Ok(Flow::GO)
    }

    fn on_exception(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.writer.is_some() {
            // an error of the device may be what ends the run
            if let Err(error) = self.hand_on(cx) {
                log::warn!("the last rows of the log are lost: {error}");
            }
            self.writer()?.end(Ending::Failed)?;
        }
        Ok(Flow::GO)
    }
}

impl Waiting {
    /// Keeps what the batch has logged, as it is.
    fn add(&mut self, cx: &Context) {
        let (before, mut same) = (self.values.len(), true);
        for (name, value) in cx.metrics.of_batch() {
            same &= self.names.get(self.values.len() - before).is_some_and(|known| known == name);
            self.values.push(value);
        }
        if !same || self.values.len() - before != self.names.len() {
            self.names = cx.metrics.of_batch().map(|(name, _)| name.to_owned()).collect();
        }
        let nothing = Payload::Scalars(Scalars::new(Arc::default(), Vec::new()));
        self.rows.push((entry(cx, Scope::Batch(cx.loader_batch()), nothing), Arc::clone(&self.names)));
        self.since.get_or_insert_with(Instant::now);
    }

    fn is_due(&self) -> bool {
        self.values.len() >= READ_AT || self.since.is_some_and(|since| since.elapsed() > READ_AFTER)
    }

    /// Reads all values at once.
    fn read(&mut self) -> Result<Vec<Entry>> {
        self.since = None;
        let read = read_values(&self.values, &mut self.numbers);
        self.values.clear();
        let mut numbers = self.numbers.drain(..);
        let entries = self.rows.drain(..).map(|(mut entry, names)| {
            let values = numbers.by_ref().take(names.len()).collect();
            entry.payload = Payload::Scalars(Scalars::new(names, values));
            entry
        });
        let entries = entries.collect();
        read.map(|()| entries)
    }
}

#[cfg(test)]
mod tests;
