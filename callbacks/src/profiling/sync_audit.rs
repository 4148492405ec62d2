//! Who waits for the device.
use std::fmt;

use catena_chain::{About, Callback, Context, Edge, Event, Flow, Phase, Result, State, Work};
use catena_record::formats::timing::{SyncCounts, TimingRow};
use catena_tensor::native::observe::{HostReads, Syncs};
use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::table::table;

/// Counts by callback and event how often numbers of the device were handed to the host: each makes the host wait for a GPU.
///
/// libtorch tells of its operations: reads of one number (`item()`, which every comparison and print of a tensor comes down to),
/// copies from a device to the host, and results whose size depends on values. On the CPU nothing waits, but the first and the last
/// are counted all the same, so that they can be found before there is a GPU. Copies are not, and some reads are the CPU's own: what
/// is read many at once (metrics, the journal) is one copy on a GPU, but a read a value on the CPU, and libtorch's Adam reads the
/// steps of each parameter there. What a loader's own threads do isn't seen.
///
/// When the run (or its stage) ends, the table is logged, written to `timing.jsonl` as `{"syncs": [{"event", "callback", "scalars", "copies",
/// "sizes"}, …]}`, and left in `cx.ext` as [`HostSyncs`]. It is for looking into a run, not for each: an operation costs some
/// 0.1 to 0.3 µs more. Only one run in a process can have it at a time. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::{HostSyncs, SyncAudit};
/// use catena_chain::{CallbackExt, Callback, Event, Flow, on, testing};
///
/// let reads = on(Event::Loss, |cx| {
///     let mean = cx.batch.get("input")?.f_mean(catena_tensor::tch::Kind::Float)?;
///     Ok(if mean.f_double_value(&[])?.is_nan() { Flow::STOP_RUN } else { Flow::GO })
/// });
/// let chain: Vec<Box<dyn Callback>> = vec![Box::new(reads.named("Reads")), Box::new(SyncAudit::new())];
/// let mut driver = testing::driver(chain)?;
/// for event in [Event::RunStart, Event::Loss, Event::Loss, Event::RunEnd] {
///     driver.fire(event)?;
/// }
/// let syncs = driver.context().ext.get::<HostSyncs>().unwrap();
/// assert_eq!((syncs.rows[0].callback.as_str(), syncs.rows[0].syncs.scalars), ("Reads", 2));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncAudit {
    #[serde(skip)]
    reads: Option<HostReads>,
    #[serde(skip)]
    seen: Syncs,
    #[serde(skip)]
    working: Vec<&'static str>,
    #[serde(skip)]
    found: Vec<SyncRow>,
    #[serde(skip)]
    of_stage: bool,
    #[serde(skip)]
    rows: Rows,
}

/// How often one waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRow {
    /// The event that was heard; `data`, `evaluation` or `snapshot` for what the runner does itself, and empty between them.
    pub event: String,
    /// Who heard it; empty for the runner.
    pub callback: String,
    /// How often.
    pub syncs: Syncs,
}

/// What [`SyncAudit`] found; as text a table, the most first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSyncs {
    /// Those that waited, the most first.
    pub rows: Vec<SyncRow>,
    /// How many train batches the run had then.
    pub batches: u64,
}

impl SyncAudit {
    /// Of the whole run, or of the stage that it is a callback of.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted since the last edge is this work's.
    fn attribute(&mut self, event: &str, callback: &str) {
        let Some(reads) = &self.reads else { return };
        let (now, before) = (reads.count(), self.seen);
        if now == before {
            return;
        }
        self.seen = now;
        let known = self.found.iter().position(|row| row.event == event && row.callback == callback);
        let at = known.unwrap_or_else(|| {
            let (event, callback) = (event.to_owned(), callback.to_owned());
            self.found.push(SyncRow { event, callback, syncs: Syncs::default() });
            self.found.len() - 1
        });
        let syncs = &mut self.found[at].syncs;
        syncs.scalars += now.scalars - before.scalars;
        syncs.copies += now.copies - before.copies;
        syncs.sizes += now.sizes - before.sizes;
    }

    fn tell(&mut self, cx: &mut Context) {
        self.attribute(self.working.last().copied().unwrap_or(""), "");
        if self.reads.take().is_none() {
            return;
        }
        self.working.clear();
        let mut rows = std::mem::take(&mut self.found);
        rows.sort_by_key(|row| std::cmp::Reverse(row.syncs.total()));
        let row = |row: &SyncRow| {
            let Syncs { scalars, copies, sizes } = row.syncs;
            SyncCounts { event: row.event.clone(), callback: row.callback.clone(), scalars, copies, sizes }
        };
        let told = rows.iter().map(row).collect();
        self.rows.add(cx, TimingRow { syncs: Some(told), ..TimingRow::default() });
        let syncs = HostSyncs { rows, batches: cx.global_batch() };
        log::info!("who handed numbers to the host, in {} train batches:\n{syncs}", syncs.batches);
        cx.ext.insert(syncs);
    }
}

