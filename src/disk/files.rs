//! Between tensors and a snapshot's files.
use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use catena_record::float::{self, Words};
use catena_record::tensors::Entry;
use catena_record::{Snapshot, SnapshotName, TensorData, TensorFile};
use catena_tensor::bytes::{self, Bytes};
use catena_tensor::tch::Tensor;

use super::Loaded;
use super::pending::{PendingSnapshot, SavedState};
use crate::error::Error;
use crate::error::RunResult as Result;

/// Copies the tensors into the buffer: from here on the run may change them. The buffer's memory is used again.
pub(super) fn stage(kept: PendingSnapshot, name: SnapshotName, mut buffer: Vec<u8>) -> Result<Snapshot> {
    let stopped = kept.state.has_stopped();
    let PendingSnapshot { state, files, mut metadata } = kept;
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
        staged.push((
            TensorFile { metadata: metadata.remove(&name).unwrap_or_default(), name, tensors: entries },
            tensors,
        ));
    }
    if buffer.len() < end {
        drop(buffer); // what is in it need not be moved
        buffer = vec![0; end];
    }
    let (mut files, mut copies, mut rest) = (Vec::with_capacity(staged.len()), Vec::new(), &mut buffer[..]);
    for (file, tensors) in staged {
        for (entry, (_, tensor)) in file.tensors.iter().zip(tensors) {
            let (piece, after) = std::mem::take(&mut rest).split_at_mut(entry.bytes.len());
            copies.push((tensor, piece));
            rest = after;
        }
        files.push(file);
    }
    copy(copies, end)?;
    let json = serde_json::to_vec_pretty(&Words(&state));
    let json =
        json.map_err(|error| Error::Build(format!("the state of the run can't be written: {error}")))?;
    let SavedState { time, why, stage_name: stage, measured, callbacks, .. } = state;
    let logs = callbacks.into_iter().flat_map(|callback| callback.logs).collect();
    Ok(Snapshot { name, stage, time, why, measured, stopped, logs, state: json, files, buffer })
}

/// From how many bytes on more than one thread copies: one alone does not use the memory's whole bandwidth.
const PARALLEL: usize = 4 << 20;

fn copy(copies: Vec<(Tensor, &mut [u8])>, bytes: usize) -> Result<()> {
    let threads =
        if bytes < PARALLEL { 1 } else { thread::available_parallelism().map_or(1, NonZero::get).min(4) };
    let next = Mutex::new(copies.into_iter());
    let copy_some = || -> Result<()> {
        let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some((tensor, piece)) = take() {
            bytes::copy_into(&tensor, piece)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, copy_some).ok();
        let threads: Vec<_> = (1..threads).filter_map(start).collect();
        let mut copied = copy_some();
        for thread in threads {
            let panicked = |_| Err(Error::Build("a thread that copies tensors panicked".into()));
            copied = copied.and(thread.join().unwrap_or_else(panicked));
        }
        copied
    })
}

/// The tensor files of a snapshot that was read.
#[derive(Debug)]
pub(crate) struct Files(BTreeMap<String, TensorData>);

impl Files {
    /// A file's tensors, in the order of their names.
    pub(crate) fn take(&mut self, file: &str) -> Result<Vec<(String, Tensor)>> {
        let own = |(name, tensor): (String, Tensor)| Ok((name, tensor.f_detach_copy()?));
        self.lend(file)?.into_iter().map(own).collect()
    }

    /// As [`Files::take`], to copy from: they share the file's memory.
    pub(crate) fn lend(&mut self, file: &str) -> Result<Vec<(String, Tensor)>> {
        let lost = || Error::Build(format!("the snapshot has no {file}"));
        let TensorData { tensors, bytes } = self.0.remove(file).ok_or_else(lost)?;
        let bytes = Bytes::new(bytes)?;
        let read = |entry: Entry| -> Result<_> {
            let shape: Vec<i64> = entry.shape.iter().map(|n| n.cast_signed()).collect();
            Ok((entry.name, bytes.tensor(&entry.dtype, &shape, entry.bytes)?))
        };
        let mut tensors = tensors.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(tensors)
    }
}

/// What was read, as the runner needs it.
pub(super) fn read(loaded: catena_record::Loaded) -> Result<Loaded> {
    let catena_record::Loaded { path, manifest: _, state, files } = loaded;
    let name = path.file_name().unwrap_or_default().to_string_lossy().parse()?;
    let unreadable = |error| Error::Build(format!("{}: state.json can't be read: {error}", path.display()));
    Ok(Loaded { name, state: float::from_value(&state).map_err(unreadable)?, files: Files(files) })
}
