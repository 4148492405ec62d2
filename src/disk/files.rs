//! Between tensors and a snapshot's files.
use std::collections::BTreeMap;

use catena_record::tensors::Entry;
use catena_record::{Snapshot, SnapshotName, TensorData, TensorFile};
use catena_tensor::bytes;
use catena_tensor::tch::Tensor;

use super::{Kept, Loaded, SavedState};
use crate::{Error, Result};

/// Copies the tensors into the buffer: from here on the run may change them. The buffer's memory is used again.
pub(super) fn stage(kept: Kept, name: SnapshotName, mut buffer: Vec<u8>) -> Result<Snapshot> {
    let Kept { state, files } = kept;
    let mut end = 0;
    let mut staged = Vec::new();
    for (name, mut tensors) in files {
        // larger numbers first: every tensor is aligned
        let size = |tensor: &Tensor| tensor.kind().elt_size_in_bytes();
        tensors.sort_by(|(a, x), (b, y)| size(y).cmp(&size(x)).then_with(|| a.cmp(b)));
        let mut entries = Vec::with_capacity(tensors.len());
        for (name, tensor) in &tensors {
            let start = end;
            end += bytes::len(tensor)?;
            let shape = tensor.size().into_iter().map(i64::unsigned_abs).collect();
            let dtype = bytes::dtype_name(tensor.f_kind()?)?.to_owned();
            entries.push(Entry { name: name.clone(), dtype, shape, bytes: start..end });
        }
        staged.push((TensorFile { name, tensors: entries }, tensors));
    }
    if buffer.len() < end {
        buffer.resize(end, 0);
    }
    let mut files = Vec::with_capacity(staged.len());
    for (file, tensors) in staged {
        for (entry, (_, tensor)) in file.tensors.iter().zip(&tensors) {
            bytes::copy_into(tensor, &mut buffer[entry.bytes.clone()])?;
        }
        files.push(file);
    }
    let json = serde_json::to_vec_pretty(&state);
    let json =
        json.map_err(|error| Error::Build(format!("the state of the run can't be written: {error}")))?;
    let SavedState { time, why, stage_name: stage, measured, .. } = state;
    Ok(Snapshot { name, stage, time, why, measured, state: json, files, buffer })
}

/// The tensor files of a snapshot that was read.
#[derive(Debug)]
pub(crate) struct Files(BTreeMap<String, TensorData>);

impl Files {
    /// A file's tensors, in the order of their names.
    pub(crate) fn take(&mut self, file: &str) -> Result<Vec<(String, Tensor)>> {
        let lost = || Error::Build(format!("the snapshot has no {file}"));
        let TensorData { tensors, bytes } = self.0.remove(file).ok_or_else(lost)?;
        let read = |entry: &Entry| -> Result<_> {
            let shape: Vec<i64> = entry.shape.iter().map(|n| n.cast_signed()).collect();
            let range = bytes.get(entry.bytes.clone()).unwrap_or_default();
            Ok((entry.name.clone(), bytes::tensor(&entry.dtype, &shape, range)?))
        };
        let mut tensors = tensors.iter().map(read).collect::<Result<Vec<_>>>()?;
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(tensors)
    }
}

/// What was read, as the runner needs it.
pub(super) fn read(loaded: catena_record::Loaded) -> Result<Loaded> {
    let catena_record::Loaded { path, manifest: _, state, files } = loaded;
    let name = path.file_name().unwrap_or_default().to_string_lossy().parse()?;
    let unreadable = |error| Error::Build(format!("{}: state.json can't be read: {error}", path.display()));
    Ok(Loaded { name, state: serde_json::from_value(state).map_err(unreadable)?, files: Files(files) })
}
