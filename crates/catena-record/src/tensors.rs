//! The safetensors format: named tensors as a JSON header and their bytes.
use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The largest header that is read, as in the format's reference reader.
const MAX_HEADER: u64 = 100 << 20;

/// A tensor in a file or in a buffer: its name, dtype, shape, and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its dtype as the format calls it: `F32`, `I64`, `BOOL`, ….
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its bytes, in row-major order, in little-endian.
    pub bytes: Range<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The bytes of one number of a dtype.
///
/// ```
/// assert_eq!(catena_record::tensors::size_of("BF16"), Some(2));
/// ```
pub fn size_of(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" => 1,
        "I16" | "U16" | "F16" | "BF16" => 2,
        "I32" | "U32" | "F32" => 4,
        "I64" | "U64" | "F64" => 8,
        _ => return None,
    })
}

/// Texts beside the tensors of a file, as the format has them.
pub type Metadata = BTreeMap<String, String>;

#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__", skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a Metadata,
    #[serde(flatten)]
    entries: BTreeMap<&'a String, HeaderEntry>,
}

/// The head of a file with these tensors, whose bytes follow each other as they do in the entries' ranges.
pub(crate) fn header(entries: &[Entry], metadata: &Metadata) -> Result<Vec<u8>, String> {
    let start = entries.first().map_or(0, |entry| entry.bytes.start);
    let mut at = start;
    let mut map = BTreeMap::new();
    for Entry { name, dtype, shape, bytes } in entries {
        if bytes.start != at || bytes.end < at || name == "__metadata__" {
            return Err(format!("the bytes of tensor `{name}` don't follow those of the one before"));
        }
        let offsets = [(at - start) as u64, (bytes.end - start) as u64];
        let entry = HeaderEntry { dtype: dtype.clone(), shape: shape.clone(), data_offsets: offsets };
        if expected(&entry) != Some(bytes.len() as u64) {
            return Err(format!("tensor `{name}` of {dtype} and shape {shape:?} has {} bytes", bytes.len()));
        }
        if map.insert(name, entry).is_some() {
            return Err(format!("two tensors are named `{name}`"));
        }
        at = bytes.end;
    }
    let head = Header { metadata, entries: map };
    let mut text = serde_json::to_vec(&head).map_err(|error| error.to_string())?;
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut head = (text.len() as u64).to_le_bytes().to_vec();
    head.append(&mut text);
    Ok(head)
}

/// A file of these tensors, whose bytes are in `buffer`, in this order.
///
/// ```
/// use catena_record::tensors::{Entry, file, parse};
///
/// let entry = Entry { name: "x".into(), dtype: "U8".into(), shape: vec![2], bytes: 1..3 };
/// let file = file(&[entry], &[7, 8, 9])?;
/// let read = parse(&file)?;
/// assert_eq!((read[0].name.as_str(), &file[read[0].bytes.clone()]), ("x", &[8, 9][..]));
/// # Ok::<(), String>(())
/// ```
pub fn file(entries: &[Entry], buffer: &[u8]) -> Result<Vec<u8>, String> {
    let (mut moved, mut data) = (Vec::new(), Vec::new());
    for entry in entries {
        let bytes = buffer.get(entry.bytes.clone());
        let bytes = bytes.ok_or_else(|| format!("the bytes of tensor `{}` are not there", entry.name))?;
        let at = data.len();
        data.extend_from_slice(bytes);
        moved.push(Entry { bytes: at..data.len(), ..entry.clone() });
    }
    let mut file = header(&moved, &Metadata::new())?;
    file.append(&mut data);
    Ok(file)
}

fn expected(entry: &HeaderEntry) -> Option<u64> {
    let numbers = entry.shape.iter().try_fold(1u64, |product, n| product.checked_mul(*n));
    numbers?.checked_mul(size_of(&entry.dtype)?)
}

/// The tensors of a file, in the order of their bytes, with ranges in the file. Every byte must belong to one.
///
/// ```
/// assert!(catena_record::tensors::parse(b"\x02\0\0\0\0\0\0\0{}").is_ok());
/// assert!(catena_record::tensors::parse(b"\xff\xff\xff\xff\xff\xff\xff\xff{}").is_err());
/// ```
pub fn parse(file: &[u8]) -> Result<Vec<Entry>, String> {
    let (length, rest) = file.split_first_chunk::<8>().ok_or("it has no header")?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER || length > rest.len() as u64 {
        return Err(format!("its header claims {length} bytes"));
    }
    let (head, data) = rest.split_at(length as usize);
    let mut map: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(head).map_err(|error| format!("its header can't be read: {error}"))?;
    map.remove("__metadata__");
    let mut entries = Vec::with_capacity(map.len());
    for (name, value) in map {
        let entry: HeaderEntry =
            serde_json::from_value(value).map_err(|error| format!("tensor `{name}`: {error}"))?;
        let [start, end] = entry.data_offsets;
        if end > data.len() as u64 || end.checked_sub(start) != expected(&entry) {
            return Err(format!(
                "tensor `{name}` of {} and shape {:?} can't have the bytes from {start} to {end}",
                entry.dtype, entry.shape
            ));
        }
        let offset = 8 + head.len();
        let bytes = offset + start as usize..offset + end as usize;
        entries.push(Entry { name, dtype: entry.dtype, shape: entry.shape, bytes });
    }
    entries.sort_by_key(|entry| (entry.bytes.start, entry.bytes.end));
    let mut at = 8 + head.len();
    for entry in &entries {
        if entry.bytes.start != at {
            return Err(format!("the bytes of tensor `{}` don't follow those of the one before", entry.name));
        }
        at = entry.bytes.end;
    }
    if at != file.len() { Err("bytes at its end belong to no tensor".into()) } else { Ok(entries) }
}
