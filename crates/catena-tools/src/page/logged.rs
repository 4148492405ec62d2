//! What was logged, whichever file has it.
use std::collections::BTreeMap;

use super::epochs::Epochs;
use super::matrix::Matrix;
use super::notes::Notes;
use super::ruler::Ruler;
use crate::model::curves::Curves;
use crate::model::name::{self, Name, Topic};
use crate::model::plan::Plan;

/// What was logged.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) curves: Curves,
    pub(crate) matrices: BTreeMap<String, Matrix>,
    /// Steps by batch.
    pub(crate) steps: Ruler,
    pub(crate) epochs: Epochs,
    pub(crate) notes: Notes,
}

impl Default for Logged {
    fn default() -> Self {
        let (curves, matrices, steps) = (Curves::default(), BTreeMap::new(), Ruler::from_zero());
        Self { curves, matrices, steps, epochs: Epochs::default(), notes: Notes::default() }
    }
}

impl Logged {
    /// Notes what a row says of axes.
    pub(crate) fn saw(&mut self, plan: &Plan, stage: &str, epoch: u64, loader: &str, step: u64, batch: u64) {
        self.steps.add(batch as f64, step as f64);
        // what is logged when an epoch begins says nothing of its end
        if epoch > 0 && !loader.is_empty() && plan.may_train(loader) {
            self.epochs.saw(stage, epoch, batch);
        }
    }
}

/// The curve of a metric: `f1_score/0` is class 0 of the chart `f1_score`.
pub(crate) fn name_of(loader: &str, metric: &str, is_fine: bool) -> Name {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (chart, class) = match metric.rsplit_once('/') {
        Some((chart, class)) if is_number(class) => (chart, Some(class)),
        _ => (metric, None),
    };
    let loader = name::of_loader(loader);
    let of = class.map_or_else(|| loader.to_owned(), |class| format!("{loader}, {class}"));
    let of = if is_fine { format!("{of}, each batch") } else { of };
    let parts: Vec<&str> = chart.split('/').collect();
    let is_of_optimizer = ["lr", "momentum", "grad_norm", "param_norm", "loss_scale"]
        .iter()
        .any(|known| parts.first() == Some(known) || parts.last() == Some(known));
    let topic = if is_of_optimizer { Topic::Optimization } else { Topic::Metric };
    Name { topic, chart: chart.to_owned(), of, is_fine }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_outside_of_loaders_has_a_label_that_is_no_loaders_name() {
        for (loader, metric, expected) in [
            ("", "gap", ("gap", "(run)")),
            ("run", "gap", ("gap", "run")),
            ("valid", "f1_score/2", ("f1_score", "valid, 2")),
            ("valid", "a/b", ("a/b", "valid")),
        ] {
            let Name { chart, of, .. } = name_of(loader, metric, false);
            assert_eq!((&*chart, &*of), expected);
        }
    }
}
