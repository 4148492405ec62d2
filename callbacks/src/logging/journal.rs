//! A line a step, by which two runs can be compared.
use std::path::PathBuf;

use catena_chain::{
    About, Callback, Context, Deferred, Event, Flow, Outcome, Phase, Result, Role, State, Value,
};
use catena_record::formats::journal::{JournalRow, NAME, bits, of_bits};
use catena_record::logs::{LogFile, Mark};
use catena_tensor::hash::sha256;
use catena_tensor::params::variables;
use serde::{Deserialize, Serialize};

/// Writes `journal.jsonl` in the run directory: for each window of the first pass that closes, the run's counters, a hash of
/// the numbers of its samples, the learning rate, the bits of the last loss, the gradients' norm if a callback computed it, and
/// with [`Journal::params_every`] a hash of parameters and buffers. `catena run diff` finds the first step in which two runs
/// differ.
///
/// Losses and norms are read many at once: nothing waits for the device. What can't be written is told in the log and waits for space, and
/// the run goes on. A line has about 200 bytes: a run of 10⁶ steps has 200 MB of them, one of 10⁹ steps would have 200 GB. A run of more steps than
/// there is space for has its journal at every n-th step ([`Journal::every`]). The runner puts it in when there is a run directory. On resume: how far the file went, and the open window.
///
/// ```
/// use catena_callbacks::Journal;
/// use catena_chain::Callback;
///
/// assert_eq!(Journal::new().params_every(100).about().note, "a hash of the parameters every 100 steps");
/// ```
#[derive(Debug, Default)]
pub struct Journal {
    /// 0 and 1: every step.
    every: u64,
    params_every: u64,
    path: Option<PathBuf>,
    file: Option<LogFile>,
    /// How far it went when it was written last, or at the snapshot that the run goes on from.
    mark: Option<Mark>,
    window: OpenWindow,
    rows: Deferred<Row>,
}

/// What the open window has seen.
#[derive(Debug, Default)]
struct OpenWindow {
    ids: u64,
    loss: Option<Value>,
}

/// A line, and whether its loss and its norm are among its values.
#[derive(Debug)]
struct Row {
    line: JournalRow<'static>,
    loss: bool,
    grad_norm: bool,
}

/// What a resume needs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    ids: u64,
    loss: Option<String>,
}

/// How many lines wait before they are written.
const WAITING: usize = 256;

impl Journal {
    /// Without hashes of the parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a hash of parameters and buffers every so many steps; it reads them all (default 0: never).
    #[must_use]
    pub fn params_every(mut self, steps: u64) -> Self {
        self.params_every = steps;
        self
    }

    /// Writes a line only where the run's steps are a multiple of this (default 1: for each window).
    #[must_use]
    pub fn every(mut self, steps: u64) -> Self {
        self.every = steps;
        self
    }

    fn window_closes(&mut self, cx: &Context) -> Result<()> {
        let outcome = cx.outcome();
        let stepped = *outcome == Outcome::Stepped;
        let global_step = cx.global_step() + u64::from(stepped);
        let seen = std::mem::take(&mut self.window);
        if self.every > 1 && !(stepped && global_step.is_multiple_of(self.every)) {
            return Ok(());
        }
        let hashes = stepped && self.params_every > 0 && global_step.is_multiple_of(self.params_every);
        let (loss, grad_norm) = (seen.loss, cx.grad_norm.as_ref().map(shared));
        let line = JournalRow {
            stage: cx.stage().to_owned().into(),
            epoch: cx.epoch(),
            global_batch: cx.global_batch(),
            global_step,
            outcome: (!stepped).then(|| outcome.to_string().into()),
            ids: format!("{:016x}", seen.ids).into(),
            lr: cx.lr(),
            loss: None,
            grad_norm: None,
            params: hashes.then(|| sha256(&variables(cx.model.var_store()))).transpose()?.map(Into::into),
        };
        let row = Row { line, loss: loss.is_some(), grad_norm: grad_norm.is_some() };
        self.rows.push(row, loss.into_iter().chain(grad_norm));
        if self.rows.rows() < WAITING { Ok(()) } else { self.write() }
    }

