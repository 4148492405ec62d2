//! `catena ckpt diff`: the first tensor in which two snapshots differ, and by how much.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use catena_record::tensors::Entry;
use catena_record::{Loaded, TensorData};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Result};
use crate::number::{self, Difference, Number};
use crate::report::{self, Report, count};
use crate::snapshots::{self, Run};

/// Compare the tensors of two checkpoints, bit by bit.
///
/// A and B are names, batch numbers (the last of that batch) or paths. Exit status 1 when a tensor differs, or a checkpoint is damaged.
#[derive(Args)]
#[command(override_usage = "catena ckpt diff [OPTIONS] RUN A B\n       catena ckpt diff [OPTIONS] PATH PATH")]
pub(crate) struct Diff {
    /// A run directory and two of its checkpoints, or the paths of two checkpoints.
    #[arg(num_args = 2..=3, required = true, value_names = ["RUN", "A", "B"])]
    which: Vec<PathBuf>,
}

/// How a tensor differs.
enum How {
    OnlyInA,
    OnlyInB,
    Dtype(String, String),
    Shape(Vec<u64>, Vec<u64>),
    Values(Difference, Vec<u64>),
}

/// How many of the tensors that differ the text names.
const NAMED: usize = 10;

impl Diff {
    pub(crate) fn run(self) -> Result<Report> {
        let [a, b] = self.paths()?;
        let (a, b) = (snapshots::load(&a)?, snapshots::load(&b)?);
        let (total, differences) = compare(&a, &b);
        let row =
            |(file, name, how): &(&str, &str, How)| [file.to_string(), name.to_string(), how.to_string()];
        let text = match differences.first() {
            None => format!("All {} are equal.\n", count(total, "tensor")),
            Some((file, name, how)) => {
                let mut text = format!("The first tensor that differs is `{name}` in {file}: {how}.\n");
                text += &format!("{} of {} differ.\n\n", differences.len(), count(total, "tensor"));
                text +=
                    &report::table(["file", "tensor", "difference"], differences.iter().take(NAMED).map(row));
                match differences.len().saturating_sub(NAMED) {
                    0 => text,
                    more => text + &format!("… and {more} more; --json names all.\n"),
                }
            }
        };
        let json_of = |(file, name, how): &(&str, &str, How)| {
            let mut map = Map::from_iter([("file".into(), json!(file)), ("tensor".into(), json!(name))]);
            map.extend(how.json());
            Value::Object(map)
        };
        let json = json!({
            "a": a.path.display().to_string(),
            "b": b.path.display().to_string(),
            "equal": differences.is_empty(),
            "tensors": total,
            "differences": differences.iter().map(json_of).collect::<Vec<_>>(),
        });
        Ok(Report { text, json, good: differences.is_empty() })
    }

    fn paths(&self) -> Result<[PathBuf; 2]> {
        match self.which.as_slice() {
            [a, b] => Ok([a.clone(), b.clone()]),
            [run, names @ ..] => {
                let run = Run::open(run)?;
                let find = |name: &PathBuf| run.find(Some(&name.to_string_lossy()));
                match names {
                    [a, b] => Ok([find(a)?, find(b)?]),
                    _ => Err(Failure::Usage("give a run directory and two of its checkpoints".into())),
                }
            }
            [] => Err(Failure::Usage("give two checkpoints".into())),
        }
    }
}

