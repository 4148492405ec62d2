//! Making a batch: what a thread does, without libtorch.
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use catena_tensor::BoxError;
use catena_tensor::batch::{Batch, NamedTensors};
use catena_tensor::bytes::take_over;
use catena_tensor::data::{SampleError, Start};
use catena_tensor::panics::caught;
use tch::Kind;

use crate::Result;
use crate::array::Array;
use crate::collate::{Collate, How};
use crate::dataset::Dataset;
use crate::draws::Draws;
use crate::order::Epoch;
use crate::sample::Sample;
use crate::slot::{Field, Slot, fields_of};

/// Where samples come from, and how they are joined.
pub(super) struct Source {
    pub(super) dataset: Arc<dyn Dataset>,
    pub(super) collate: Collate,
    pub(super) skips: bool,
    /// What arrays the samples have, as far as is known: then they are written straight into the batch.
    pub(super) fields: Mutex<Option<Arc<Vec<Field>>>>,
}

/// A batch that is being made, in chunks.
pub(super) struct Job {
    source: Arc<Source>,
    epoch: Arc<dyn Epoch>,
    start: Start<'static>,
    positions: Range<u64>,
    /// Where the batch of all ranks begins.
    whole_begin: u64,
    fields: Option<Arc<Vec<Field>>>,
    pub(super) chunks: usize,
    state: Mutex<State>,
}

struct State {
    memory: Vec<Option<Vec<BytesMut>>>,
    parts: Vec<Option<Part>>,
    missing: usize,
    outcome: Option<Outcome>,
}

/// A batch as plain memory, or what went wrong, and what was left out.
pub(super) struct Outcome {
    pub(super) made: Result<Made>,
    pub(super) skipped: Vec<SampleError>,
}

pub(super) struct Made {
    pub(super) arrays: Vec<Raw>,
    pub(super) drawn: Vec<(u64, u32)>,
    pub(super) weight: f64,
}

pub(super) struct Raw {
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

struct Part {
    drawn: Vec<(u64, u32)>,
    content: Content,
    skipped: Vec<SampleError>,
    failed: Option<SampleError>,
}

enum Content {
    Written(Vec<BytesMut>),
    Samples(Vec<Sample>),
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Job {
    pub(super) fn new(
        source: &Arc<Source>,
        epoch: &Arc<dyn Epoch>,
        start: Start<'static>,
        whole: Range<u64>,
        workers: usize,
    ) -> Self {
        let share = start.share(whole.end - whole.start);
        let positions = whole.start + share.start..whole.start + share.end;
        let rows = (positions.end - positions.start) as usize;
        let chunks = rows.min(workers).max(1);
        let fields = locked(&source.fields).clone();
        let mut memory: Vec<Option<Vec<BytesMut>>> = (0..chunks).map(|_| None).collect();
        if let Some(fields) = &fields {
            let mut whole: Vec<_> =
                fields.iter().map(|field| BytesMut::zeroed(rows * field.bytes())).collect();
            for (chunk, place) in memory.iter_mut().enumerate() {
                let rows = rows * (chunk + 1) / chunks - rows * chunk / chunks;
                let own = whole.iter_mut().zip(fields.iter());
                *place = Some(own.map(|(bytes, field)| bytes.split_to(rows * field.bytes())).collect());
            }
        }
        let parts = (0..chunks).map(|_| None).collect();
        let state = Mutex::new(State { memory, parts, missing: chunks, outcome: None });
        Self {
            source: source.clone(),
            epoch: epoch.clone(),
            start,
            positions,
            whole_begin: whole.start,
            fields,
            chunks,
            state,
        }
    }

    /// What came of it, once it is done.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        locked(&self.state).outcome.take()
    }

    /// Makes a chunk, and the batch if it is the last one; true if so. `note` hears which sample is being made.
    pub(super) fn run(&self, chunk: usize, note: &dyn Fn(Option<u64>)) -> bool {
        let memory = locked(&self.state).memory.get_mut(chunk).and_then(Option::take);
        let part = self.part(chunk, memory, note);
        let parts = {
            let mut state = locked(&self.state);
            state.parts[chunk] = Some(part);
            state.missing -= 1;
            if state.missing > 0 {
                return false;
            }
            std::mem::take(&mut state.parts)
        };
        let outcome = self.joined(parts.into_iter().flatten().collect());
        locked(&self.state).outcome = Some(outcome);
        true
    }

