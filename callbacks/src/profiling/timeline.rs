//! Where a run's time goes, as a table and as a picture.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use catena_chain::{About, Callback, Context, Edge, Event, Events, Flow, Phase, Result, State, Work};
use catena_record::formats::timing::TimingRow;
use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::timings::Timings;
use super::trace::{Trace, What};

/// Measures the time of each hook of each callback, of waiting for data, of evaluations and of snapshots.
///
/// When the run ends (or the stage that it is a callback of), the table of times is logged, written to `timing.jsonl` as `{"timings": [{"event", "callback", "loader",
/// "calls", "seconds", "longest"}, …]}`, and left in `cx.ext` as [`Timings`]; and a trace is written that
/// [Perfetto](https://ui.perfetto.dev) opens: `trace.json` in the run directory (`trace-2.json`, … of runs that go on; of a
/// stage `trace-stage-0.json`, …), or the file of [`Timeline::path`]. The trace holds the first 100 000 slices (some 15 MB), the table is of everything.
///
/// On a GPU a hook's time is that of its calls; kernels run on, and the first one that reads a number waits for them. It costs
/// about 0.1 µs a hook. On resume: nothing to keep; a resumed run's table is its own.
///
/// ```
/// use catena_callbacks::{Forward, Timeline, Timings};
/// use catena_chain::{Callback, Event, testing};
///
/// let chain: Vec<Box<dyn Callback>> = vec![Box::new(Forward), Box::new(Timeline::new())];
/// let mut driver = testing::driver(chain)?;
/// for event in [Event::RunStart, Event::Forward, Event::RunEnd] {
///     driver.fire(event)?;
/// }
/// let timings = driver.context().ext.get::<Timings>().unwrap();
/// let forward = timings.rows().iter().find(|row| row.event == "forward").unwrap();
/// assert_eq!((forward.callback.as_str(), forward.calls), ("Forward", 1));
/// println!("{timings}");
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeline {
    path: Option<PathBuf>,
    start_batch: u64,
    max_slices: usize,
    #[serde(skip)]
    timings: Timings,
    #[serde(skip)]
    trace: Option<Trace>,
    #[serde(skip)]
    working: Vec<(usize, Instant)>,
    #[serde(skip)]
    places: Vec<(What, Instant)>,
    #[serde(skip)]
    rows: Rows,
    #[serde(skip)]
    file: Option<PathBuf>,
    #[serde(skip)]
    of_stage: bool,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            path: None,
            start_batch: 0,
            max_slices: 100_000,
            timings: Timings::default(),
            trace: None,
            working: Vec::new(),
            places: Vec::new(),
            rows: Rows::default(),
            file: None,
            of_stage: false,
        }
    }
}

impl Timeline {
    /// From the first batch on, 100 000 slices at most.
    pub fn new() -> Self {
        Self::default()
    }

    /// The trace's file (default `trace.json` in the run directory; without one, no trace is written). A relative path is meant from
    /// the program's current folder now.
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        // it is written at the run's end, and the program may have changed its folder by then
        self.path = Some(std::path::absolute(&path).unwrap_or(path));
        self
    }

    /// The global Train batch from which on slices are kept (default 0), to leave out what warms up.
    #[must_use]
    pub fn start_batch(mut self, start_batch: u64) -> Self {
        self.start_batch = start_batch;
        self
    }

    /// How many slices the trace has at most (default 100 000); what comes later is in the table only.
    #[must_use]
    pub fn max_slices(mut self, max_slices: usize) -> Self {
        self.max_slices = max_slices;
        self
    }

    fn add_slice(&mut self, what: What, begin: Instant, end: Instant, cx: &Context) {
        if let Some(trace) = self.trace.as_mut().filter(|_| cx.global_batch() >= self.start_batch) {
            trace.add(what, begin, end, cx.global_batch());
        }
    }

    fn place_begins(&mut self, event: Event, cx: &Context) {
        let Some(trace) = &mut self.trace else { return };
        let number = match event {
            Event::StageStart => cx.stage_index() as u64,
            Event::EpochStart => cx.global_epoch(),
            Event::LoaderStart => trace.loader(cx.loader()),
            Event::BatchStart => cx.loader_batch(),
            _ => 0,
        };
        self.places.push((What::Place(event, number), Instant::now()));
    }

    /// What began after it ends with it.
    fn place_ends(&mut self, start: Event, cx: &Context) {
        let now = Instant::now();
        while let Some((what, begin)) = self.places.pop() {
            self.add_slice(what, begin, now, cx);
            if matches!(what, What::Place(event, _) if event == start) {
                return;
            }
        }
    }

    fn begin(&mut self, cx: &Context) {
        self.trace = Some(Trace::new(self.max_slices));
        let name = if self.of_stage { format!("trace-stage-{}", cx.stage_index()) } else { "trace".into() };
        let in_dir = |dir: &Path| match cx.resuming() {
            true => free(dir, &name),
            false => {
                // of a run that was here before; the run's own Timeline knows that no other one has begun
                let old = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
                let prefix = if self.of_stage { &*name } else { "trace" };
                old.filter(|path| is_trace(path, prefix)).for_each(|path| drop(fs::remove_file(path)));
                dir.join(format!("{name}.json"))
            }
        };
        let own = self.path.clone().filter(|_| !cx.checking());
        self.file = own.or_else(|| cx.run_dir().map(in_dir));
    }

    /// Tells what was measured. A trace that can't be written is a warning, and the run goes on.
    fn tell(&mut self, cx: &mut Context) {
        let now = Instant::now();
        // an error leaves work and places open
        for (row, begin) in std::mem::take(&mut self.working) {
            self.add_slice(What::Work(row), begin, now, cx);
        }
        for (what, begin) in std::mem::take(&mut self.places).into_iter().rev() {
            self.add_slice(what, begin, now, cx);
        }
        let Some(trace) = self.trace.take() else { return };
        if cx.resuming() {
            return; // the resume is refused, and leaves the run directory as it was
        }
        self.timings.set_whole(now - trace.began());
        log::info!("the run's time, by event and callback:\n{}", self.timings);
        self.rows.add(cx, TimingRow { timings: Some(self.timings.told()), ..TimingRow::default() });
        if let Some(file) = &self.file {
            match trace.write(file, &self.timings) {
                Ok(()) if trace.left_out() == 0 => log::info!("the trace is in {}", file.display()),
                Ok(()) => {
                    log::info!(
                        "the trace is in {}; it lacks the last {} slices",
                        file.display(),
                        trace.left_out()
                    );
                }
                Err(error) => log::warn!("the trace can't be written to {}: {error}", file.display()),
            }
        }
        cx.ext.insert(std::mem::take(&mut self.timings));
    }
}

