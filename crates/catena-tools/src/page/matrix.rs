//! Confusion matrices among what was logged.
use std::collections::BTreeMap;

use catena_record::float::number;
use serde_json::Value;

/// A square of numbers: targets down, decisions across.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: Vec<Vec<f64>>,
}

/// The most classes that are shown, and the most matrices of one metric: that of several labels has one for each.
pub(crate) const CLASSES: usize = 128;
const LABELS: usize = 16;

/// The matrices that a value has, by name: one, or a list of some; and what is to be told of those that can't be shown.
pub(crate) fn read(key: &str, value: &Value) -> (Vec<(String, Matrix)>, Option<String>) {
    if let Some(matrix) = Matrix::of(value) {
        return (vec![(key.to_owned(), matrix)], None);
    }
    let list: Option<Vec<Matrix>> = value.as_array().and_then(|list| list.iter().map(Matrix::of).collect());
    let Some(list) = list else {
        let note = format!("{key} is no matrix of at most {CLASSES} × {CLASSES} and is not shown");
        return (Vec::new(), Some(note));
    };
    let n = list.len();
    let shown = list.into_iter().enumerate().take(LABELS);
    let shown = shown.map(|(label, matrix)| (format!("{key}/{label}"), matrix)).collect();
    (shown, (n > LABELS).then(|| format!("{key}: of {n} matrices the first {LABELS} are shown")))
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
