//! What holds for a while, such as an average in the model's weights or autocast, and how it ends.
//!
//! It lies on a stack, each piece with the event before which it ends. Whoever put something in place, and in whichever order: a tensor has its
//! own value again, and a call that undoes something runs once, on every way out: an end, a stop, an interruption, an error, a panic.

use catena_tensor::native::tensor::copy_;
use catena_tensor::tch::{self, Tensor};

use crate::error::Result;
use crate::event::Event;

/// What holds for a while and has not ended yet; calls that undo something are handed a `C`.
pub(crate) struct Undo<C> {
    layers: Vec<Layer<C>>,
    /// How many layers there have been.
    made: u64,
    /// How many loaders have been put aside for an evaluation in their middle.
    level: usize,
}

/// What was put in place at once.
struct Layer<C> {
    id: u64,
    level: usize,
    /// The event before which it ends.
    before: Event,
    what: What<C>,
}

/// What is called to undo something.
pub(crate) type Call<C> = Box<dyn FnOnce(&mut C) -> Result<()>>;

enum What<C> {
    /// The tensors that hold other values, and their own.
    Values(Vec<(Tensor, Tensor)>),
    /// What undoes it.
    Call(Call<C>),
}

impl<C> Default for Undo<C> {
    fn default() -> Self {
        Self { layers: Vec::new(), made: 0, level: 0 }
    }
}

impl<C> Undo<C> {
    pub(crate) fn put_loader_aside(&mut self) {
        self.level += 1;
    }

    pub(crate) fn take_loader_back(&mut self) {
        self.level = self.level.saturating_sub(1);
    }

    /// Loaders that were put aside are not taken back.
    pub(crate) fn leave_loaders(&mut self) {
        self.level = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Calls this before an event.
    pub(crate) fn call_before(&mut self, event: Event, call: Call<C>) {
        self.begin(event, What::Call(call));
    }

    /// Begins a layer of values that ends before an event, and gives its number: [`Undo::put_in`] puts them in.
    pub(crate) fn begin_values(&mut self, before: Event) -> u64 {
        self.begin(before, What::Values(Vec::new()))
    }

    fn begin(&mut self, before: Event, what: What<C>) -> u64 {
        self.made += 1;
        self.layers.push(Layer { id: self.made, level: self.level, before, what });
        self.made
    }

    /// Puts values in as a part of the newest layer.
    pub(crate) fn put_in(&mut self, values: impl IntoIterator<Item = (Tensor, Tensor)>) -> Result<()> {
        for (tensor, value) in values {
            let own = tensor.f_detach_copy()?;
            if let Some(What::Values(held)) = self.layers.last_mut().map(|layer| &mut layer.what) {
                held.push((tensor.shallow_clone(), own));
            }
            fill(&tensor, &value)?;
        }
        Ok(())
    }

    /// The place of the layer of this number, if it has not ended.
    pub(crate) fn place_of(&self, id: u64) -> Option<usize> {
        self.layers.iter().position(|layer| layer.id == id)
    }

    /// The last layer of the running loader, or of none, that ends by a rule on its event.
    pub(crate) fn last(&self, ends: impl Fn(Event) -> bool) -> Option<usize> {
        self.layers.iter().rposition(|layer| layer.level >= self.level && ends(layer.before))
    }

    /// Removes the layer at a place: tensors have their own values again; a call is given to be made.
    pub(crate) fn remove(&mut self, place: usize) -> Result<Option<Call<C>>> {
        match self.layers.remove(place).what {
            What::Values(values) => self.put_back(place, values).map(|()| None),
            What::Call(call) => Ok(Some(call)),
        }
    }

    /// Gives the tensors of a layer that was removed from this place their own values. Where a layer above holds a tensor too, its values stay,
    /// and what it will give back is the own value.
    fn put_back(&mut self, place: usize, values: Vec<(Tensor, Tensor)>) -> Result<()> {
        let mut result = Ok(());
        for (tensor, own) in values.into_iter().rev() {
            let above = self.layers[place..].iter_mut().find_map(|layer| match &mut layer.what {
                What::Values(held) => held.iter_mut().find(|(other, _)| is_same(other, &tensor)),
                What::Call(_) => None,
            });
            match above {
                Some((_, given_back)) => *given_back = own,
                None => result = result.and(fill(&tensor, &own)),
            }
        }
        result
    }
}

/// Whether both are of the same memory in the same form, such as a tensor and its `detach()`.
fn is_same(one: &Tensor, other: &Tensor) -> bool {
    one.f_is_set_to(other).unwrap_or(false)
}

fn fill(tensor: &Tensor, value: &Tensor) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    Ok(copy_(&tensor.f_detach()?, value, false).map_err(catena_tensor::Error::from)?)
}