    /// Reads what waits, and writes it.
    fn write(&mut self) -> Result<()> {
        let (file, mut wrong) = (&mut self.file, None);
        self.rows.read(|Row { mut line, loss, grad_norm }, numbers| {
            let mut numbers = numbers.iter().copied();
            line.loss = loss.then(|| numbers.next()).flatten();
            line.grad_norm = grad_norm.then(|| numbers.next()).flatten();
            match (serde_json::to_string(&line), &mut *file) {
                (Ok(line), Some(file)) => file.line(&line),
                (Ok(_), None) => {}
                (Err(error), _) => wrong = Some(error),
            }
        })?;
        wrong.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Callback for Journal {
    fn about(&self) -> About {
        let mut notes = Vec::new();
        if self.every > 1 {
            notes.push(format!("every {} steps", self.every));
        }
        if self.params_every > 0 {
            notes.push(format!("a hash of the parameters every {} steps", self.params_every));
        }
        use Event::{BatchEnd, Exception, Loss, RunEnd, RunStart, Step};
        About::new::<Self>(Phase::Report, [RunStart, Loss, Step, BatchEnd, RunEnd, Exception])
            .looks()
            .role(Role::Journal)
            .logs_nothing()
            .note(notes.join(", "))
    }

    fn state(&self) -> State {
        let Self {
            every: _,
            params_every: _,
            path: _,
            file: _,
            mark,
            window: OpenWindow { ids, loss },
            rows: _,
        } = self;
        // flush has read it
        let loss =
            if let Some(Value::Number(loss) | Value::Held(loss)) = loss { Some(bits(*loss)) } else { None };
        let mut state = State::of(&Saved { ids: *ids, loss }).unwrap_or_default();
        state.logs.extend(mark.clone().map(|mark| (NAME.to_owned(), mark)));
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<()> {
        let Saved { ids, loss } = state.read()?;
        let number =
            |text: &String| of_bits(text).ok_or_else(|| format!("`{text}` is not the bits of a loss"));
        let loss = loss.as_ref().map(number).transpose()?;
        self.window = OpenWindow { ids, loss: loss.map(Value::Number) };
        self.mark = state.logs.remove(NAME);
        Ok(())
    }

    fn on_resumed(&mut self, _: &mut Context) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        // a journal that the snapshot does not know begins here
        self.file = Some(match &self.mark {
            Some(mark) => LogFile::go_on(path, mark)?,
            None => LogFile::create(path, b"")?,
        });
        Ok(())
    }

    fn flush(&mut self, _: &mut Context) -> Result<()> {
        if let Some(loss) = &mut self.window.loss {
            *loss = Value::Number(loss.read()?);
        }
        self.write()?;
        if let Some(file) = &mut self.file {
            self.mark = Some(file.mark());
        }
        Ok(())
    }

    fn on_run_start(&mut self, cx: &mut Context) -> Result<Flow> {
        let dir = cx.run_dir().ok_or("the journal needs a run directory; give one with `.run_dir(path)`")?;
        let path = dir.join(NAME);
        if !cx.resuming() {
            self.file = Some(LogFile::create(&path, b"")?);
        }
        self.path = Some(path);
        Ok(Flow::GO)
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.is_train() && cx.pass_index() == 0 {
            self.window.ids = fold(self.window.ids, &cx.batch.ids);
            self.window.loss = cx.loss.as_ref().map(|loss| Value::from(&loss.value).own()).transpose()?;
        }
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.pass_index() == 0 && *cx.outcome() == Outcome::Stepped {
            self.window_closes(cx)?;
        }
        Ok(Flow::GO)
    }

    fn on_batch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let skipped = matches!(cx.outcome(), Outcome::SkippedByScaler | Outcome::SkippedBy(_));
        if cx.is_train() && cx.pass_index() == 0 && skipped {
            self.window_closes(cx)?;
        }
        Ok(Flow::GO)
    }

    fn on_run_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.flush(cx)?;
        Ok(Flow::GO)
    }

    fn on_exception(&mut self, cx: &mut Context) -> Result<Flow> {
        self.on_run_end(cx)
    }
}

fn shared(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(*number),
        Value::Tensor(tensor) => tensor.into(),
        Value::Held(number) => Value::Held(*number),
    }
}

/// The hash so far, and more numbers: FNV-1a over their bytes.
fn fold(hash: u64, ids: &[u64]) -> u64 {
    let start = if hash == 0 { 0xcbf2_9ce4_8422_2325 } else { hash };
    ids.iter()
        .flat_map(|id| id.to_le_bytes())
        .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
