//! The loader of data sets: batches made by worker threads.
mod on_error;
mod pool;
mod work;

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use catena_tensor::BoxError;
use catena_tensor::batch::Batch;
use catena_tensor::data::{Loader, LoaderDescription, Position, Start};

use crate::Result;
use crate::collate::Collate;
use crate::dataset::Dataset;
use crate::order::{Epoch, Order, Random, Sequential, wrong};
pub use on_error::OnError;
use pool::Pool;
use work::{Job, Outcome, Source, batch, locked};

/// Batches of a [`Dataset`]'s samples, made by any number of worker threads, as PyTorch's `DataLoader` makes them.
///
/// Batches are the same for any number of workers and come in order; the samples of one are shared out over the workers. Up to `prefetch` batches are made
/// ahead, over the epoch's end too. An error or a panic of the data set arrives with its batch, as a
/// [`SampleError`](catena_tensor::data::SampleError).
///
/// ```
/// use catena_data::{DataLoader, Draws, Sample, from_fn};
/// use catena_tensor::data::{Loader, Start};
///
/// let squares = from_fn(10, |index, _: &mut Draws| {
///     Ok(Sample::new().with("input", vec![index as f32; 2]).with("target", index as i64))
/// });
/// let mut loader = DataLoader::new(squares, 4).shuffle(true).workers(2);
/// assert_eq!(loader.batches(), Some(3));
/// loader.start(Start { seed: 7, epoch: 1, ..Start::default() })?;
/// let batch = loader.next_batch()?.unwrap();
/// assert_eq!(batch.get("input")?.size(), [4, 2]);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    batch_size: u64,
    order: Arc<dyn Order>,
    collate: Collate,
    drop_last: bool,
    workers: usize,
    prefetch: usize,
    on_error: OnError,
    slow_after: Duration,
    patience: Duration,
    source: Option<Arc<Source>>,
    pool: Option<Pool>,
    pass: Option<Pass>,
    following: Option<Pass>,
    ahead: VecDeque<Arc<Job>>,
    skipped: u64,
    planned: Mutex<Option<(Start<'static>, Arc<dyn Epoch>)>>,
}

struct Pass {
    start: Start<'static>,
    epoch: Arc<dyn Epoch>,
    /// The next batch to be begun, and to be given.
    begun: u64,
    given: u64,
    end: u64,
}

