//! Tables in CSV files, with typed columns.
use std::path::{Path, PathBuf};

use super::rows::Rows;
use crate::dataset::Dataset;
use crate::draws::Draws;
use crate::sample::Sample;
use crate::{Result, Settings};

mod builder;
mod column;
#[cfg(test)]
mod tests;

pub use builder::CsvBuilder;

/// The rows of a CSV file in memory: columns that are asked for, as numbers or as classes; made by [`Csv::builder`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("flowers.csv");
/// use catena_data::{Array, Dataset, Draws, sources::Csv};
///
/// std::fs::write(&path, "length,width,kind\n1.5,0.5,rose\n2,,lily\n")?;
/// let flowers = Csv::builder(&path)
///     .floats("input", ["length", "width"])
///     .missing("width", 0.0)
///     .class("target", "kind")
///     .build()?;
/// assert_eq!(flowers.classes("target")?, ["lily", "rose"]);
/// let rose = flowers.get(0, &mut Draws::new(Default::default(), 0, 0))?;
/// assert_eq!(rose.get("input")?, &Array::from(vec![1.5_f32, 0.5]));
/// assert_eq!(rose.get("target")?, &Array::from(1_i64));
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Csv {
    rows: Rows,
    path: PathBuf,
    /// The line on which each row begins: a quoted field may hold ends of lines.
    lines: Vec<u64>,
    /// By the name of the array.
    classes: Vec<(String, Vec<String>)>,
}

impl Csv {
    /// Begins with a file whose first line names its columns.
    pub fn builder(path: impl AsRef<Path>) -> CsvBuilder {
        CsvBuilder::new(path.as_ref().to_owned())
    }

    /// The classes of an array of classes: its number `n` stands for class `n`. Give them to the [`CsvBuilder::class_of`] of the file that validates. It is an error if no
    /// array of classes has this name.
    pub fn classes(&self, array: &str) -> Result<&[String]> {
        match self.classes.iter().find(|(name, _)| name == array) {
            Some((_, classes)) => Ok(classes),
            None => {
                let known: Vec<_> = self.classes.iter().map(|(name, _)| name.as_str()).collect();
                Err(format!("no array of classes is named `{array}`; there are: {}", known.join(", ")).into())
            }
        }
    }
}

impl CsvBuilder {
    /// Reads the file. It is an error, with path, line and column, if a column is not there or is there twice, a row has fewer or more fields than the
    /// first line, a number is none, is NaN or infinite, a value is missing without a number that stands for it, or a class is unknown; and if the file has no row.
    pub fn build(self) -> Result<Csv> {
        let path = self.path.clone();
        let table = self.read().map_err(|error| format!("{}{error}", path.display()))?;
        Ok(Csv { rows: table.rows, path, lines: table.lines, classes: table.classes })
    }
}

impl Dataset for Csv {
    fn len(&self) -> u64 {
        self.rows.len()
    }

    fn get(&self, index: u64, draws: &mut Draws) -> Result<Sample> {
        self.rows.get(index, draws)
    }

    fn describe(&self) -> Settings {
        let classes = |(name, classes): &(String, Vec<String>)| (name.clone(), classes.clone().into());
        let mut about = self.rows.describe();
        about.insert(
            "classes".to_owned(),
            serde_json::Value::Object(self.classes.iter().map(classes).collect()),
        );
        about
    }

    fn origin(&self, index: u64) -> Option<String> {
        let line = self.lines.get(usize::try_from(index).ok()?)?;
        Some(format!("{}, line {line}", self.path.display()))
    }
}
