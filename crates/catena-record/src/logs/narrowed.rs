//! A table as it was before it gained columns.
use std::io;
use std::path::Path;

/// The content of a CSV file with its first columns only; none if it has no more than these, or is no table.
pub fn narrowed(path: &Path, columns: usize) -> io::Result<Option<Vec<u8>>> {
    let Ok(mut reader) = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_path(path) else {
        return Ok(None);
    };
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    let (mut record, mut is_header) = (csv::ByteRecord::new(), true);
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => return Ok(None),
        }
        if std::mem::take(&mut is_header) && record.len() <= columns {
            return Ok(None);
        }
        writer.write_record(record.iter().take(columns)).map_err(io::Error::other)?;
    }
    Ok(Some(writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?))
}
