//! A CSV file whose columns may grow.
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use catena_record::float;
use catena_record::logs::{LogFile, Mark};

use crate::error::Result;
use crate::file::at;
use crate::payload::Scalars;

/// A file, and the columns of metrics in it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) file: LogFile,
    pub(super) columns: Vec<String>,
}

impl Table {
    /// A new file with columns for these metrics.
    pub(super) fn create(path: &Path, of_batches: bool, scalars: &Scalars) -> Result<Self> {
        let columns: Vec<String> = columns_of(scalars).map(Cow::into_owned).collect();
        let (header, width) = header(&columns, of_batches)?;
        let file = LogFile::create(path, &header)?.with_columns(width, &header);
        Ok(Self { file, columns })
    }

    /// The file as it was at a snapshot.
    pub(super) fn go_on(path: &Path, of_batches: bool, columns: Vec<String>, mark: &Mark) -> Result<Self> {
        let (header, width) = header(&columns, of_batches)?;
        if mark.columns != Some(width) {
            let told = mark.columns.unwrap_or(0);
            return Err(
                format!("{}: the state knows {width} columns, its mark {told}", path.display()).into()
            );
        }
        let file = LogFile::go_on(path, mark)?.with_columns(width, &header);
        Ok(Self { file, columns })
    }

    /// Adds a row. Metrics that have no column yet get one, for which the file is written anew as a whole.
    pub(super) fn add(&mut self, place: Vec<String>, of_batches: bool, scalars: &Scalars) -> Result<()> {
        let missing: Vec<String> = columns_of(scalars)
            .filter(|name| !self.columns.iter().any(|column| column == name))
            .map(Cow::into_owned)
            .collect();
        if !missing.is_empty() {
            let columns = self.columns.iter().cloned().chain(missing.iter().cloned()).collect();
            if let Err(error) = self.widen(columns, of_batches) {
                // the next row tries again
                let (path, missing) = (self.file.path().display(), missing.join(", "));
                log::warn!(
                    "{path}: a row lacks {missing}, for which the file has to be written anew: {error}"
                );
                self.file.lose(missing.len() as u64);
            }
        }
        let values = self.columns.iter().map(|column| value(scalars, column));
        let row: Vec<String> = place.into_iter().chain(values).collect();
        write_record(self.file.buffer(), &row)
    }

    fn widen(&mut self, columns: Vec<String>, of_batches: bool) -> Result<()> {
        let (header, width) = header(&columns, of_batches)?;
        let lost = self.file.mark().lost;
        if self.file.waits() {
            return Err("rows wait to be written".into());
        }
        let path = self.file.path().to_owned();
        let content = widened(&path, &header, width)?;
        LogFile::replace(&path, &content)?;
        let mark = Mark { lost, ..Mark::of(&path, content.len() as u64)? };
        self.file = LogFile::go_on(&path, &mark)?.with_columns(width, &header);
        self.columns = columns;
        Ok(())
    }
}

/// The columns before those of metrics; of those of batches the others are a part.
pub(super) fn place(of_batches: bool) -> &'static [&'static str] {
    match of_batches {
        true => &["stage", "epoch", "batch", "global_step", "global_batch"],
        false => &["stage", "epoch", "global_step", "global_batch"],
    }
}

/// Whether a file begins as one of catena's does: others may lie in the same folder.
pub(super) fn is_own(path: &Path) -> bool {
    let mut start = [0; 64];
    let read = File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    let start = &start[..read];
    let begins = |of_batches: bool| {
        let header = place(of_batches).join(",");
        start.strip_prefix(header.as_bytes()).is_some_and(|rest| matches!(rest.first(), Some(b',' | b'\n')))
    };
    start.is_empty() || begins(false) || begins(true)
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

/// The first row, and how many columns it has.
fn header(columns: &[String], of_batches: bool) -> Result<(Vec<u8>, usize)> {
    let place = place(of_batches).iter().map(|&name| name.to_owned());
    let header: Vec<String> = place.chain(columns.iter().cloned()).collect();
    let mut row = Vec::new();
    write_record(&mut row, &header)?;
    Ok((row, header.len()))
}

fn value(scalars: &Scalars, column: &str) -> String {
    let found = columns_of(scalars).zip(scalars.iter()).find(|(name, _)| name == column);
    found.map(|(_, scalar)| scalar).map_or_else(String::new, |(_, value)| float::text(value))
}

fn write_record(buffer: &mut Vec<u8>, fields: &[String]) -> Result<()> {
    let mut writer = csv::WriterBuilder::new().buffer_capacity(1 << 10).from_writer(buffer);
    writer.write_record(fields)?;
    Ok(writer.flush()?)
}

/// A file's content with this first row, and empty cells at the end of all others.
fn widened(path: &Path, header: &[u8], width: usize) -> Result<Vec<u8>> {
    let wrong = |error: csv::Error| at(path, &error);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(wrong)?;
    let mut writer = csv::Writer::from_writer(header.to_vec());
    for record in reader.byte_records() {
        let mut record = record.map_err(wrong)?;
        while record.len() < width {
            record.push_field(b"");
        }
        writer.write_byte_record(&record).map_err(wrong)?;
    }
    writer.into_inner().map_err(|error| at(path, &error.to_string()))
}