    fn part(&self, chunk: usize, memory: Option<Vec<BytesMut>>, note: &dyn Fn(Option<u64>)) -> Part {
        let rows = self.positions.end - self.positions.start;
        let at = |chunk: usize| self.positions.start + rows * chunk as u64 / self.chunks as u64;
        let content = memory.map_or(Content::Samples(Vec::new()), Content::Written);
        let mut part = Part { drawn: Vec::new(), content, skipped: Vec::new(), failed: None };
        for position in at(chunk)..at(chunk + 1) {
            let (sample, occurrence) = match caught(|| self.epoch.at(position)) {
                Ok(drawn) => drawn,
                Err(message) => {
                    let what = format!("the order panicked at position {position}: {message}");
                    part.failed = Some(SampleError { sample: position, origin: None, what, source: None });
                    break;
                }
            };
            note(Some(sample));
            let given = self.give(sample, occurrence, &mut part);
            note(None);
            match given {
                Ok(()) => part.drawn.push((sample, occurrence)),
                Err(error) if self.source.skips => {
                    self.unwritten(&mut part);
                    part.skipped.push(error);
                }
                Err(error) => {
                    part.failed = Some(error);
                    break;
                }
            }
        }
        part
    }

    /// Adds a sample to a part.
    fn give(&self, sample: u64, occurrence: u32, part: &mut Part) -> Result<(), SampleError> {
        let dataset = &*self.source.dataset;
        let failed = |what: String, source: Option<BoxError>| {
            let origin = caught(|| dataset.origin(sample)).ok().flatten();
            SampleError { sample, origin, what, source }
        };
        let draws = || Draws::new(self.start, sample, occurrence);
        let row = part.drawn.len();
        let answer = caught(|| -> Result<Option<Sample>> {
            if let (Content::Written(memory), Some(fields)) = (&mut part.content, &self.fields)
                && dataset.write(sample, &mut draws(), &mut slot(memory, fields, row))?
            {
                return Ok(None);
            }
            dataset.get(sample, &mut draws()).map(Some)
        });
        let given = match answer {
            Ok(Ok(given)) => given,
            Ok(Err(error)) => {
                // the text of a user's error is made by his code, too
                return Err(match caught(|| error.to_string()) {
                    Ok(what) => failed(what, Some(error)),
                    Err(message) => failed(format!("an error whose text panicked: {message}"), None),
                });
            }
            Err(message) => return Err(failed(format!("panicked: {message}"), None)),
        };
        let Some(given) = given else { return Ok(()) };
        if let (Content::Written(memory), Some(fields)) = (&mut part.content, &self.fields)
            && slot(memory, fields, row).take(&given)
        {
            return Ok(());
        }
        self.unwritten(part);
        if let Content::Samples(samples) = &mut part.content {
            samples.push(given);
        }
        Ok(())
    }

    /// Takes what was written out of the batch's memory again, for a sample that has no place there.
    fn unwritten(&self, part: &mut Part) {
        if let (Content::Written(memory), Some(fields)) = (&part.content, &self.fields) {
            part.content = Content::Samples(samples_of(memory, fields, part.drawn.len()));
        }
    }

    fn joined(&self, mut parts: Vec<Part>) -> Outcome {
        let failed = parts.iter_mut().find_map(|part| part.failed.take());
        let skipped: Vec<_> = parts.iter_mut().flat_map(|part| std::mem::take(&mut part.skipped)).collect();
        if let Some(error) = failed {
            return Outcome { made: Err(error.into()), skipped };
        }
        let drawn: Vec<_> = parts.iter_mut().flat_map(|part| std::mem::take(&mut part.drawn)).collect();
        let Some(last) = skipped.last().filter(|_| drawn.is_empty()) else {
            let contents = parts.into_iter().map(|part| part.content).collect();
            let made = caught(|| self.collated(contents, drawn));
            let made =
                made.unwrap_or_else(|message| Err(format!("the collation panicked: {message}").into()));
            return Outcome { made, skipped };
        };
        let error = format!("no sample of the batch could be made; the last: {last}");
        Outcome { made: Err(error.into()), skipped }
    }

