//! Batches from tensors that are in memory.
use std::collections::BTreeMap;

use tch::Tensor;

use super::{Loader, LoaderDescription, Start, order};
use crate::batch::{Batch, INPUT, NamedTensors, TARGET};
use crate::error::{BoxError, Error, Result};
use crate::hash::sha256;

/// Batches of rows of tensors that are in memory, in their order or shuffled anew each epoch.
///
/// The shuffled order is [`order::shuffled`]: a function of the seed, the stage and the epoch. Batches are on the device of the
/// tensors, and carry the rows' numbers as [`Batch::ids`]. A batch's memory is its own, shuffled or not: it may be changed in place,
/// and the tensors stay as they are. They are data: no gradient goes back to them.
///
/// ```
/// use catena_tensor::data::{Loader, Start, TensorLoader};
/// use tch::{Device, Kind, Tensor};
///
/// let x = Tensor::arange(10, (Kind::Float, Device::Cpu)).view([10, 1]);
/// let y = Tensor::arange(10, (Kind::Int64, Device::Cpu));
/// let mut loader = TensorLoader::new(&x, &y, 4)?.shuffle(true);
/// assert_eq!(loader.batches(), Some(3));
/// loader.start(Start { seed: 7, epoch: 1, ..Start::default() })?;
/// let mut ids = vec![];
/// while let Some(batch) = loader.next_batch()? {
///     ids.extend(batch.ids);
/// }
/// assert_eq!(ids.len(), 10);
/// assert_ne!(ids, (0..10).collect::<Vec<_>>());
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
///
/// A clone gives the same batches, and shares the tensors.
#[derive(Debug)]
pub struct TensorLoader {
    tensors: NamedTensors,
    rows: u64,
    batch_size: u64,
    shuffle: bool,
    drop_last: bool,
    pass: Pass,
    fingerprint: Option<String>,
}

/// Where in an epoch it is.
#[derive(Debug, Default)]
struct Pass {
    order: Option<(Vec<u64>, Tensor)>,
    next: u64,
    start: Start<'static>,
}

impl Clone for TensorLoader {
    fn clone(&self) -> Self {
        let Self { tensors, rows, batch_size, shuffle, drop_last, pass: _, fingerprint } = self;
        let tensors =
            tensors.entries.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        Self {
            tensors,
            rows: *rows,
            batch_size: *batch_size,
            shuffle: *shuffle,
            drop_last: *drop_last,
            pass: Pass::default(),
            fingerprint: fingerprint.clone(),
        }
    }
}

impl TensorLoader {
    /// Batches of `batch_size` rows named `input` and `target`, in order, the last one short. Both need as many rows.
    pub fn new(input: &Tensor, target: &Tensor, batch_size: u64) -> Result<Self> {
        Self::from_tensors([(INPUT, input.shallow_clone()), (TARGET, target.shallow_clone())], batch_size)
    }

    /// As [`TensorLoader::new`], with any tensors under any names. They are shared, not copied.
    pub fn from_tensors(tensors: impl Into<NamedTensors>, batch_size: u64) -> Result<Self> {
        let mut tensors = tensors.into();
        for tensor in tensors.tensors_mut() {
            *tensor = tensor.f_detach()?;
        }
        let setting = |name: &str, got: String, allowed: &str| Error::Setting {
            of: "TensorLoader".into(),
            name: name.into(),
            got,
            allowed: allowed.into(),
        };
        if batch_size == 0 {
            return Err(setting("batch_size", "0".into(), "at least 1"));
        }
        let mut rows = None;
        for (name, tensor) in tensors.iter() {
            let size = tensor.size();
            match (rows, size.first()) {
                (_, None) => {
                    let expected = "a loader needs rows, that is, a first dimension".into();
                    return Err(Error::Shape { what: format!("`{name}`"), got: size, expected });
                }
                (Some(rows), Some(own)) if rows != *own => {
                    let expected = format!("the tensors before it have {rows} rows, and all need as many");
                    return Err(Error::Shape { what: format!("`{name}`"), got: size, expected });
                }
                (_, Some(own)) => rows = Some(*own),
            }
        }
        let Some(rows) = rows else { return Err(setting("tensors", "empty".into(), "at least one tensor")) };
        let rows = rows.unsigned_abs();
        Ok(Self {
            tensors,
            rows,
            batch_size,
            shuffle: false,
            drop_last: false,
            pass: Pass::default(),
            fingerprint: None,
        })
    }