/// How many tensors there are in one or the other, and those that differ: the model's first, in the order of A's files.
fn compare<'a>(a: &'a Loaded, b: &'a Loaded) -> (usize, Vec<(&'a str, &'a str, How)>) {
    let mut files: Vec<&String> = a.files.keys().chain(b.files.keys()).collect();
    files.sort_unstable_by_key(|file| (*file != "model.safetensors", *file));
    files.dedup();
    let (mut total, mut differences) = (0, Vec::new());
    for file in files {
        let (a, b) = (tensors(a, file), tensors(b, file));
        let in_a: BTreeSet<&str> = a.iter().map(|(entry, _)| entry.name.as_str()).collect();
        let in_b: BTreeMap<&str, Tensor> = b.iter().map(|tensor| (tensor.0.name.as_str(), *tensor)).collect();
        for (entry, bytes) in &a {
            let how = match in_b.get(entry.name.as_str()) {
                None => Some(How::OnlyInA),
                Some(other) => tensor_difference((entry, bytes), *other),
            };
            differences.extend(how.map(|how| (file.as_str(), entry.name.as_str(), how)));
        }
        let only_in_b: Vec<&str> =
            b.iter().map(|(e, _)| e.name.as_str()).filter(|n| !in_a.contains(n)).collect();
        total += a.len() + only_in_b.len();
        differences.extend(only_in_b.into_iter().map(|name| (file.as_str(), name, How::OnlyInB)));
    }
    (total, differences)
}

/// A tensor and its bytes.
type Tensor<'a> = (&'a Entry, &'a [u8]);

fn tensor_difference((a, a_bytes): Tensor, (b, b_bytes): Tensor) -> Option<How> {
    if a.dtype != b.dtype {
        return Some(How::Dtype(a.dtype.clone(), b.dtype.clone()));
    }
    if a.shape != b.shape {
        return Some(How::Shape(a.shape.clone(), b.shape.clone()));
    }
    Some(How::Values(number::compare(&a.dtype, a_bytes, b_bytes)?, a.shape.clone()))
}

/// The tensors of a file, in the order of their bytes; none if there is no such file.
fn tensors<'a>(loaded: &'a Loaded, file: &str) -> Vec<Tensor<'a>> {
    let Some(TensorData { tensors, bytes }) = loaded.files.get(file) else { return Vec::new() };
    tensors.iter().map(|entry| (entry, bytes.get(entry.bytes.clone()).unwrap_or_default())).collect()
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyInA => write!(f, "only in A"),
            Self::OnlyInB => write!(f, "only in B"),
            Self::Dtype(a, b) => write!(f, "dtype {a} against {b}"),
            Self::Shape(a, b) => write!(f, "shape {a:?} against {b:?}"),
            Self::Values(Difference { count, largest }, shape) => {
                write!(f, "{count} of {} numbers differ", shape.iter().product::<u64>())?;
                let Some((i, a, b, distance)) = largest else { return Ok(()) };
                write!(f, ", by at most {distance}: {a} against {b}")?;
                if shape.is_empty() { Ok(()) } else { write!(f, " at {:?}", position(*i, shape)) }
            }
        }
    }
}

impl How {
    fn json(&self) -> Vec<(String, Value)> {
        let kind = |kind: &str| ("kind".to_owned(), json!(kind));
        let pair = |a: Value, b: Value| [("a".to_owned(), a), ("b".to_owned(), b)];
        let mut entries = Vec::new();
        match self {
            Self::OnlyInA => entries.push(kind("only_in_a")),
            Self::OnlyInB => entries.push(kind("only_in_b")),
            Self::Dtype(a, b) => {
                entries.push(kind("dtype"));
                entries.extend(pair(json!(a), json!(b)));
            }
            Self::Shape(a, b) => {
                entries.push(kind("shape"));
                entries.extend(pair(json!(a), json!(b)));
            }
            Self::Values(Difference { count, largest }, shape) => {
                entries.extend([kind("values"), ("count".into(), json!(count))]);
                if let Some((i, a, b, distance)) = largest {
                    entries.extend(pair(Number::json(*a), Number::json(*b)));
                    entries.push(("largest".into(), distance.json()));
                    entries.push(("at".into(), json!(position(*i, shape))));
                }
            }
        }
        entries
    }
}

/// The indices of a place in row-major order.
fn position(mut i: usize, shape: &[u64]) -> Vec<u64> {
    let mut indices: Vec<u64> = Vec::with_capacity(shape.len());
    for size in shape.iter().rev() {
        let size = usize::try_from(*size).unwrap_or(usize::MAX).max(1);
        indices.push((i % size) as u64);
        i /= size;
    }
    indices.reverse();
    indices
}
