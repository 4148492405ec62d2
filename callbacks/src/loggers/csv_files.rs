//! `metrics/<loader>.csv`: a row for each loader and epoch.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use catena_chain::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::file::{Growing, at, length_of, make_folder};
use super::number::Number;
use super::{Entry, Logger, Payload, RunInfo, Scalars, Scope};

/// Writes metrics to `RUN/metrics/<loader>.csv`: the columns `stage`, `epoch`, `global_step`, `global_batch`, and one for each
/// metric; rows of batches go to `RUN/metrics/<loader>.batches.csv`, with a column `batch` after `epoch`, and what is logged outside of
/// loaders to `RUN/metrics/run.values.csv`.
///
/// A metric that has the name of one of these columns, or begins with `value:`, has a column with `value:` before its name. A metric that
/// appears later gets a column at the end, and the file is rewritten with it as a whole; cells without a value are
/// empty. Arrays are left out: a metric that gives a number for each class has a column for each. The folder is the logger's own: a run that begins removes the CSV files in it. Numbers read back to the same bits. In a file's name what is neither letter, digit, `-` nor `_` is percent-encoded, and
/// of one that is longer than 200 bytes then the rest is a hash. On
/// resume the files are brought back to the rows and columns that they had at the snapshot.
///
/// ```
/// use catena_callbacks::{CsvFiles, Loggers};
///
/// let loggers = Loggers::new().with(CsvFiles::new());
/// ```
#[derive(Debug, Default)]
pub struct CsvFiles {
    folder: PathBuf,
    tables: BTreeMap<String, Table>,
    position: BTreeMap<String, Extent>,
}

#[derive(Debug)]
struct Table {
    file: Growing,
    columns: Vec<String>,
    rows: u64,
}

/// How far a file went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Extent {
    bytes: u64,
    rows: u64,
    columns: Vec<String>,
}

impl CsvFiles {
    /// Into the run directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those files of ours that are there.
    fn found(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder).map_err(|error| at(&self.folder, &error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| name.ends_with(".csv") || name.ends_with(".csv.tmp")).collect())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::remove_file(&path).map_err(|error| at(&path, &error))
    }
}

impl Logger for CsvFiles {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        self.folder = run.needs_dir("CsvFiles")?.join("metrics");
        make_folder(&self.folder)?;
        if !run.resuming {
            self.found()?.iter().try_for_each(|name| self.remove(name))?;
        }
        Ok(())
    }

    fn log(&mut self, entry: &Entry) -> Result<()> {
        let Payload::Scalars(scalars) = &entry.payload else { return Ok(()) };
        let batch = match entry.scope {
            Scope::Batch(batch) => Some(batch),
            Scope::Loader | Scope::Run => None,
        };
        let name = match entry.scope {
            Scope::Run => OF_RUN.to_owned(),
            Scope::Batch(_) | Scope::Loader => file_name(&entry.loader, batch.is_some()),
        };
        let table = match self.tables.entry(name) {
            std::collections::btree_map::Entry::Occupied(table) => table.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                let path = self.folder.join(new.key());
                new.insert(Table::open(&path, batch.is_some(), scalars)?)
            }
        };
        let missing: Vec<String> = columns_of(scalars)
            .filter(|name| !table.columns.iter().any(|c| c == name))
            .map(Cow::into_owned)
            .collect();
        if !missing.is_empty() {
            let columns = table.columns.iter().cloned().chain(missing).collect();
            table.widen(columns, batch.is_some())?;
        }
        let numbers = [Some(entry.epoch), batch, Some(entry.global_step), Some(entry.global_batch)];
        let place = numbers.into_iter().flatten().map(|number| number.to_string());
        let values = table.columns.iter().map(|column| value(scalars, column));
        let row: Vec<String> = std::iter::once(entry.stage.to_string()).chain(place).chain(values).collect();
        write_record(table.file.buffer(), &row)?;
        table.rows += 1;
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        self.tables.values_mut().try_for_each(|table| table.file.write())
    }

    fn sync(&mut self) -> Result<()> {
        self.tables.values_mut().try_for_each(|table| table.file.sync())?;
        let extent = |t: &Table| Extent { bytes: t.file.written(), rows: t.rows, columns: t.columns.clone() };
        self.position = self.tables.iter().map(|(name, table)| (name.clone(), extent(table))).collect();
        Ok(())
    }

    fn position(&self) -> Json {
        serde_json::to_value(&self.position).unwrap_or_default()
    }

    fn check(&self, run: &RunInfo, position: &Json) -> Result<()> {
        let folder = run.needs_dir("CsvFiles")?.join("metrics");
        let position: BTreeMap<String, Extent> = serde_json::from_value(position.clone())?;
        position.iter().try_for_each(|(name, extent)| {
            let path = folder.join(name);
            Growing::check(&path, extent.bytes)?;
            Table::found(&path, extent).map(drop)
        })
    }

    fn resume(&mut self, position: Json) -> Result<()> {
        self.position = serde_json::from_value(position)?;
        for name in self.found()? {
            if !self.position.contains_key(&name) {
                self.remove(&name)?;
            }
        }
        self.tables.clear();
        for (name, extent) in &self.position {
            let table = Table::bring_back(&self.folder.join(name), extent)?;
            self.tables.insert(name.clone(), table);
        }
        Ok(())
    }
}

