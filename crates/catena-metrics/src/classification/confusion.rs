//! Confusion matrices, and what follows from them: Matthews' correlation and Cohen's kappa.
use catena_tensor::Result;
use catena_tensor::tch::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::classification::agreement::{KappaWeights, columns, kappa, matthews, rows};
use crate::classification::counts;
use crate::classification::labels::Labels;
use crate::classification::task::Task;
use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::setters::setters;
use crate::settings::{ByName, Table, require, written};

/// What a confusion matrix is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Nothing: counts.
    None,
    /// Each row by its sum: of the items of a class.
    True,
    /// Each column by its sum: of the decisions for a class.
    Pred,
    /// Everything by the sum of all.
    All,
}

/// The confusion matrix (targets down, decisions across), Matthews' correlation coefficient, or Cohen's kappa.
///
/// The matrix is `[classes, classes]`, binary `[2, 2]`, multilabel `[labels, 2, 2]`. Weights count items. A NaN among the scores makes the matrix
/// (multilabel: of its label) NaN, and both coefficients. Source:
/// `torchmetrics.functional.classification` (`confusion_matrix`, `matthews_corrcoef`, `cohen_kappa`).
///
/// ```
/// use catena_metrics::{Computed, ConfusionMatrix, Meter, Seen, Task};
/// use catena_tensor::tch::Tensor;
///
/// let mut matrix = Meter::new(ConfusionMatrix::new(Task::Multiclass(2)));
/// let (decided, labels) = (Tensor::from_slice(&[0i64, 1, 1]), Tensor::from_slice(&[0i64, 0, 1]));
/// matrix.update(&Seen::new(&decided).target(&labels))?;
/// let Computed::Tensor(matrix) = matrix.compute()? else { unreachable!() };
/// assert_eq!(Vec::<f64>::try_from(matrix.view([4]))?, [1.0, 1.0, 0.0, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConfusionMatrix {
    gives: Gives,
    labels: Labels,
}

#[derive(Clone, Copy, Debug)]
enum Gives {
    Matrix(Normalize),
    Matthews,
    Kappa(KappaWeights),
}

impl ConfusionMatrix {
    fn of(gives: Gives, task: Task) -> Self {
        Self { gives, labels: Labels::new(task) }
    }

    /// The matrix, of counts unless [`ConfusionMatrix::normalize`] says otherwise.
    pub fn new(task: Task) -> Self {
        Self::of(Gives::Matrix(Normalize::None), task)
    }

    /// Matthews' correlation coefficient, from -1 to 1.
    pub fn matthews_corrcoef(task: Task) -> Self {
        Self::of(Gives::Matthews, task)
    }

    /// Cohen's kappa: agreement beyond chance. Not for multilabel.
    pub fn cohen_kappa(task: Task, weights: KappaWeights) -> Self {
        Self::of(Gives::Kappa(weights), task)
    }

    /// What the matrix is divided by (default nothing). No effect on the coefficients.
    #[must_use]
    pub fn normalize(mut self, normalize: Normalize) -> Self {
        if let Gives::Matrix(own) = &mut self.gives {
            *own = normalize;
        }
        self
    }

    setters! { ignore_index(labels.ignore_index) threshold(labels.threshold) logits(labels.logits) }

    /// Rows and columns of one matrix.
    fn side(&self) -> usize {
        match self.labels.task {
            Task::Multiclass(classes) => classes as usize,
            Task::Binary | Task::Multilabel(_) => 2,
        }
    }
}

impl ByName for ConfusionMatrix {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        match &mut self.gives {
            Gives::Kappa(weights) => table.setting_or("weights", weights, KappaWeights::None)?,
            Gives::Matrix(normalize) => table.setting_or("normalize", normalize, Normalize::None)?,
            Gives::Matthews => {}
        }
        self.labels.each_setting(table)
    }
}

impl Metric for ConfusionMatrix {
    fn name(&self) -> &str {
        match self.gives {
            Gives::Matrix(_) => "confusion_matrix",
            Gives::Matthews => "matthews_corrcoef",
            Gives::Kappa(_) => "cohen_kappa",
        }
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn check(&self) -> Result<()> {
        if let (Gives::Kappa(_), Task::Multilabel(_)) = (self.gives, self.labels.task) {
            return require(false, self.name(), "task", "multilabel", "binary or multiclass");
        }
        self.labels.check(self.name())
    }

    fn parts(&self) -> Option<Vec<String>> {
        Some(if let Gives::Matrix(_) = self.gives { Vec::new() } else { vec![String::new()] })
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let items = self.labels.items(seen, memory)?;
        let matrix = counts::confusion(&self.labels, &items, memory)?;
        memory.add("matrix", matrix)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        self.labels.check_seen(memory)?;
        let n = self.side();
        let Some(mut cells) = self.labels.read_sums(memory, "matrix")? else {
            return Ok(Computed::Number(f64::NAN));
        };
        Ok(match self.gives {
            Gives::Matthews => {
                let mut sum = vec![0.0; n * n];
                let each = cells.chunks(n * n).flat_map(|matrix| matrix.iter().enumerate());
                each.for_each(|(i, cell)| sum[i] += cell);
                Computed::Number(matthews(&sum, n))
            }
            Gives::Kappa(weights) => Computed::Number(kappa(&cells, n, weights)),
            Gives::Matrix(normalize) => {
                cells.chunks_mut(n * n).for_each(|matrix| normalized(matrix, n, normalize));
                let side = n as i64;
                let shape = match self.labels.task {
                    Task::Multilabel(labels) => vec![labels, 2, 2],
                    _ => vec![side, side],
                };
                Computed::Tensor(Tensor::f_from_slice(&cells)?.f_reshape(shape)?)
            }
        })
    }
}

/// Divides in place; a row or column of nothing stays 0.
fn normalized(matrix: &mut [f64], n: usize, by: Normalize) {
    let (rows, columns, all) = (rows(matrix, n), columns(matrix, n), matrix.iter().sum::<f64>());
    for (i, cell) in matrix.iter_mut().enumerate() {
        let by = match by {
            Normalize::None => 1.0,
            Normalize::True => rows[i / n],
            Normalize::Pred => columns[i % n],
            Normalize::All => all,
        };
        *cell = if by == 0.0 { 0.0 } else { *cell / by };
    }
}
