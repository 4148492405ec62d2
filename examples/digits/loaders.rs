//! The loaders: tensors in memory, or the same rows as a data set.
use catena::data::{Array, from_fn};
use catena::prelude::*;
use catena::rand_chacha::rand_core::Rng;
use catena::tch::Tensor;

use super::BoxError;
use super::data::Data;
use super::settings::{LoaderName, Settings};

type Boxed = Box<dyn Loader>;

/// To train and to validate.
pub(crate) fn loaders(data: &Data, settings: &Settings) -> Result<(Boxed, Boxed), BoxError> {
    let batch = settings.batch;
    let ((x, y), (valid_x, valid_y)) = (&data.train, &data.valid);
    Ok(match settings.loader {
        LoaderName::Memory => (
            Box::new(TensorLoader::new(x, y, batch)?.shuffle(true)),
            Box::new(TensorLoader::new(valid_x, valid_y, batch)?),
        ),
        LoaderName::Map => {
            let train = DataLoader::new(rows(x, y, settings.augment)?, batch).shuffle(true);
            let valid = DataLoader::new(rows(valid_x, valid_y, false)?, batch);
            (Box::new(train.workers(settings.workers)), Box::new(valid.workers(settings.workers)))
        }
    })
}

/// Rows as a data set, each shifted at random if asked for.
fn rows(x: &Tensor, y: &Tensor, augment: bool) -> Result<impl Dataset + 'static, BoxError> {
    let (width, labels) = (x.size()[1] as usize, Vec::<i64>::try_from(y)?);
    let pixels = Vec::<f32>::try_from(x.f_contiguous()?.f_view(-1)?)?;
    let side = width.isqrt();
    let rows = from_fn(labels.len() as u64, move |index, draws| {
        let row = &pixels[index as usize * width..][..width];
        let picture: Array = if augment {
            let mut numbers = draws.of("shift");
            let mut shift = || numbers.next_u32() as usize % 3;
            let (down, right) = (shift(), shift());
            let at = |place: usize| {
                let (i, j) = ((place / side + down).checked_sub(1), (place % side + right).checked_sub(1));
                let inside = i.zip(j).filter(|(i, j)| *i < side && *j < side);
                inside.map_or(0.0, |(i, j)| row[i * side + j])
            };
            (0..width).map(at).collect()
        } else {
            row.to_vec().into()
        };
        Ok(Sample::new().with("input", picture).with("target", labels[index as usize]))
    });
    Ok(rows.set("augment", augment))
}