/// The first name that is free, for a run that goes on.
fn free(dir: &Path, name: &str) -> PathBuf {
    let first = dir.join(format!("{name}.json"));
    std::iter::once(first.clone()).chain(later(dir, name)).find(|path| !path.exists()).unwrap_or(first)
}

/// Whether a file has such a name as this: `trace.json`, `trace-2.json`, `trace-stage-0.json`, …
fn is_trace(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let rest = name.and_then(|name| name.strip_prefix(prefix)?.strip_suffix(".json"));
    rest.is_some_and(|rest| {
        let numbers = rest.strip_prefix("-stage").unwrap_or(rest);
        numbers.is_empty()
            || (numbers.starts_with('-') && numbers[1..].bytes().all(|b| b == b'-' || b.is_ascii_digit()))
    })
}

/// The names of what goes on.
fn later(dir: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    (2..).map(move |n: u64| dir.join(format!("{name}-{n}.json")))
}

impl Callback for Timeline {
    fn about(&self) -> About {
        const OF_PASSES: [Event; 4] = [Event::Forward, Event::Loss, Event::Backward, Event::Step];
        let hears = OF_PASSES.into_iter().fold(Events::ALL, Events::without);
        About::new::<Self>(Phase::Report, hears).looks().logs_nothing().observes()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_work(&mut self, work: Work<'_>, edge: Edge, cx: &Context) {
        if self.trace.is_none() {
            return;
        }
        if edge == Edge::Begin {
            let row = self.timings.row(work, cx.loader());
            self.working.push((row, Instant::now()));
        } else if let Some((row, begin)) = self.working.pop() {
            let now = Instant::now();
            self.timings.add(row, now - begin);
            self.add_slice(What::Work(row), begin, now, cx);
        }
    }

    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        match event {
            Event::RunStart => {
                self.begin(cx);
                self.place_begins(event, cx);
            }
            Event::StageStart => {
                // who is of one stage has not heard the run begin
                self.of_stage = self.trace.is_none();
                if self.of_stage {
                    self.begin(cx);
                }
                self.place_begins(event, cx);
            }
            Event::EpochStart | Event::LoaderStart | Event::BatchStart => self.place_begins(event, cx),
            Event::BatchEnd => self.place_ends(Event::BatchStart, cx),
            Event::LoaderEnd => self.place_ends(Event::LoaderStart, cx),
            Event::EpochEnd => self.place_ends(Event::EpochStart, cx),
            Event::StageEnd => {
                self.place_ends(Event::StageStart, cx);
                if self.of_stage {
                    self.tell(cx);
                }
            }
            Event::RunEnd => {
                self.place_ends(Event::RunStart, cx);
                self.tell(cx);
            }
            Event::Exception => self.tell(cx),
            _ => {}
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::drive::{Driver, Member, RunSettings};
    use catena_chain::{on, testing};
    use catena_tensor::tch::Device;
    use serde_json::Value;

    use super::*;
    use catena_chain::CallbackExt;

    fn drive(timeline: Timeline, events: &[Event]) -> (Timings, Value) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        let slow = on(Event::Loss, |_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            Ok(Flow::GO)
        });
        let chain: Vec<Box<dyn Callback>> =
            vec![Box::new(slow.named("Slow")), Box::new(timeline.path(&path))];
        let mut driver = testing::driver(chain).unwrap();
        for &event in events {
            driver.fire(event).unwrap();
        }
        let timings = driver.context().ext.get::<Timings>().unwrap().clone();
        (timings, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    const RUN: [Event; 10] = [
        Event::RunStart,
        Event::LoaderStart,
        Event::BatchStart,
        Event::Loss,
        Event::BatchEnd,
        Event::BatchStart,
        Event::Loss,
        Event::BatchEnd,
        Event::LoaderEnd,
        Event::RunEnd,
    ];

    fn slices(trace: &Value) -> Vec<&Value> {
        trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect()
    }

    #[test]
    fn traces_of_a_run_are_known_by_their_names() {
        let is = |name: &str, prefix: &str| is_trace(Path::new(name), prefix);
        for name in ["trace.json", "trace-2.json", "trace-stage-0.json", "trace-stage-11-3.json"] {
            assert!(is(name, "trace"), "{name}");
        }
        for name in ["my-trace.json", "trace.json.gz", "trace-of-mine.json", "traces.json", "tracer-2.json"] {
            assert!(!is(name, "trace"), "{name}");
        }
        assert!(is("trace-stage-1-2.json", "trace-stage-1") && !is("trace-stage-11.json", "trace-stage-1"));
    }

    #[test]
    fn each_hook_has_its_time_in_the_table_and_its_slices_in_the_trace() {
        let (timings, trace) = drive(Timeline::new(), &RUN);
        let slow = timings.rows().iter().find(|row| row.callback == "Slow").unwrap();
        assert_eq!((slow.event.as_str(), slow.loader.as_str(), slow.calls), ("loss", "train", 2));
        assert!(slow.total >= std::time::Duration::from_millis(10) && slow.longest * 2 >= slow.total);
        assert!(timings.whole() >= slow.total);
        let of = |name: &str| slices(&trace).into_iter().filter(|slice| slice["name"] == name).count();
        assert_eq!((of("Slow"), of("batch"), of("train"), of("run")), (2, 2, 1, 1));
        let slow = slices(&trace).into_iter().find(|slice| slice["name"] == "Slow").unwrap();
        assert!(slow["dur"].as_f64().unwrap() >= 5e3);
        assert_eq!(slow["args"]["loader"], "train");
    }

    #[test]
    fn a_full_trace_drops_what_comes_later_and_says_so_and_the_table_has_all() {
        let (timings, trace) = drive(Timeline::new().max_slices(3), &RUN);
        assert_eq!(slices(&trace).len(), 3);
        assert!(trace["otherData"]["slices_left_out"].as_str().unwrap().parse::<u64>().unwrap() > 3);
        assert_eq!(timings.rows().iter().find(|row| row.callback == "Slow").unwrap().calls, 2);
        let (_, late) = drive(Timeline::new().start_batch(99), &RUN);
        assert_eq!(slices(&late).len(), 0);
    }

    #[test]
    fn each_part_of_a_run_has_a_trace_and_a_run_that_begins_removes_those_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let run = |resuming| {
            let settings = RunSettings { seed: 0, device: Device::Cpu, run_dir: Some(dir.path().to_owned()) };
            let members = vec![Member::new(Box::new(Timeline::new()))];
            let mut driver = Driver::new(Box::new(testing::tiny_model()), members, settings).unwrap();
            driver.set_resuming(resuming);
            driver.fire(Event::RunStart).unwrap();
            driver.set_resuming(false);
            driver.fire(Event::RunEnd).unwrap();
            let names =
                fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string());
            let mut names: Vec<String> = names.map(|name| name.unwrap()).collect();
            names.retain(|name| name != "timing.jsonl");
            names.sort();
            names
        };
        assert_eq!(run(false), ["trace.json"]);
        assert_eq!(run(true), ["trace-2.json", "trace.json"]);
        assert_eq!(run(true), ["trace-2.json", "trace-3.json", "trace.json"]);
        assert_eq!(run(false), ["trace.json"]);
    }

    #[test]
    fn an_error_leaves_a_trace_of_what_was_going_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        let fails = on(Event::Loss, |_| Err("no".into())).named("Fails");
        let chain: Vec<Box<dyn Callback>> = vec![Box::new(fails), Box::new(Timeline::new().path(&path))];
        let mut driver = testing::driver(chain).unwrap();
        driver.fire(Event::RunStart).unwrap();
        driver.fire(Event::BatchStart).unwrap();
        let error = driver.fire(Event::Loss).unwrap_err();
        driver.fire_exception(&error);
        let trace: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert!(slices(&trace).iter().any(|slice| slice["name"] == "Fails"));
        assert!(slices(&trace).iter().any(|slice| slice["name"] == "batch"));
    }
}
