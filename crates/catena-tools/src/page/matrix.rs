//! Confusion matrices among what was logged.
use std::collections::BTreeMap;

use serde_json::Value;

use super::record::{Record, number};

/// A square of numbers: targets down, decisions across.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: Vec<Vec<f64>>,
}

/// The most classes that are shown, and the most matrices of one metric: that of several labels has one for each.
pub(crate) const CLASSES: usize = 128;
const LABELS: usize = 16;

/// Takes over a matrix, or a list of some. What can't be shown is told of.
pub(crate) fn add(key: &str, value: &Value, record: &mut Record) {
    if let Some(matrix) = Matrix::of(value) {
        record.matrices.insert(key.to_owned(), matrix);
        return;
    }
    let list: Option<Vec<Matrix>> = value.as_array().and_then(|list| list.iter().map(Matrix::of).collect());
    let note = match list {
        Some(list) => {
            let n = list.len();
            for (label, matrix) in list.into_iter().enumerate().take(LABELS) {
                record.matrices.insert(format!("{key}/{label}"), matrix);
            }
            (n > LABELS).then(|| format!("{key}: of {n} matrices the first {LABELS} are shown"))
        }
        None => Some(format!("{key} is no matrix of at most {CLASSES} × {CLASSES} and is not shown")),
    };
    if let Some(note) = note.filter(|note| !record.notes.contains(note)) {
        record.notes.push(note);
    }
}

impl Matrix {
    /// A list of lists of numbers, all of one length.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let row = |row: &Value| row.as_array()?.iter().map(number).collect::<Option<Vec<f64>>>();
        let rows = value.as_array()?.iter().map(row).collect::<Option<Vec<_>>>()?;
        Self { rows }.checked()
    }

    fn checked(self) -> Option<Self> {
        let n = self.rows.len();
        (n > 0 && n <= CLASSES && self.rows.iter().all(|row| row.len() == n)).then_some(self)
    }
}

/// The matrix's name and the cell that a metric's name means: `confusion_matrix/2/0` is row 2, column 0.
pub(crate) fn cell(metric: &str) -> Option<(&str, [usize; 2])> {
    let (rest, column) = metric.rsplit_once('/')?;
    let (name, row) = rest.rsplit_once('/')?;
    let at = [row.parse().ok()?, column.parse().ok()?];
    (name.contains("confusion") && at.iter().all(|at| *at < CLASSES)).then_some((name, at))
}

/// Matrices by name, from their cells. One that lacks some has zeros there.
pub(crate) fn from_cells(cells: Vec<(String, [usize; 2], f64)>) -> BTreeMap<String, Matrix> {
    let mut matrices: BTreeMap<String, Vec<([usize; 2], f64)>> = BTreeMap::new();
    for (name, at, value) in cells {
        matrices.entry(name).or_default().push((at, value));
    }
    let filled = |cells: Vec<([usize; 2], f64)>| {
        let n = cells.iter().flat_map(|(at, _)| at).max().map_or(0, |last| last + 1);
        let mut rows = vec![vec![0.0; n]; n];
        for ([row, column], value) in cells {
            rows[row][column] = value;
        }
        Matrix { rows }
    };
    matrices.into_iter().map(|(name, cells)| (name, filled(cells))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_matrix_is_a_list_of_lists_or_a_name_for_each_cell() {
        let matrix = Matrix { rows: vec![vec![3.0, 1.0], vec![0.0, 2.0]] };
        assert_eq!(Matrix::of(&json!([[3, 1], [0, 2]])), Some(matrix.clone()));
        let cells =
            [("confusion_matrix/0/0", 3.0), ("confusion_matrix/0/1", 1.0), ("confusion_matrix/1/1", 2.0)];
        let cells = cells.map(|(name, value)| {
            let (name, at) = cell(name).unwrap();
            (name.to_owned(), at, value)
        });
        assert_eq!(from_cells(cells.into()).get("confusion_matrix"), Some(&matrix));
    }

    #[test]
    fn what_is_no_matrix_is_none() {
        for value in [json!([]), json!([[1, 2]]), json!([[1], [2]]), json!([["x"]]), json!(3), json!([1, 2])]
        {
            assert_eq!(Matrix::of(&value), None, "{value}");
        }
        for name in ["confusion_matrix", "confusion_matrix/1", "loss/1/2", "confusion_matrix/1/999999999"] {
            assert_eq!(cell(name), None, "{name}");
        }
    }
}
