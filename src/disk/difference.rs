//! What differs between two runs, as it is found.

/// How a run differs from the one that a snapshot was taken of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What was, and what is.
    pub(crate) text: String,
    /// What can be done about it.
    pub(crate) remedy: Remedy,
}

/// What can be done about a difference. Only what a resume can apply is offered to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// It changes no numbers.
    None,
    /// [`RunnerBuilder::allow`](crate::RunnerBuilder::allow) with this name: the run goes on with what is now.
    Allow(String),
    /// A snapshot between two epochs: inside an epoch it can't be applied.
    BetweenEpochs,
    /// A run of its own, with the weights of this one.
    Weights,
}

/// Differences as they are found.
#[derive(Default)]
pub(super) struct Differences(pub(super) Vec<Difference>);

impl Differences {
    /// Adds a difference, if there is one.
    pub(super) fn add<T: PartialEq + ToString>(&mut self, remedy: Remedy, what: &str, before: T, now: T) {
        if before != now {
            let text = format!("{what}: {} before, {} now", or_none(&before), or_none(&now));
            self.0.push(Difference { text, remedy });
        }
    }

    /// Tells something that does not count.
    pub(super) fn tell(&mut self, text: String) {
        self.0.push(Difference { text, remedy: Remedy::None });
    }
}

impl Difference {
    /// Of a stage that has ended, nothing is to be carried over.
    pub(super) fn of_ended(self, stage: &str) -> Self {
        match self.remedy {
            Remedy::Allow(_) => {
                let text = format!("{} (stage `{stage}` has ended: it changes nothing any more)", self.text);
                Self { text, ..self }
            }
            _ => self,
        }
    }
}

fn or_none(value: &impl ToString) -> String {
    let text = value.to_string();
    if text.is_empty() { "none".into() } else { text }
}
