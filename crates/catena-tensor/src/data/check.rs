//! Whether a loader keeps its promises, for tests of loaders.
use super::{Loader, Position, Start};
use crate::batch::Batch;
use crate::error::{BoxError, Error, Result};

/// Checks what a loader promises, by which a stopped run goes on exactly: the same start gives the same batches, a start in the middle of an epoch gives those
/// that would have come then, each epoch has as many as [`Loader::batches`] says, and another seed or epoch gives as many. It goes over the data about
/// fifteen times, so a small set is enough. An error says what was promised and what came.
///
/// ```
/// use catena_tensor::data::{TensorLoader, check_loader};
/// use tch::Tensor;
///
/// let (x, y) = (Tensor::arange(10, (tch::Kind::Float, tch::Device::Cpu)), Tensor::arange(10, (tch::Kind::Int64, tch::Device::Cpu)));
/// check_loader(&mut TensorLoader::new(&x, &y, 4)?.shuffle(true))?;
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
pub fn check_loader(loader: &mut dyn Loader) -> Result<(), BoxError> {
    let start = Start { seed: 1, epoch: 1, ..Start::default() };
    let broken = |what: String| Err(Error::Loader(what).into());
    let whole = batches(loader, start)?;
    if let Some(said) = loader.batches_of(&start).filter(|said| *said != whole.len() as u64) {
        return broken(format!("it says {said} batches, but an epoch has {}", whole.len()));
    }
    let others = [Start { epoch: 2, ..start }, Start { seed: 2, ..start }, Start { stage: 1, ..start }];
    for other in others {
        let found = batches(loader, other)?.len() as u64;
        for said in [loader.batches(), loader.batches_of(&other)].into_iter().flatten() {
            if found != said {
                return broken(format!("it says {said} batches, but with {other:?} there are {found}"));
            }
        }
    }
    let places = (1..=whole.len()).rev().step_by(whole.len().div_ceil(8).max(1)).chain([0]);
    for done in places {
        let position = position_after(loader, start, done)?;
        let start = Start { batch: done as u64, position: position.as_ref(), ..start };
        let rest = batches(loader, start)?;
        let expected = &whole[done..];
        if rest.len() != expected.len() {
            return broken(format!(
                "a run that goes on after batch {done} of {} gets {} batches, not {}: `start` has to pass over `start.batch` of them",
                whole.len(),
                rest.len(),
                expected.len()
            ));
        }
        for (n, (now, before)) in rest.iter().zip(expected).enumerate() {
            if let Some(what) = difference(now, before)? {
                return broken(format!(
                    "a run that goes on after batch {done} gets another batch {}: {what}; what a batch has must be a function of seed, \
                     stage, epoch and its number",
                    done + n + 1
                ));
            }
        }
    }
    Ok(())
}

/// Where the loader says that it is after so many batches; it is left there.
fn position_after(loader: &mut dyn Loader, start: Start, done: usize) -> Result<Option<Position>, BoxError> {
    if done == 0 {
        return Ok(None);
    }
    loader.start(start)?;
    for _ in 0..done {
        loader.next_batch()?;
    }
    let position = loader.position();
    loader.leave();
    Ok(position)
}

fn batches(loader: &mut dyn Loader, start: Start) -> Result<Vec<Batch>, BoxError> {
    loader.start(start)?;
    let mut batches = Vec::new();
    while let Some(batch) = loader.next_batch()? {
        batches.push(batch);
    }
    Ok(batches)
}

/// How two batches differ.
fn difference(now: &Batch, before: &Batch) -> Result<Option<String>> {
    if now.weight.to_bits() != before.weight.to_bits() {
        return Ok(Some(format!("its weight is {}, and was {}", now.weight, before.weight)));
    }
    if now.occurrences != before.occurrences {
        return Ok(Some("its samples are other occurrences".into()));
    }
    if now.ids != before.ids {
        return Ok(Some(format!("its samples are {:?}, and were {:?}", now.ids, before.ids)));
    }
    let names = |batch: &Batch| batch.tensors.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    if names(now) != names(before) {
        return Ok(Some(format!("it has {:?}, and had {:?}", names(now), names(before))));
    }
    for ((name, now), (_, before)) in now.tensors.iter().zip(before.tensors.iter()) {
        let hash = |tensor: &tch::Tensor| crate::hash::sha256(&[(name.to_owned(), tensor.shallow_clone())]);
        let is_same =
            now.kind() == before.kind() && now.size() == before.size() && hash(now)? == hash(before)?;
        if !is_same {
            return Ok(Some(format!("`{name}` has other values")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::data::TensorLoader;

    /// Ten rows by four; what is wrong with it.
    struct Naive {
        said: Option<u64>,
        seeks: bool,
        draws: bool,
        at: i64,
    }

    impl Loader for Naive {
        fn batches(&self) -> Option<u64> {
            self.said
        }

        fn start(&mut self, start: Start) -> Result<(), BoxError> {
            self.at = if self.seeks { start.batch as i64 } else { 0 };
            Ok(())
        }

        fn next_batch(&mut self) -> Result<Option<Batch>, BoxError> {
            if self.at == 3 {
                return Ok(None);
            }
            self.at += 1;
            let x = Tensor::full([4], self.at as f64, (Kind::Float, Device::Cpu));
            let x = if self.draws { x + Tensor::rand([4], (Kind::Float, Device::Cpu)) } else { x };
            Ok(Some(Batch::new([("input", x)])))
        }
    }

    #[test]
    fn a_loader_that_breaks_its_promises_is_told_how() {
        let naive = || Naive { said: Some(3), seeks: true, draws: false, at: 0 };
        assert!(check_loader(&mut naive()).is_ok());
        assert!(check_loader(&mut Naive { said: None, ..naive() }).is_ok());
        let told = |mut loader: Naive| check_loader(&mut loader).unwrap_err().to_string();
        assert!(told(Naive { said: Some(4), ..naive() }).contains("it says 4 batches, but an epoch has 3"));
        let text = told(Naive { seeks: false, ..naive() });
        assert!(text.contains("goes on after batch 3 of 3 gets 3 batches, not 0"), "{text}");
        let text = told(Naive { draws: true, ..naive() });
        assert!(text.contains("`input` has other values"), "{text}");
        let x = Tensor::arange(10, (Kind::Float, Device::Cpu));
        for drop_last in [false, true] {
            let mut loader = TensorLoader::new(&x, &x, 4).unwrap().shuffle(true).drop_last(drop_last);
            check_loader(&mut loader).unwrap();
            check_loader(&mut loader.limit(2)).unwrap();
        }
    }
}