    fn collated(&self, contents: Vec<Content>, drawn: Vec<(u64, u32)>) -> Result<Made> {
        let rows = drawn.len();
        let are_written = contents.iter().all(|content| matches!(content, Content::Written(_)));
        if let (true, Some(fields)) = (are_written, &self.fields) {
            let mut whole: Vec<BytesMut> = fields.iter().map(|_| BytesMut::new()).collect();
            for content in contents {
                let Content::Written(memory) = content else { continue };
                for (all, own) in whole.iter_mut().zip(memory) {
                    all.unsplit(own);
                }
            }
            let raw = |(bytes, field): (BytesMut, &Field)| Raw {
                name: field.name.clone(),
                kind: field.kind,
                shape: with_rows(rows, &field.shape),
                bytes: bytes.into(),
            };
            let arrays = whole.into_iter().zip(fields.iter()).map(raw).collect();
            return Ok(Made { arrays, drawn, weight: rows as f64 });
        }
        let mut samples = Vec::with_capacity(rows);
        for content in contents {
            match (content, &self.fields) {
                (Content::Samples(own), _) => samples.extend(own),
                (Content::Written(memory), Some(fields)) => {
                    // a part that was written whole has as many rows as its memory
                    let rows = self.rows_of(&memory, fields);
                    samples.extend(samples_of(&memory, fields, rows));
                }
                (Content::Written(_), None) => {}
            }
        }
        let template = if samples.is_empty() { Some(self.template()?) } else { None };
        let collated = self.source.collate.apply(&samples, template.as_ref())?;
        if let (How::Stack, Some(sample)) = (&self.source.collate.0, samples.first().or(template.as_ref())) {
            let fields = fields_of(sample);
            // what has no bytes can't be told apart by them
            let has_bytes = fields.iter().all(|field| field.bytes() > 0);
            *locked(&self.source.fields) = has_bytes.then(|| Arc::new(fields));
        }
        let raw = |(name, array): (&Cow<'static, str>, &Array)| Raw {
            name: name.clone(),
            kind: array.kind(),
            shape: array.shape().to_vec(),
            bytes: array.bytes().to_vec(),
        };
        let arrays = collated.arrays.entries().map(raw).collect();
        Ok(Made { arrays, drawn, weight: collated.weight.unwrap_or(rows as f64) })
    }

    fn rows_of(&self, memory: &[BytesMut], fields: &[Field]) -> usize {
        let bytes = memory.first().zip(fields.first());
        bytes.map_or(0, |(memory, field)| memory.len() / field.bytes().max(1))
    }

    /// A sample that tells the arrays of a share without samples.
    fn template(&self) -> Result<Sample> {
        let (sample, occurrence) = self.epoch.at(self.whole_begin);
        self.source.dataset.get(sample, &mut Draws::new(self.start, sample, occurrence))
    }
}

/// The batch of tensors, which take the memory over; made where libtorch is.
pub(super) fn batch(made: Made) -> Result<Batch> {
    let mut tensors = NamedTensors::new();
    for raw in made.arrays {
        let shape: Vec<i64> = raw.shape.iter().map(|size| *size as i64).collect();
        tensors.insert(raw.name, take_over(raw.bytes, raw.kind, &shape)?);
    }
    let ids = made.drawn.iter().map(|drawn| drawn.0).collect();
    let occurrences: Vec<u32> = made.drawn.iter().map(|drawn| drawn.1).collect();
    let occurrences = if occurrences.iter().all(|one| *one == 0) { Vec::new() } else { occurrences };
    Ok(Batch { tensors, ids, occurrences, weight: made.weight })
}

fn slot<'a>(memory: &'a mut [BytesMut], fields: &'a [Field], row: usize) -> Slot<'a> {
    let rows = memory.iter_mut().zip(fields).map(|(memory, field)| {
        let bytes = field.bytes();
        &mut memory[row * bytes..(row + 1) * bytes]
    });
    Slot::new(fields, rows.collect())
}

fn with_rows(rows: usize, shape: &[usize]) -> Vec<usize> {
    std::iter::once(rows).chain(shape.iter().copied()).collect()
}

fn samples_of(memory: &[BytesMut], fields: &[Field], rows: usize) -> Vec<Sample> {
    let sample = |row: usize| {
        let mut sample = Sample::new();
        for (memory, field) in memory.iter().zip(fields) {
            let bytes = &memory[row * field.bytes()..(row + 1) * field.bytes()];
            if let Ok(array) = Array::of_bytes(field.kind, bytes, field.shape.clone()) {
                sample.insert(field.name.clone(), array);
            }
        }
        sample
    };
    (0..rows).map(sample).collect()
}