/// What an event's hooks, or the runner's own work, are called.
fn name(work: Work<'_>) -> &'static str {
    match work {
        Work::Hook { event, .. } => event.name(),
        Work::Data => "data",
        Work::Evaluation => "evaluation",
        Work::Snapshot => "snapshot",
        _ => "other",
    }
}

impl fmt::Display for HostSyncs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let rows = self.rows.iter().map(|row| {
            let Syncs { scalars, copies, sizes } = row.syncs;
            let a_batch = row.syncs.total() as f64 / self.batches.max(1) as f64;
            [
                or_dash(&row.event),
                or_dash(&row.callback),
                scalars.to_string(),
                copies.to_string(),
                sizes.to_string(),
                format!("{a_batch:.3}"),
            ]
        });
        let heads = ["event", "callback", "numbers", "copies", "sizes", "a train batch"];
        f.write_str(&table(heads, 2, rows))
    }
}

impl Callback for SyncAudit {
    fn about(&self) -> About {
        let hears = [Event::RunStart, Event::StageStart, Event::StageEnd, Event::RunEnd, Event::Exception];
        About::new::<Self>(Phase::Report, hears).looks().logs_nothing().observes()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_work(&mut self, work: Work<'_>, edge: Edge, _: &Context) {
        match (edge, work) {
            (Edge::Begin, _) => {
                self.attribute(self.working.last().copied().unwrap_or(""), "");
                self.working.push(name(work));
            }
            (Edge::End, Work::Hook { callback, .. }) => {
                self.attribute(name(work), callback);
                self.working.pop();
            }
            (Edge::End, _) => {
                self.attribute(name(work), "");
                self.working.pop();
            }
        }
    }

    fn on_run_start(&mut self, _: &mut Context) -> Result<Flow> {
        self.reads = Some(HostReads::start()?);
        self.seen = Syncs::default();
        Ok(Flow::GO)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        // who is of one stage has not heard the run begin
        self.of_stage = self.reads.is_none();
        if self.of_stage { self.on_run_start(cx) } else { Ok(Flow::GO) }
    }

    fn on_stage_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.of_stage {
            self.tell(cx);
        }
        Ok(Flow::GO)
    }

    fn on_run_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.tell(cx);
        Ok(Flow::GO)
    }

    fn on_exception(&mut self, cx: &mut Context) -> Result<Flow> {
        self.tell(cx);
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::{on, testing};
    use catena_tensor::tch::{Kind, Tensor};

    use super::*;
    use catena_chain::CallbackExt;

    fn read() -> Result<()> {
        let _number = Tensor::from(1.0).f_mean(Kind::Double)?.f_double_value(&[])?;
        Ok(())
    }

    #[test]
    fn each_read_is_counted_for_who_was_running() {
        let twice = on(Event::Loss, |_| {
            read()?;
            read()?;
            Ok(Flow::GO)
        });
        let sizes = on(Event::Loss, |cx| {
            let _rows = cx.batch.get("target")?.f_nonzero()?;
            Ok(Flow::GO)
        });
        let never = on(Event::Loss, |_| Ok(Flow::GO));
        let chain: Vec<Box<dyn Callback>> = vec![
            Box::new(twice.named("Twice")),
            Box::new(never.named("Never")),
            Box::new(sizes.named("Sizes")),
            Box::new(SyncAudit::new()),
        ];
        let mut driver = testing::driver(chain).unwrap();
        read().unwrap();
        driver.fire(Event::RunStart).unwrap();
        driver.fire(Event::Loss).unwrap();
        read().unwrap(); // between events
        driver.tell(Work::Data, Edge::Begin);
        read().unwrap();
        driver.tell(Work::Data, Edge::End);
        driver.fire(Event::Loss).unwrap();
        driver.fire(Event::RunEnd).unwrap();
        read().unwrap();
        let syncs = driver.context().ext.get::<HostSyncs>().unwrap();
        insta::assert_snapshot!(syncs, @"
        event  callback  numbers  copies  sizes  a train batch
        loss   Twice           4       0      0          4.000
        loss   Sizes           0       0      2          2.000
        -      -               1       0      0          1.000
        data   -               1       0      0          1.000
        ");
        // the counter is free again
        driver.fire(Event::RunStart).unwrap();
        driver.fire_exception(&std::io::Error::other("an error"));
        assert!(driver.context().ext.get::<HostSyncs>().unwrap().rows.is_empty());
    }
}
