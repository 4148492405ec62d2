//! What metrics keep of the loader that runs: put aside while an evaluation runs inside of it, saved and taken back with the run.
use catena_chain::{Context, Result, State};
use catena_metrics::Memory;
use serde_json::json;

/// The memory of the loader that runs, and those of loaders that an evaluation has put aside.
#[derive(Debug, Default)]
pub(crate) struct OverLoader {
    pub(crate) memory: Memory,
    aside: Vec<Memory>,
    is_open: bool,
}

impl OverLoader {
    pub(crate) fn state(&self) -> State {
        let Self { memory, aside, is_open } = self;
        // an evaluation that is cut short runs again from its beginning: what counts is the loader around it
        let state = match aside.first() {
            Some(aside) => aside.state(),
            None if *is_open => memory.state(),
            None => State::none(),
        };
        State { json: json!({ "is_open": is_open, "metric": state.json }), ..state }
    }

    pub(crate) fn load_state(&mut self, state: State) -> Result<()> {
        let mut json = state.json;
        let is_open = State::json(json["is_open"].take()).read()?;
        let memory = Memory::from_state(State { json: json["metric"].take(), ..state })?;
        *self = Self { memory, aside: Vec::new(), is_open };
        Ok(())
    }

    /// A loader begins, perhaps within another.
    pub(crate) fn start(&mut self) {
        let around = std::mem::take(&mut self.memory);
        if self.is_open {
            self.aside.push(around);
        }
        self.is_open = true;
    }

    /// The loader has ended: the one around it goes on.
    pub(crate) fn end(&mut self) {
        let around = self.aside.pop();
        self.is_open = around.is_some();
        self.memory = around.unwrap_or_default();
    }

    /// Warns if the loader had rows with a NaN: what was logged under these names is NaN for that reason.
    pub(crate) fn warn_of_nan(&self, names: &str, cx: &Context) -> Result<()> {
        let (with, all) = self.memory.nan_rows()?;
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