impl Table {
    /// The file, new, or (in a run that goes on from a snapshot that knows nothing of it) as it is.
    fn open(path: &Path, of_batches: bool, scalars: &Scalars) -> Result<Self> {
        if path.exists() {
            let file = Growing::after_whole_lines(path)?;
            let (columns, rows) = read(path, of_batches)?;
            return Ok(Self { file, columns, rows: rows.len() as u64 });
        }
        let columns: Vec<String> = columns_of(scalars).map(Cow::into_owned).collect();
        let mut file = Growing::create(path)?;
        write_record(file.buffer(), &header(&columns, of_batches))?;
        Ok(Self { file, columns, rows: 0 })
    }

    /// The file with more columns, as a whole or as it was.
    fn widen(&mut self, columns: Vec<String>, of_batches: bool) -> Result<()> {
        self.file.write()?;
        let path = self.file.path().to_owned();
        let (_, mut rows) = read(&path, of_batches)?;
        let width = place(of_batches).len() + columns.len();
        rows.iter_mut().for_each(|row| row.resize(width, String::new()));
        replace(&path, &header(&columns, of_batches), &rows)?;
        self.file = Growing::cut(&path, length_of(&path)?)?;
        self.columns = columns;
        Ok(())
    }

    /// The rows of a file that has gained columns since the snapshot, none of one that has the same; other columns are an error.
    fn found(path: &Path, extent: &Extent) -> Result<Option<Vec<Vec<String>>>> {
        let Extent { bytes, rows: count, columns } = extent;
        let of_batches = path.to_string_lossy().ends_with(BATCHES);
        let length = length_of(path)?;
        let (found, rows) = if length > 0 { read(path, of_batches)? } else { (Vec::new(), Vec::new()) };
        if found.len() > columns.len() && found.starts_with(columns) && rows.len() as u64 >= *count {
            return Ok(Some(rows));
        }
        if found != *columns && length >= *bytes {
            return Err(format!(
                "{} has other columns ({}) than at the snapshot ({}); put the file back, or resume into a copy of the run directory",
                path.display(),
                found.join(", "),
                columns.join(", ")
            )
            .into());
        }
        Ok(None)
    }

    /// The file as it was at the snapshot.
    fn bring_back(path: &Path, extent: &Extent) -> Result<Self> {
        let Extent { bytes, rows: count, columns } = extent;
        if let Some(mut rows) = Self::found(path, extent)? {
            let of_batches = path.to_string_lossy().ends_with(BATCHES);
            // rows that are too many are cut off below
            rows.iter_mut().for_each(|row| row.truncate(place(of_batches).len() + columns.len()));
            replace(path, &header(columns, of_batches), &rows)?;
        }
        Ok(Self { file: Growing::cut(path, *bytes)?, columns: columns.clone(), rows: *count })
    }
}

const BATCHES: &str = ".batches.csv";

/// What belongs to no loader: no loader's file has a dot in its name.
const OF_RUN: &str = "run.values.csv";

/// The longest name of a file, without its end: file systems take 255 bytes.
const LONGEST: usize = 200;

fn file_name(loader: &str, of_batches: bool) -> String {
    let mut name = String::new();
    for letter in loader.chars() {
        if letter.is_alphanumeric() || matches!(letter, '-' | '_') {
            name.push(letter);
        } else {
            letter.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| name += &format!("%{byte:02X}"));
        }
    }
    if name.len() > LONGEST {
        // `~` is in no other name
        let hash = crc32c::crc32c(loader.as_bytes());
        name.truncate(name.floor_char_boundary(LONGEST - 9));
        name += &format!("~{hash:08x}");
    }
    name + if of_batches { BATCHES } else { ".csv" }
}

/// What stands before the name of a metric that a column has already, or that begins so.
const VALUE: &str = "value:";

