//! Values that stand in tensors for a while, such as an average in the model's weights.
//!
//! They lie on a stack: whatever was put in last is taken out first, so a tensor has its own value again whoever put something into it,
//! and in whichever order.
use catena_tensor::native::tensor::copy_;
use catena_tensor::tch::{self, Tensor};

use crate::{Context, Result};

/// What was put in and not yet taken out.
#[derive(Debug, Default)]
pub(crate) struct PutIn {
    layers: Vec<Layer>,
    /// How many loaders have been put aside for an evaluation in their middle.
    level: usize,
}

/// What was put in at once: the tensors, and their own values.
#[derive(Debug)]
struct Layer {
    level: usize,
    own: Vec<(Tensor, Tensor)>,
}

impl PutIn {
    pub(crate) fn put_loader_aside(&mut self) {
        self.level += 1;
    }

    pub(crate) fn take_loader_back(&mut self) {
        self.level = self.level.saturating_sub(1);
    }

    /// Takes out what the running loader has been given.
    pub(crate) fn end_loader(&mut self) -> Result<()> {
        let first = self.layers.iter().position(|layer| layer.level >= self.level);
        self.take_out(first.unwrap_or(self.layers.len()))
    }

    /// Takes out everything.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.take_out(0)
    }

    pub(crate) fn len(&self) -> usize {
        self.layers.len()
    }

    /// Takes out the layers above the first `below`, the last first. One that fails keeps none of the others in.
    pub(crate) fn take_out(&mut self, below: usize) -> Result<()> {
        let mut result = Ok(());
        while self.layers.len() > below {
            for (tensor, own) in self.layers.pop().into_iter().flat_map(|layer| layer.own.into_iter().rev()) {
                result = result.and(fill(&tensor, &own));
            }
        }
        result
    }

    pub(crate) fn put_in(&mut self, values: impl IntoIterator<Item = (Tensor, Tensor)>) -> Result<()> {
        let at = self.layers.len();
        self.layers.push(Layer { level: self.level, own: Vec::new() });
        for (tensor, value) in values {
            let own = tensor.f_detach_copy()?;
            self.layers[at].own.push((tensor.shallow_clone(), own));
            fill(&tensor, &value)?;
        }
        Ok(())
    }
}

fn fill(tensor: &Tensor, value: &Tensor) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    Ok(copy_(&tensor.f_detach()?, value, false).map_err(catena_tensor::Error::from)?)
}

impl Context {
    /// Puts values into tensors, such as the model's variables, until the running loader's last batch is done: before anybody hears
    /// `loader_end`, and after any error or panic, each tensor has its own value again. What several callbacks put into one tensor is
    /// taken out in the reverse order. A value is cast to its tensor's dtype. Outside of loaders it is an error.
    ///
    /// ```
    /// use catena_chain::tensor::tch::Tensor;
    /// use catena_chain::{Event, testing};
    ///
    /// let mut driver = testing::driver(vec![])?; // in loader `train`
    /// let weight = Tensor::from_slice(&[1.0]);
    /// for value in [2.0, 3.0] {
    ///     driver.context_mut().put_in([(weight.shallow_clone(), Tensor::from_slice(&[value]))])?;
    /// }
    /// assert_eq!(f64::try_from(&weight)?, 3.0);
    /// driver.fire(Event::LoaderEnd)?;
    /// assert_eq!(f64::try_from(&weight)?, 1.0);
    /// # Ok::<(), catena_chain::BoxError>(())
    /// ```
    pub fn put_in(&mut self, values: impl IntoIterator<Item = (Tensor, Tensor)>) -> Result<()> {
        if self.loader.is_none() {
            return Err("values can be put in for the time of a loader only, and none is running".into());
        }
        self.put_in.put_in(values)
    }

    /// As [`Context::put_in`], for the time of one call, and anywhere. What is put in meanwhile is taken out too.
    ///
    /// ```
    /// use catena_chain::tensor::tch::Tensor;
    /// use catena_chain::testing;
    ///
    /// let mut driver = testing::driver(vec![])?;
    /// let weight = Tensor::from_slice(&[1.0]);
    /// let values = [(weight.shallow_clone(), Tensor::from_slice(&[2.0]))];
    /// let inside = driver.context_mut().with_values(values, |_| Ok(f64::try_from(&weight)?))?;
    /// assert_eq!((inside, f64::try_from(&weight)?), (2.0, 1.0));
    /// # Ok::<(), catena_chain::BoxError>(())
    /// ```
    pub fn with_values<T>(
        &mut self,
        values: impl IntoIterator<Item = (Tensor, Tensor)>,
        call: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let below = self.put_in.len();
        let called = self.put_in.put_in(values).and_then(|()| call(self));
        self.put_in.take_out(below).and(called)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Driver, Event, LoaderScope, testing};

    fn number(tensor: &Tensor) -> f64 {
        f64::try_from(tensor).unwrap()
    }

    fn put(driver: &mut Driver, tensor: &Tensor, value: f64) {
        driver.context_mut().put_in([(tensor.shallow_clone(), Tensor::from_slice(&[value]))]).unwrap();
    }

    #[test]
    fn an_evaluation_in_the_middle_takes_out_its_own_and_leaves_the_loaders() {
        let mut driver = testing::driver(vec![]).unwrap();
        let weight = Tensor::from_slice(&[1.0]);
        put(&mut driver, &weight, 2.0);
        driver.put_loader_aside();
        driver.enter_loader(LoaderScope::new("valid", catena_tensor::model::Mode::Eval, None));
        put(&mut driver, &weight, 3.0);
        put(&mut driver, &weight, 4.0);
        driver.fire(Event::LoaderEnd).unwrap();
        assert_eq!(number(&weight), 2.0);
        driver.leave_loader().unwrap();
        driver.take_loader_back();
        assert_eq!(number(&weight), 2.0);
        driver.fire(Event::LoaderEnd).unwrap();
        assert_eq!(number(&weight), 1.0);
    }

    #[test]
    fn an_error_a_panic_and_an_exception_take_everything_out() {
        let weight = Tensor::from_slice(&[1.0]);
        let values = || [(weight.shallow_clone(), Tensor::from_slice(&[9.0]))];
        let mut driver = testing::driver(vec![]).unwrap();
        let failed: Result<()> = driver.context_mut().with_values(values(), |_| Err("no".into()));
        assert_eq!((failed.unwrap_err().to_string(), number(&weight)), ("no".into(), 1.0));

        put(&mut driver, &weight, 5.0);
        let cx = driver.context_mut();
        let panics = || cx.with_values(values(), |_| -> Result<()> { panic!("no") });
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
        driver.fire_exception(&std::io::Error::other("no"));
        assert_eq!(number(&weight), 1.0);
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error_and_outside_of_loaders_every_value_is() {
        let mut driver = testing::driver(vec![]).unwrap();
        let (weight, other) = (Tensor::from_slice(&[1.0]), Tensor::from_slice(&[1.0]));
        let two = Tensor::from_slice(&[7.0, 8.0]);
        let one = Tensor::from_slice(&[7.0]);
        let values = [(weight.shallow_clone(), one.shallow_clone()), (other.shallow_clone(), two)];
        driver.context_mut().with_values(values, |_| Ok(())).unwrap_err();
        assert_eq!((number(&weight), number(&other)), (1.0, 1.0));
        driver.leave_loader().unwrap();
        let error = driver.context_mut().put_in([(weight, one)]).unwrap_err().to_string();
        assert_eq!(error, "values can be put in for the time of a loader only, and none is running");
    }
}