    /// Whether each epoch has an order of its own (default false).
    #[must_use]
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Whether a short last batch is left out (default false).
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// Adds a hash of the rows to what the loader says of itself, so that a run can't go on with other ones. All rows are read, once
    /// and now; tensors of another device are copied to the host for it.
    ///
    /// ```
    /// use catena_tensor::data::{Loader, TensorLoader};
    /// use tch::Tensor;
    ///
    /// let loader = |last: f64| {
    ///     TensorLoader::from_tensors([("input", Tensor::from_slice(&[0.5, last]))], 2)?.fingerprint()
    /// };
    /// assert_eq!(loader(1.0)?.describe(), loader(1.0)?.describe());
    /// assert_ne!(loader(1.0)?.describe(), loader(1.5)?.describe());
    /// # Ok::<(), catena_tensor::Error>(())
    /// ```
    pub fn fingerprint(mut self) -> Result<Self> {
        let tensors = self.tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()));
        self.fingerprint = Some(sha256(&tensors.collect::<Vec<_>>())?);
        Ok(self)
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl Loader for TensorLoader {
    fn batches(&self) -> Option<u64> {
        Some(if self.drop_last { self.rows / self.batch_size } else { self.rows.div_ceil(self.batch_size) })
    }

    fn start(&mut self, start: Start) -> Result<(), BoxError> {
        start.check()?;
        self.pass = Pass { order: None, next: start.batch, start: start.unplaced() };
        if self.shuffle {
            let order = order::shuffled(self.rows, start);
            let signed: Vec<i64> = order.iter().map(|id| id.cast_signed()).collect();
            let device = self.tensors.iter().next().map_or(tch::Device::Cpu, |(_, t)| t.device());
            self.pass.order = Some((order, Tensor::f_from_slice(&signed)?.f_to_device(device)?));
        }
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, BoxError> {
        let Pass { order, next, start } = &mut self.pass;
        let batches =
            if self.drop_last { self.rows / self.batch_size } else { self.rows.div_ceil(self.batch_size) };
        if *next >= batches {
            return Ok(None);
        }
        let begin = *next * self.batch_size;
        let share = start.share(self.batch_size.min(self.rows - begin));
        let (begin, end) = (begin + share.start, begin + share.end);
        *next += 1;
        let (at, length) = (begin.cast_signed(), (end - begin).cast_signed());
        let mut tensors = NamedTensors::new();
        let ids = match order {
            None => {
                for (name, tensor) in &self.tensors.entries {
                    // a view would let the batch be changed through the data, and the data through the batch
                    tensors.insert(name.clone(), tensor.f_narrow_copy(0, at, length)?);
                }
                (begin..end).collect()
            }
            Some((ids, rows)) => {
                let rows = rows.f_narrow(0, at, length)?;
                for (name, tensor) in &self.tensors.entries {
                    tensors.insert(name.clone(), tensor.f_index_select(0, &rows)?);
                }
                ids[begin as usize..end as usize].to_vec()
            }
        };
        Ok(Some(Batch { tensors, ids, occurrences: Vec::new(), weight: length as f64 }))
    }

    fn describe(&self) -> LoaderDescription {
        let Self { tensors, rows, batch_size, shuffle, drop_last, pass: _, fingerprint } = self;
        let rows_of = tensors.iter().map(|(name, tensor)| (name, row_of(tensor).unwrap_or_default()));
        let mut about = LoaderDescription::of::<Self>()
            .set("rows", rows)
            .set("tensors", rows_of.collect::<BTreeMap<_, _>>())
            .set("batch_size", batch_size)
            .set("shuffle", shuffle)
            .set("drop_last", drop_last);
        if *shuffle {
            about = about.set("order", order::VERSION);
        }
        match fingerprint {
            Some(fingerprint) => about.set("fingerprint", fingerprint),
            None => about,
        }
    }
}

/// What a row is: `Float [28, 28]`.
fn row_of(tensor: &Tensor) -> Result<String> {
    Ok(format!("{:?} {:?}", tensor.f_kind()?, &tensor.size()[1..]))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn loader(rows: i64, batch_size: u64) -> TensorLoader {
        let x = Tensor::arange(rows, (Kind::Int64, Device::Cpu));
        TensorLoader::from_tensors([("input", x)], batch_size).unwrap()
    }

    fn batches(loader: &mut TensorLoader, start: Start) -> Vec<Vec<i64>> {
        loader.start(start).unwrap();
        std::iter::from_fn(|| loader.next_batch().unwrap())
            .map(|batch| {
                let rows: Vec<i64> = batch.get("input").unwrap().try_into().unwrap();
                assert!(rows.iter().map(|&r| r as u64).eq(batch.ids), "ids name the rows");
                assert_eq!(batch.weight, rows.len() as f64);
                rows
            })
            .collect()
    }

    #[test]
    fn the_last_batch_is_short_or_left_out() {
        assert_eq!(batches(&mut loader(5, 2), Start::default()), [vec![0, 1], vec![2, 3], vec![4]]);
        let mut dropping = loader(5, 2).drop_last(true);
        assert_eq!(dropping.batches(), Some(2));
        assert_eq!(batches(&mut dropping, Start::default()), [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn starting_in_the_middle_gives_the_rest_of_the_same_epoch() {
        let mut loader = loader(11, 3).shuffle(true);
        let start = Start { seed: 3, stage: 1, epoch: 2, ..Start::default() };
        let whole = batches(&mut loader, start);
        assert_eq!(batches(&mut loader, Start { batch: 2, ..start }), whole[2..]);
    }

    #[test]
    fn a_batch_that_is_changed_in_place_leaves_the_data_as_it_is_and_has_one_layout_shuffled_or_not() {
        for (shuffle, batch_size) in [(false, 2), (true, 2), (false, 4), (true, 4)] {
            // laid out by columns, and of the whole data or a part of it
            let x = Tensor::full([3, 4], 255.0, (Kind::Float, Device::Cpu)).tr();
            let ids = Tensor::arange(4, (Kind::Int64, Device::Cpu));
            let data = [("input", x.shallow_clone()), ("ids", ids.shallow_clone())];
            let mut loader = TensorLoader::from_tensors(data, batch_size).unwrap().shuffle(shuffle);
            for epoch in 1..3 {
                loader.start(Start { epoch, ..Start::default() }).unwrap();
                while let Some(mut batch) = loader.next_batch().unwrap() {
                    assert_eq!(batch.get("input").unwrap().double_value(&[0, 0]), 255.0);
                    assert!(batch.get("input").unwrap().is_contiguous());
                    batch.tensors.tensors_mut().for_each(|tensor| drop(tensor.zero_()));
                }
            }
            assert_eq!(x.min().double_value(&[]), 255.0);
            assert_eq!(Vec::<i64>::try_from(ids).unwrap(), [0, 1, 2, 3]);
        }
    }

    #[test]
    fn data_that_requires_gradients_is_detached() {
        for shuffle in [false, true] {
            let x = Tensor::ones([4, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
            let data = [("input", x.shallow_clone()), ("computed", &x * 2.0)];
            let mut loader = TensorLoader::from_tensors(data, 2).unwrap().shuffle(shuffle);
            loader.start(Start::default()).unwrap();
            let batch = loader.next_batch().unwrap().unwrap();
            assert!(batch.tensors.iter().all(|(_, tensor)| !tensor.requires_grad()));
            assert!(x.requires_grad(), "the user's own tensor stays as it is");
        }
    }

    #[test]
    fn rows_that_do_not_match_are_named() {
        let (x, y) = (
            Tensor::zeros([3, 2], (Kind::Float, Device::Cpu)),
            Tensor::zeros([4], (Kind::Int64, Device::Cpu)),
        );
        let text = TensorLoader::new(&x, &y, 2).unwrap_err().to_string();
        assert_eq!(
            text,
            "`target` of shape [4] doesn't fit: the tensors before it have 3 rows, and all need as many"
        );
    }

    #[test]
    fn the_ranks_have_the_shares_of_each_batch_and_a_second_loader_has_an_order_of_its_own() {
        let start = Start { seed: 3, epoch: 1, ..Start::default() };
        let whole = batches(&mut loader(11, 4).shuffle(true), start);
        assert_ne!(batches(&mut loader(11, 4).shuffle(true), Start { loader: 1, ..start }), whole);
        for world in [1, 2, 3, 5] {
            let of = |rank| batches(&mut loader(11, 4).shuffle(true).clone(), Start { rank, world, ..start });
            let shares: Vec<_> = (0..world).map(of).collect();
            let union: Vec<Vec<i64>> =
                (0..3).map(|batch| shares.iter().flat_map(|share| share[batch].clone()).collect()).collect();
            assert_eq!(union, whole, "{world} ranks");
        }
        assert!(loader(11, 4).start(Start { rank: 2, world: 2, ..start }).is_err());
    }

    #[test]
    fn a_limited_loader_gives_the_first_batches_and_goes_on_where_it_should() {
        let mut limited = loader(10, 2).limit(3);
        assert_eq!(limited.batches(), Some(3));
        limited.start(Start { batch: 2, ..Start::default() }).unwrap();
        assert_eq!(limited.next_batch().unwrap().unwrap().ids, [4, 5]);
        assert!(limited.next_batch().unwrap().is_none());
    }
}