/// The columns of metrics, in their order.
fn columns_of(scalars: &Scalars) -> impl Iterator<Item = Cow<'_, str>> {
    scalars.iter().map(|(name, _)| {
        let is_taken = place(true).contains(&name) || name.starts_with(VALUE);
        if is_taken { Cow::Owned(format!("{VALUE}{name}")) } else { Cow::Borrowed(name) }
    })
}

/// The columns before those of metrics; of those of batches the others are a part.
fn place(of_batches: bool) -> &'static [&'static str] {
    match of_batches {
        true => &["stage", "epoch", "batch", "global_step", "global_batch"],
        false => &["stage", "epoch", "global_step", "global_batch"],
    }
}

fn header(columns: &[String], of_batches: bool) -> Vec<String> {
    place(of_batches).iter().map(|&name| name.to_owned()).chain(columns.iter().cloned()).collect()
}

fn value(scalars: &Scalars, column: &str) -> String {
    let found = columns_of(scalars).zip(scalars.iter()).find(|(name, _)| name == column);
    found.map(|(_, scalar)| scalar).map_or_else(String::new, |(_, value)| Number(value).to_string())
}

fn write_record(buffer: &mut Vec<u8>, fields: &[String]) -> Result<()> {
    let mut writer = csv::WriterBuilder::new().buffer_capacity(1 << 10).from_writer(buffer);
    writer.write_record(fields)?;
    Ok(writer.flush()?)
}

/// The metrics' columns and all rows.
fn read(path: &Path, of_batches: bool) -> Result<(Vec<String>, Vec<Vec<String>>)> {
    let wrong = |error: csv::Error| at(path, &error);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(wrong)?;
    let fields = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<String>>();
    let columns =
        fields(reader.headers().map_err(wrong)?).into_iter().skip(place(of_batches).len()).collect();
    let rows = reader.records().map(|record| Ok(fields(&record.map_err(wrong)?)));
    Ok((columns, rows.collect::<Result<_>>()?))
}

/// The file with these rows in place of the one that is there: at any time it is one or the other.
fn replace(path: &Path, header: &[String], rows: &[Vec<String>]) -> Result<()> {
    let new = path.with_extension("csv.tmp");
    let mut file = Growing::create(&new)?;
    write_record(file.buffer(), header)?;
    for row in rows {
        write_record(file.buffer(), row)?;
    }
    file.sync()?;
    fs::rename(&new, path).map_err(|error| at(path, &error))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;

    fn entry(scope: Scope, scalars: &[(&str, f64)]) -> Entry {
        Entry {
            stage: "s".into(),
            epoch: 2,
            loader: "train".into(),
            scope,
            global_step: 7,
            global_batch: 8,
            time: SystemTime::now(),
            payload: Payload::Scalars(scalars.iter().copied().collect()),
        }
    }

    #[test]
    fn a_metric_that_is_called_as_a_column_has_one_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let mut csv = CsvFiles::new();
        csv.start(&RunInfo { dir: Some(dir.path().to_owned()), resuming: false }).unwrap();
        csv.log(&entry(Scope::Loader, &[("epoch", 0.5), ("loss", 0.25)])).unwrap();
        csv.log(&entry(Scope::Loader, &[("global_step", 0.75), ("value:epoch", f64::NAN), ("batch", 3.0)]))
            .unwrap();
        csv.log(&entry(Scope::Batch(1), &[("stage", 1.5)])).unwrap();
        csv.sync().unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join("metrics").join(name)).unwrap();
        assert_eq!(
            read("train.csv"),
            "stage,epoch,global_step,global_batch,value:epoch,loss,value:global_step,value:value:epoch,value:batch\n\
             s,2,7,8,0.5,0.25,,,\ns,2,7,8,,,0.75,nan,3.0\n"
        );
        assert_eq!(
            read("train.batches.csv"),
            "stage,epoch,batch,global_step,global_batch,value:stage\ns,2,1,7,8,1.5\n"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn any_loaders_have_files_of_their_own(names in prop::collection::hash_set("[a%/.~é-]{0,5}|[é/]{60,62}", 1..40)) {
            let mut files = HashMap::new();
            for name in &names {
                for of_batches in [false, true] {
                    let file = file_name(name, of_batches);
                    prop_assert!(file.len() <= 255 && file != OF_RUN && !file.contains('/'), "{}", file);
                    let other = files.insert(file, name);
                    prop_assert!(other.is_none(), "{:?} and {:?}", name, other);
                }
            }
        }
    }
}