impl fmt::Debug for DataLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataLoader")
            .field("len", &self.dataset.len())
            .field("batch_size", &self.batch_size)
            .field("order", &self.order)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl DataLoader {
    /// Batches of `batch_size` samples in their order, the last one short, made on the calling thread.
    pub fn new(dataset: impl Dataset + 'static, batch_size: u64) -> Self {
        Self {
            dataset: Arc::new(dataset),
            batch_size,
            order: Arc::new(Sequential),
            collate: Collate::default(),
            drop_last: false,
            workers: 0,
            prefetch: 2,
            on_error: OnError::Fail,
            slow_after: Duration::from_secs(10),
            patience: Duration::from_secs(5),
            source: None,
            pool: None,
            pass: None,
            following: None,
            ahead: VecDeque::new(),
            skipped: 0,
            planned: Mutex::new(None),
        }
    }

    /// Whether each epoch has a random order of its own (default false): [`Random`], else [`Sequential`].
    #[must_use]
    pub fn shuffle(self, shuffle: bool) -> Self {
        if shuffle { self.order(Random) } else { self.order(Sequential) }
    }

    /// Sets the order.
    #[must_use]
    pub fn order(mut self, order: impl Order + 'static) -> Self {
        self.order = Arc::new(order);
        self.planned = Mutex::new(None);
        self.forget();
        self
    }

    /// How many threads make batches (0: they are made on the calling thread). The batches are the same.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self.forget();
        self
    }

    /// How many batches are made ahead of the one that is given (2). Without workers none is.
    #[must_use]
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
        self
    }

    /// Whether a short last batch is left out (default false). An order that makes the batches itself has no short one.
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self.forget();
        self
    }

    /// How samples become a batch (default [`Collate::stack`]).
    #[must_use]
    pub fn collate(mut self, collate: Collate) -> Self {
        self.collate = collate;
        self.forget();
        self
    }

    /// What happens to a sample that can't be made (default [`OnError::Fail`]).
    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self.forget();
        self
    }

    /// After how long a sample that a batch waits for is named in the log (10 s).
    #[must_use]
    pub fn slow_after(mut self, time: Duration) -> Self {
        self.slow_after = time;
        self
    }

    /// How long the loader waits for its threads when it is left or dropped (5 s). A thread whose `get` has not returned by then is left to itself, and the log names the sample.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self.forget();
        self
    }

    fn forget(&mut self) {
        (self.source, self.pool, self.pass, self.following) = (None, None, None, None);
        self.ahead.clear();
    }

    /// The epoch's order; an epoch that was asked for last is not made again.
    fn epoch(&self, start: &Start) -> Result<Arc<dyn Epoch>> {
        let key = Start { batch: 0, until: None, rank: 0, world: 1, ..start.unplaced() };
        let mut planned = locked(&self.planned);
        if let Some((_, epoch)) = planned.as_ref().filter(|(own, _)| *own == key) {
            return Ok(epoch.clone());
        }
        let epoch = self.order.epoch(self.dataset.len(), key)?;
        *planned = Some((key, epoch.clone()));
        Ok(epoch)
    }

    fn count(&self, samples: u64) -> u64 {
        let size = self.batch_size.max(1);
        if self.drop_last { samples / size } else { samples.div_ceil(size) }
    }

    fn batches_in(&self, epoch: &dyn Epoch) -> u64 {
        epoch.batch_ends().map_or_else(|| self.count(epoch.samples()), |ends| ends.len() as u64)
    }

    /// Positions of a batch in its epoch.
    fn positions(&self, epoch: &dyn Epoch, batch: u64) -> Range<u64> {
        match epoch.batch_ends() {
            Some(ends) => {
                let end = |batch: u64| ends.get(batch as usize).copied().unwrap_or(epoch.samples());
                batch.checked_sub(1).map_or(0, end)..end(batch)
            }
            None => {
                let begin = batch * self.batch_size;
                begin..begin.saturating_add(self.batch_size).min(epoch.samples())
            }
        }
    }

    fn pass_of(&self, start: Start<'static>) -> Result<Pass> {
        let epoch = self.epoch(&start)?;
        let batches = self.batches_in(&*epoch);
        let end = start.until.map_or(batches, |until| until.min(batches));
        Ok(Pass { start, epoch, begun: start.batch, given: start.batch, end })
    }

    fn source(&mut self) -> Arc<Source> {
        let Self { dataset, collate, on_error, source, .. } = self;
        let source = source.get_or_insert_with(|| {
            Arc::new(Source {
                dataset: dataset.clone(),
                collate: collate.clone(),
                skips: *on_error != OnError::Fail,
                fields: Mutex::new(None),
            })
        });
        source.clone()
    }

    /// The next batch to be begun, of this epoch or of the next.
    fn next_job(&mut self, may_go_on: bool) -> Option<Arc<Job>> {
        let source = self.source();
        let pass = self.pass.as_ref()?;
        let is_over = pass.begun >= pass.end;
        if is_over && !may_go_on {
            return None;
        }
        if is_over && self.following.is_none() {
            let start = Start { epoch: pass.start.epoch + 1, batch: 0, ..pass.start };
            // what is wrong with the next epoch is told when it is started
            self.following = self.pass_of(start).ok();
        }
        let pass = if is_over { self.following.as_ref()? } else { pass };
        if pass.begun >= pass.end {
            return None;
        }
        let positions = self.positions(&*pass.epoch, pass.begun);
        let job = Job::new(&source, &pass.epoch, pass.start, positions, self.workers);
        let pass = if is_over { self.following.as_mut() } else { self.pass.as_mut() };
        pass?.begun += 1;
        Some(Arc::new(job))
    }

    /// Waits for the next batch, or makes it.
    fn outcome(&mut self) -> Result<Outcome> {
        if self.workers == 0 {
            let job = self.next_job(false).ok_or("the epoch is over")?;
            let begun = std::cell::Cell::new(None);
            let slow = self.slow_after;
            job.run(0, &|sample| match (sample, begun.take()) {
                (Some(sample), _) => begun.set(Some((sample, Instant::now()))),
                (None, Some((sample, since))) if since.elapsed() >= slow => {
                    log::warn!("sample {sample} took {:?}", since.elapsed());
                }
                _ => {}
            });
            return job.outcome().ok_or_else(|| "the batch was not made".into());
        }
        if self.pool.is_none() {
            let loader = self.pass.as_ref().map_or(0, |pass| pass.start.loader);
            self.pool = Some(Pool::new(self.workers, loader, self.patience)?);
        }
        while self.ahead.len() <= self.prefetch {
            let Some(job) = self.next_job(!self.ahead.is_empty()) else { break };
            if let Some(pool) = &self.pool {
                pool.add(&job);
            }
            self.ahead.push_back(job);
        }
        let (Some(job), Some(pool)) = (self.ahead.pop_front(), &self.pool) else {
            return Err("the epoch is over".into());
        };
        pool.wait(&job, self.slow_after)
    }

    fn count_skipped(&mut self, outcome: &Outcome) -> Result<()> {
        let OnError::Skip { at_most } = self.on_error else { return Ok(()) };
        for error in &outcome.skipped {
            self.skipped += 1;
            if self.skipped > at_most {
                return Err(format!(
                    "more than {at_most} samples of the epoch can't be made; the next: {error}"
                )
                .into());
            }
            if self.skipped <= 20 {
                log::warn!("left out: {error}");
            }
        }
        Ok(())
    }
}

