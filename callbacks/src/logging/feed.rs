//! Feeds loggers with what the run logs.
use std::collections::BTreeMap;

use catena_chain::{About, Callback, Context, Event, Every, Flow, Phase, Result, Role, State, Trigger};
use catena_loggers::{Ending, Entry, Logger, Params, Payload, Position, RunInfo, Scalars, Scope};
use catena_record::logs::Marks;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::outbox::{Outbox, entry};
use super::waiting::Waiting;
use super::writer::{Positions, Writer};

/// Feeds loggers: at each loader's end with its metrics, scalars and (of a [`Measure`](crate::metrics::Measure)) arrays; with those of
/// single Train batches where that is asked for; and with what callbacks before it log outside of loaders (when the run, a stage or
/// an epoch begins or ends), under their own names.
///
/// Values of batches are kept as they were logged and read many at once, so nothing waits for the device. Loggers format and
/// write on a thread of their own. A logger that can't write (a broken pipe) is a warning in the log, once; the run
/// goes on. What a full disk can't take waits for space, up to a mebibyte a file. What an interruption cuts short is not logged: the resumed run logs it whole.
///
/// On resume every file goes on from where it was at the snapshot, so it is, to the byte, what a run that was never killed
/// would have written; a logger that the snapshot does not know begins (unless [`Loggers::batches`] was given seconds: a clock chooses its rows).
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
    /// Whether the run is only tried: nothing is logged.
    silent: bool,
    /// How far each logger went, by its name: also of those that the run had before and does not have now, so that they go on if they come back.
    positions: Positions,
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    positions: BTreeMap<String, SavedPosition>,
    batches: Json,
}

/// A position; how far its files went stands in the state's logs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedPosition {
    json: Json,
    files: Vec<String>,
}

impl Default for Loggers {
    fn default() -> Self {
        let (loggers, names, positions) = (Vec::new(), Vec::new(), Positions::new());
        Self {
            loggers,
            names,
            batches: Trigger::new(Every::Never),
            params: None,
            run: None,
            writer: None,
            silent: false,
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

    /// Each logger goes on if the snapshot knows it, or begins and is told the hyper-parameters; then they go to the thread that writes.
    fn begin(&mut self, cx: &Context) -> Result<()> {
        let mut beginners = Vec::new();
        if let Some(run) = &self.run {
            for (n, logger) in self.loggers.iter_mut().enumerate() {
                match self.positions.get(logger.name()) {
                    Some(position) => logger.go_on(run, position.clone())?,
                    None => {
                        logger.start(run)?;
                        beginners.push(n);
                    }
                }
            }
        }
        let params = self.params.as_ref().and_then(|params| params.as_ref().ok());
        let params = params.map(|params| entry(cx, Scope::Run, Payload::Params(params.clone())));
        let first = params.map(|params| (params, beginners));
        self.writer = Some(Writer::spawn(std::mem::take(&mut self.loggers), first)?);
        Ok(())
    }

    /// What a state says of each logger.
    fn read(&self, state: &State) -> Result<(Positions, Json)> {
        let Saved { positions, batches } = state.read()?;
        let position = |SavedPosition { json, files }: SavedPosition| {
            let marks =
                files.into_iter().filter_map(|path| Some((path.clone(), state.logs.get(&path)?.clone())));
            Position { json, files: marks.collect() }
        };
        Ok((positions.into_iter().map(|(name, saved)| (name, position(saved))).collect(), batches))
    }

    fn log(&self, entries: Vec<Entry>) -> Result<()> {
        if self.silent { Ok(()) } else { self.writer()?.log(entries) }
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
        if entries.is_empty() { Ok(()) } else { self.log(entries) }
    }

    /// What this event has logged outside of loaders. A resumed run hears again where it is, which is logged already.
    fn log_of_event(&self, cx: &Context) -> Result<()> {
        let values: Scalars = cx.metrics.of_event().collect();
        if values.iter().next().is_none() || cx.resuming() || cx.interrupted().is_some() {
            return Ok(());
        }
        self.log(vec![entry(cx, Scope::Run, Payload::Scalars(values))])
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
        let params = self.params.as_ref().and_then(|params| params.as_ref().ok());
        let settings = params.map_or(Json::Null, |params| json!({ "params": params }));
        let hears =
            [RunStart, StageStart, EpochStart, BatchEnd, LoaderEnd, EpochEnd, StageEnd, RunEnd, Exception];
        let mut note = self.names.join(", ");
        if self.batches.every() != Every::Never {
            note += &format!(", batches every {}", self.batches.every());
        }
        About::new::<Self>(Phase::Report, hears)
            .looks()
            .role(Role::Loggers)
            .logs_nothing()
            .settings(&settings)
            .note(note)
    }

    fn state(&self) -> State {
        let Self {
            loggers: _,
            names: _,
            batches,
            params: _,
            run: _,
            writer: _,
            silent: _,
            positions,
            waiting: _,
        } = self;
        let saved = |position: &Position| SavedPosition {
            json: position.json.clone(),
            files: position.files.keys().cloned().collect(),
        };
        let saved = positions.iter().map(|(name, position)| (name.clone(), saved(position)));
        let saved = Saved { positions: saved.collect(), batches: batches.state().json };
        let mut state = State::json(serde_json::to_value(saved).unwrap_or_default());
        state.logs.extend(positions.values().flat_map(|position| position.files.clone()));
        state
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let (positions, batches) = self.read(&state)?;
        self.positions = positions;
        self.batches.load_state(&State::json(batches))
    }

    fn needed_logs(&self, state: &State) -> Marks {
        let Ok((positions, _)) = self.read(state) else { return Marks::new() };
        let here = positions.into_iter().filter(|(name, _)| self.names.contains(name));
        here.flat_map(|(_, position)| position.files).collect()
    }

    fn on_resumed(&mut self, cx: &mut Context) -> Result<()> {
        self.begin(cx)
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
            let positions = self.writer()?.sync()?;
            self.positions.extend(positions);
        }
        Ok(())
    }

    fn on_run_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.silent = cx.checking();
        self.run = Some(RunInfo::new(cx.run_dir()));
        if cx.ext.get::<Outbox>().is_none() {
            cx.ext.insert(Outbox::default());
        }
        if cx.resuming() || self.silent {
            return Ok(Flow::GO);
        }
        self.begin(cx)?;
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
            self.log(entries)?;
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
        if !self.silent {
            self.writer()?.end(if cx.interrupted().is_some() {
                Ending::Interrupted
            } else {
                Ending::Done
            })?;
        }
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

#[cfg(test)]
mod tests;
