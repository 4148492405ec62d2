//! A metric over the loader that runs: put aside while an evaluation runs inside of it, saved and taken back with the run.
use catena_chain::{Context, Result, State};
use catena_metrics::Metric;
use serde_json::json;

/// A metric, and what it has seen of loaders that an evaluation has put aside.
#[derive(Debug)]
pub(crate) struct OverLoader {
    pub(crate) metric: Box<dyn Metric>,
    aside: Vec<State>,
    is_open: bool,
}

impl OverLoader {
    pub(crate) fn new(metric: Box<dyn Metric>) -> Self {
        Self { metric, aside: Vec::new(), is_open: false }
    }

    pub(crate) fn state(&self) -> State {
        let Self { metric, aside, is_open } = self;
        // an evaluation that is cut short runs again from its beginning: what counts is the loader around it
        let state = match aside.first() {
            Some(aside) => aside.shared(),
            None if *is_open => metric.state(),
            None => State::none(),
        };
        State { json: json!({ "is_open": is_open, "metric": state.json }), ..state }
    }

    pub(crate) fn load_state(&mut self, state: State) -> Result<()> {
        let mut json = state.json;
        let is_open = State::json(json["is_open"].take()).read()?;
        self.metric.load_state(State { json: json["metric"].take(), ..state })?;
        self.aside.clear();
        self.is_open = is_open;
        Ok(())
    }

    /// A loader begins, perhaps within another.
    pub(crate) fn start(&mut self) {
        if self.is_open {
            self.aside.push(self.metric.state());
        }
        self.metric.reset();
        self.is_open = true;
    }

    /// The loader has ended: the one around it goes on.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.metric.reset();
        self.is_open = false;
        if let Some(state) = self.aside.pop() {
            self.metric.load_state(state)?;
            self.is_open = true;
        }
        Ok(())
    }

    /// Warns if the loader had rows with a NaN: what was logged under these names is NaN for that reason.
    pub(crate) fn warn_of_nan(&self, names: &str, cx: &Context) -> Result<()> {
        let (with, all) = self.metric.memory().nan_rows()?;
        if with > 0 {
            log::warn!(
                "`{names}` of loader `{}` in epoch {}: {with} of {all} rows have a NaN among what is measured, so what \
                 depends on them is NaN",
                cx.loader(),
                cx.epoch()
            );
        }
        Ok(())
    }
}
