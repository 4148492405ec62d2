//! How a CSV file is read.
use std::collections::BTreeMap;
use std::path::PathBuf;

use ::csv::{Position, ReaderBuilder, StringRecord};

use super::column::{Column, Kind};
use crate::Result;
use crate::sources::rows::Rows;

/// What is read of a CSV file, and how; made by [`Csv::builder`](super::Csv::builder). The file is UTF-8, its first line names the columns, and fields may stand in `"`.
#[derive(Clone, Debug)]
pub struct CsvBuilder {
    pub(super) path: PathBuf,
    delimiter: u8,
    arrays: Vec<(String, Kind, Vec<String>)>,
    missing_as: Vec<String>,
    missing: BTreeMap<String, f64>,
}

/// What was read.
pub(super) struct Table {
    pub(super) rows: Rows,
    pub(super) lines: Vec<u64>,
    pub(super) classes: Vec<(String, Vec<String>)>,
}

impl CsvBuilder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            delimiter: b',',
            arrays: Vec::new(),
            missing_as: vec![String::new()],
            missing: BTreeMap::new(),
        }
    }

    /// An array of several columns: f32, shape `[columns]`.
    #[must_use]
    pub fn floats(
        self,
        array: impl Into<String>,
        columns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.with(array.into(), Kind::Floats, columns.into_iter().map(Into::into).collect())
    }

    /// An array of one number: f32, without a dimension.
    #[must_use]
    pub fn float(self, array: impl Into<String>, column: impl Into<String>) -> Self {
        self.with(array.into(), Kind::Float, vec![column.into()])
    }

    /// An array of one whole number: i64, without a dimension.
    #[must_use]
    pub fn integer(self, array: impl Into<String>, column: impl Into<String>) -> Self {
        self.with(array.into(), Kind::Integer, vec![column.into()])
    }

    /// An array of one class: its number (i64, without a dimension). The classes are the column's different texts, sorted by their bytes. A file that validates must have
    /// the classes of the one that trains: see [`CsvBuilder::class_of`].
    #[must_use]
    pub fn class(self, array: impl Into<String>, column: impl Into<String>) -> Self {
        self.with(array.into(), Kind::Class(None), vec![column.into()])
    }

    /// An array of one class among these, numbered in this order. Any other text in the column is an error.
    #[must_use]
    pub fn class_of(
        self,
        array: impl Into<String>,
        column: impl Into<String>,
        classes: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let classes = classes.into_iter().map(Into::into).collect();
        self.with(array.into(), Kind::Class(Some(classes)), vec![column.into()])
    }

    /// The number that stands for a missing value of this column. Without one, a missing value is an error; that of a class always is.
    #[must_use]
    pub fn missing(mut self, column: impl Into<String>, number: f64) -> Self {
        self.missing.insert(column.into(), number);
        self
    }

    /// Texts that mean that a value is missing, such as `NA`; the empty field (or one of spaces) always does.
    #[must_use]
    pub fn missing_as(mut self, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.missing_as.extend(texts.into_iter().map(Into::into));
        self
    }

    /// What stands between fields, such as `b';'` or `b'\t'` (default: `b','`).
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    fn with(mut self, array: String, kind: Kind, columns: Vec<String>) -> Self {
        self.arrays.push((array, kind, columns));
        self
    }

    /// Errors begin with what follows the path.
    pub(super) fn read(self) -> Result<Table> {
        if self.arrays.is_empty() {
            return Err(
                ": no column is asked for: name some with `floats`, `float`, `integer` or `class`".into()
            );
        }
        let bytes = std::fs::read(&self.path).map_err(|error| format!(": {error}"))?;
        let mut reader =
            ReaderBuilder::new().delimiter(self.delimiter).flexible(true).from_reader(&bytes[..]);
        let mut names = reader.headers().map_err(|error| told(&error, &bytes))?.clone();
        if let Some(rest) = names.get(0).and_then(|first| first.strip_prefix('\u{feff}')) {
            names = std::iter::once(rest).chain(names.iter().skip(1)).collect();
        }
        let mut columns = Vec::new();
        for (array, kind, asked) in &self.arrays {
            if self.arrays.iter().filter(|(other, ..)| other == array).count() > 1 {
                return Err(format!(": two arrays are named `{array}`: give one of them another name").into());
            }
            let places = asked.iter().map(|name| Ok((name.clone(), place(&names, name)?)));
            columns.push(Column::new(array.clone(), kind.clone(), places.collect::<Result<_>>()?)?);
        }
        for (name, number) in &self.missing {
            if !self.arrays.iter().any(|(_, kind, asked)| kind.may_miss() && asked.contains(name)) {
                return Err(format!(
                    ": a number stands for missing values of `{name}`, but no array of numbers has this column"
                )
                .into());
            }
            let whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
            let integer = self
                .arrays
                .iter()
                .any(|(_, kind, asked)| matches!(kind, Kind::Integer) && asked.contains(name));
            if !(*number as f32).is_finite() || integer && !whole {
                return Err(format!(": {number} can't stand for missing values of `{name}`: it is no number of the column's type").into());
            }
        }
        let (mut record, mut lines) = (StringRecord::new(), Vec::new());
        while reader.read_record(&mut record).map_err(|error| told(&error, &bytes))? {
            let line = record.position().map_or(0, |place| line_of(place, &bytes));
            if record.len() != names.len() {
                return Err(format!(
                    ", line {line}: the row has {} fields, but the first line names {} columns",
                    record.len(),
                    names.len()
                )
                .into());
            }
            for column in &mut columns {
                for (name, place) in column.places.clone() {
                    let text = record.get(place).unwrap_or_default();
                    let missing =
                        text.trim().is_empty() || self.missing_as.iter().any(|other| other == text.trim());
                    let pushed = match (missing, self.missing.get(&name)) {
                        (false, _) => column.push(text),
                        (true, Some(number)) => column.push_missing(*number),
                        (true, None) => Err("the value is missing, and no number stands for it".into()),
                    };
                    pushed.map_err(|error| format!(", line {line}, column `{name}`: {error}"))?;
                }
            }
            lines.push(line);
        }
        if lines.is_empty() {
            return Err(": the file has no row below the names of its columns".into());
        }
        let mut classes = Vec::new();
        let mut rows: Option<Rows> = None;
        for column in columns {
            let name = column.array.clone();
            let (array, known) = column.finish(lines.len())?;
            if let Some(known) = known {
                classes.push((name.clone(), known));
            }
            rows = Some(match rows {
                Some(rows) => rows.with(name, array)?,
                None => Rows::new(name, array)?,
            });
        }
        let rows = rows.ok_or(": no column is asked for")?;
        Ok(Table { rows, lines, classes })
    }
}

fn place(names: &StringRecord, name: &str) -> Result<usize> {
    let mut places = names.iter().enumerate().filter(|(_, other)| *other == name).map(|(place, _)| place);
    let known = || names.iter().collect::<Vec<_>>().join(", ");
    let place =
        places.next().ok_or_else(|| format!(": no column is named `{name}`; there are: {}", known()))?;
    match places.next() {
        Some(_) => {
            Err(format!(", line 1: two columns are named `{name}`: give one of them another name").into())
        }
        None => Ok(place),
    }
}

/// The line on which a row begins. The reader's place stands before the end of the line before, and before empty lines.
fn line_of(place: &Position, bytes: &[u8]) -> u64 {
    let rest = usize::try_from(place.byte()).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
    let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    place.line() + ends.filter(|byte| **byte == b'\n').count() as u64
}

fn told(error: &::csv::Error, bytes: &[u8]) -> String {
    match (error.kind(), error.position()) {
        (::csv::ErrorKind::Utf8 { err, .. }, Some(place)) => {
            format!(", line {}: the text is not UTF-8: {err}", line_of(place, bytes))
        }
        _ => format!(": {error}"),
    }
}
