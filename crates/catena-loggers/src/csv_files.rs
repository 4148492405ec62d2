//! `metrics/<loader>.csv`: a row for each loader and epoch.
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use catena_record::logs::set_aside;

use self::table::{Table, is_own};
use crate::error::Result;
use crate::file::{at, make_folder};
use crate::logger::{Entry, Logger, Position, RunInfo, Scope};
use crate::payload::Payload;

/// Writes metrics to `RUN/metrics/<loader>.csv`: the columns `stage`, `epoch`, `global_step`, `global_batch`, and one for each
/// metric; rows of batches go to `RUN/metrics/<loader>.batches.csv`, with a column `batch` after `epoch`, and what is logged outside of
/// loaders to `RUN/metrics/run.values.csv`.
///
/// A metric that has the name of one of these columns, or begins with `value:`, has a column with `value:` before its name. A metric that
/// appears later gets a column at the end, and the file is rewritten with it as a whole; cells without a value are
/// empty. Arrays are left out: a metric that gives a number for each class has a column for each. A run that begins removes the CSV files in the folder that begin as these do; others stay. Numbers read back to the same bits. In a file's name what is neither letter, digit, `-` nor `_` is percent-encoded, and
/// of one that is longer than 200 bytes then the rest is a hash. On
/// resume the files are brought back to the rows and columns that they had at the snapshot.
///
/// ```
/// use catena_loggers::{CsvFiles, Logger};
///
/// assert_eq!(CsvFiles::new().name(), "CsvFiles");
/// ```
#[derive(Debug, Default)]
pub struct CsvFiles {
    folder: PathBuf,
    /// By the files' names.
    tables: BTreeMap<String, Table>,
    position: Position,
}

/// The folder in the run directory.
const FOLDER: &str = "metrics";

impl CsvFiles {
    /// Into the run directory.
    pub fn new() -> Self {
        Self::default()
    }

    fn folder(&mut self, run: &RunInfo) -> Result<()> {
        self.folder = run.needs_dir("CsvFiles")?.join(FOLDER);
        self.tables.clear();
        make_folder(&self.folder)
    }

    /// Removes those files of ours whose rows are none of the run any more.
    fn remove_all_but(&self, kept: impl Fn(&str) -> bool) -> Result<()> {
        let entries = fs::read_dir(&self.folder).map_err(|error| at(&self.folder, &error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        for name in names.filter(|name| name.ends_with(".csv") || name.ends_with(".csv.tmp")) {
            let path = self.folder.join(&name);
            if !kept(&name) && path.is_file() && is_own(&path) {
                fs::remove_file(&path).map_err(|error| at(&path, &error))?;
            }
        }
        Ok(())
    }
}

impl Logger for CsvFiles {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        self.folder(run)?;
        self.remove_all_but(|_| false)
    }

    fn go_on(&mut self, run: &RunInfo, position: Position) -> Result<()> {
        self.folder(run)?;
        let columns: BTreeMap<String, Vec<String>> = serde_json::from_value(position.json)?;
        self.remove_all_but(|name| columns.contains_key(name))?;
        for (name, columns) in columns {
            // one that is not to be gone on with is begun anew at its first row
            if let Some(mark) = position.files.get(&format!("{FOLDER}/{name}")) {
                let table = Table::go_on(&self.folder.join(&name), name.ends_with(BATCHES), columns, mark)?;
                self.tables.insert(name, table);
            }
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
                if path.exists() && !is_own(&path) {
                    set_aside(&path)?;
                }
                new.insert(Table::create(&path, batch.is_some(), scalars)?)
            }
        };
        let numbers = [Some(entry.epoch), batch, Some(entry.global_step), Some(entry.global_batch)];
        let numbers = numbers.into_iter().flatten().map(|number| number.to_string());
        let place = std::iter::once(entry.stage.to_string()).chain(numbers).collect();
        table.add(place, batch.is_some(), scalars)
    }

    fn write(&mut self) -> Result<()> {
        self.tables.values_mut().for_each(|table| table.file.write());
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let mut files = BTreeMap::new();
        for (name, table) in &mut self.tables {
            files.insert(format!("{FOLDER}/{name}"), table.file.sync()?);
        }
        let columns: BTreeMap<&String, &Vec<String>> =
            self.tables.iter().map(|(name, table)| (name, &table.columns)).collect();
        self.position = Position { json: serde_json::to_value(columns)?, files };
        Ok(())
    }

    fn position(&self) -> Position {
        self.position.clone()
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
        csv.start(&RunInfo { dir: Some(dir.path().to_owned()) }).unwrap();
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