impl Loader for DataLoader {
    fn batches(&self) -> Option<u64> {
        self.order.samples(self.dataset.len()).map(|samples| self.count(samples))
    }

    fn batches_of(&self, start: &Start) -> Option<u64> {
        self.batches().or_else(|| Some(self.batches_in(&*self.epoch(start).ok()?)))
    }

    fn start(&mut self, start: Start) -> Result<(), BoxError> {
        start.check()?;
        self.check_settings()?;
        self.skipped = match start.position {
            Some(position) if self.on_error != OnError::Fail => position.number("skipped")?,
            _ => 0,
        };
        let start = start.unplaced();
        let is_over = self.pass.as_ref().is_some_and(|pass| pass.given >= pass.end);
        let guessed = self.following.take().filter(|pass| is_over && pass.start == start);
        if guessed.is_none() {
            self.ahead.clear();
            if let Some(pool) = &self.pool {
                pool.clear();
            }
        }
        self.pass = None;
        self.pass = Some(match guessed {
            Some(pass) => pass,
            None => self.pass_of(start)?,
        });
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, BoxError> {
        let pass = self.pass.as_ref().ok_or("the loader was not started, or was left")?;
        if pass.given >= pass.end {
            return Ok(None);
        }
        let outcome = self.outcome()?;
        if let Some(pass) = &mut self.pass {
            pass.given += 1;
        }
        self.count_skipped(&outcome)?;
        outcome.made.and_then(batch).map(Some)
    }

    fn position(&self) -> Option<Position> {
        match self.on_error {
            OnError::Fail => None,
            OnError::Skip { .. } => Position::new().with("skipped", self.skipped).ok(),
        }
    }

    fn leave(&mut self) {
        (self.pass, self.following) = (None, None);
        self.ahead.clear();
        self.pool = None;
    }

    fn check_settings(&self) -> Result<(), BoxError> {
        if self.batch_size == 0 {
            return Err(wrong("DataLoader", "batch_size", 0, "at least 1"));
        }
        self.order.check(self.dataset.len())
    }

    fn describe(&self) -> LoaderDescription {
        let about = LoaderDescription::of::<Self>()
            .set("rows", self.dataset.len())
            .set("batch_size", self.batch_size)
            .set("drop_last", self.drop_last)
            .set("order", self.order.describe())
            .set("collate", self.collate.describe());
        let about = match self.on_error {
            OnError::Fail => about,
            OnError::Skip { at_most } => about.set("skip_at_most", at_most),
        };
        let data = self.dataset.describe();
        if data.is_empty() { about } else { about.set("dataset", data) }
    }
}

#[cfg(test)]
mod tests;
