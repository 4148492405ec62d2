//! Looking draws nothing: what a callback that only looks draws from torch's generators is put back, or told.
use catena_tensor::rng::Generators;

use crate::{Context, Error, Event, Result};

/// Sees to it that a callback that only looks draws nothing from torch's generators that the run would draw.
pub(crate) enum Quiet {
    /// The callback acts, or nothing is looked at here.
    Free,
    /// Outside of batches what it draws is put back.
    PutBack(Generators),
    /// In a batch that would cost too much: a debug build looks whether it draws, in the first batches of each loader.
    Check(Generators),
}

/// In how many batches of a loader it is looked whether somebody draws.
const CHECKED: u64 = 2;

impl Quiet {
    /// Before a hook of a callback that acts, or only looks.
    pub(crate) fn before(event: Event, acts: bool, cx: &Context) -> Result<Self> {
        if acts {
            return Ok(Self::Free);
        }
        if !event.is_of_batch() {
            return Ok(Self::PutBack(Generators::keep()?));
        }
        match cfg!(debug_assertions) && cx.loader_batch() <= CHECKED {
            true => Ok(Self::Check(Generators::keep()?)),
            false => Ok(Self::Free),
        }
    }

    /// After the hook of the callback of this name.
    pub(crate) fn after(self, event: Event, name: &str) -> Result<()> {
        match self {
            Self::Free => Ok(()),
            Self::PutBack(generators) => Ok(generators.put_back()?),
            Self::Check(generators) => match generators.are_as_kept()? {
                true => Ok(()),
                false => Err(Error::OnlookerDraws { callback: name.to_owned(), event }.into()),
            },
        }
    }
}
