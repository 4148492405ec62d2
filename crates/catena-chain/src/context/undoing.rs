//! What callbacks put in place for a while: values in tensors, and calls that undo something.
use catena_tensor::panics::caught;
use catena_tensor::tch::Tensor;

use crate::context::Context;
use crate::error::Result;
use crate::event::Event;

impl Context {
    /// Puts values into tensors, such as the model's variables, until the running loader's last batch is done: before anybody hears
    /// `loader_end`, and after any error or panic, each tensor has its own value again. What several callbacks put into one tensor is
    /// taken out in the reverse order. A value is cast to its tensor's dtype. It is an error outside of loaders, and in a Train loader: a
    /// snapshot that is taken in its middle would hold these values and not the tensors' own.
    ///
    /// ```
    /// use catena_chain::tensor::model::Mode;
    /// use catena_chain::tensor::tch::Tensor;
    /// use catena_chain::drive::LoaderScope;
    /// use catena_chain::{Event, testing};
    ///
    /// let mut driver = testing::driver(vec![])?;
    /// driver.enter_loader(LoaderScope::new("valid", Mode::Eval, None));
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
        match &self.loader {
            None => {
                return Err("values can be put in for the time of a loader only, and none is running".into());
            }
            Some(loader) if loader.mode.is_train() => {
                return Err(format!(
                    "values can't be put in for the time of Train loader `{}`: a snapshot in its middle would not hold the tensors' own;                      put them in for one call with `with_values`",
                    loader.name
                )
                .into());
            }
            Some(_) => {}
        }
        self.undo.begin_values(Event::LoaderEnd);
        self.undo.put_in(values)
    }

    /// As [`Context::put_in`], for the time of one call, and anywhere.
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
        let (id, put_in) = self.begin_values(values);
        let called = put_in.and_then(|()| call(self));
        self.end_values(id).and(called)
    }

    /// Puts values in until [`Context::end_values`] is called with the number that this gives, also if it fails.
    pub(crate) fn begin_values(
        &mut self,
        values: impl IntoIterator<Item = (Tensor, Tensor)>,
    ) -> (u64, Result<()>) {
        let id = self.undo.begin_values(Event::RunEnd);
        (id, self.undo.put_in(values))
    }

    pub(crate) fn end_values(&mut self, id: u64) -> Result<()> {
        self.undo.place_of(id).map_or(Ok(()), |place| self.undo_layer(place))
    }

    /// Sees to it that something ends that a callback has begun, such as a mode of libtorch: `undo` is called once, before anybody hears the
    /// event `before`. If that does not come, it is called at the end of what the event is of (an event of a pass: before the next pass or
    /// `batch_end`; then `loader_end`, `epoch_end`, `stage_end`, `run_end`), and after any error or panic. Of several the last is undone
    /// first. Whoever needs it after a resume begins it again in [`Callback::on_resumed`](crate::Callback::on_resumed).
    ///
    /// ```
    /// use catena_chain::{Event, testing};
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// static FAST: AtomicBool = AtomicBool::new(false);
    ///
    /// let mut driver = testing::driver(vec![])?;
    /// FAST.store(true, Ordering::Relaxed);
    /// driver.context_mut().undo_before(Event::Backward, |_| Ok(FAST.store(false, Ordering::Relaxed)));
    /// driver.fire(Event::Loss)?;
    /// assert!(FAST.load(Ordering::Relaxed));
    /// driver.fire(Event::Backward)?;
    /// assert!(!FAST.load(Ordering::Relaxed));
    /// # Ok::<(), catena_chain::BoxError>(())
    /// ```
    pub fn undo_before(&mut self, before: Event, undo: impl FnOnce(&mut Self) -> Result<()> + 'static) {
        self.undo.call_before(before, Box::new(undo));
    }

    /// Ends what ends before an event.
    pub(crate) fn undo_at(&mut self, event: Event) -> Result<()> {
        if self.undo.is_empty() {
            return Ok(());
        }
        let is_end = matches!(
            event,
            Event::BatchEnd | Event::LoaderEnd | Event::EpochEnd | Event::StageEnd | Event::RunEnd
        );
        self.undo_while(|before| before == event || is_end && before < event)
    }

    /// Ends what a pass began.
    pub(crate) fn undo_pass(&mut self) -> Result<()> {
        self.undo_while(Event::is_of_pass)
    }

    /// Ends everything, of loaders that were put aside too.
    pub(crate) fn undo_everything(&mut self) -> Result<()> {
        self.undo.leave_loaders();
        self.undo_while(|_| true)
    }

    fn undo_while(&mut self, ends: impl Fn(Event) -> bool) -> Result<()> {
        let mut result = Ok(());
        while let Some(place) = self.undo.last(&ends) {
            result = result.and(self.undo_layer(place));
        }
        result
    }

    /// Ends one layer. One that fails keeps none of the others in place.
    fn undo_layer(&mut self, place: usize) -> Result<()> {
        match self.undo.remove(place)? {
            None => Ok(()),
            Some(call) => {
                caught(|| call(self)).unwrap_or_else(|message| Err(format!("it panicked: {message}").into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use catena_tensor::model::Mode;

    use super::*;
    use crate::driver::Driver;
    use crate::scope::LoaderScope;
    use crate::testing;

    fn number(tensor: &Tensor) -> f64 {
        f64::try_from(tensor).unwrap()
    }

    /// A driver in an Eval loader.
    fn evaluating() -> Driver {
        let mut driver = testing::driver(vec![]).unwrap();
        driver.enter_loader(LoaderScope::new("valid", Mode::Eval, None));
        driver
    }

    fn put(driver: &mut Driver, tensor: &Tensor, value: f64) {
        driver.context_mut().put_in([(tensor.shallow_clone(), Tensor::from_slice(&[value]))]).unwrap();
    }

    #[test]
    fn an_evaluation_in_the_middle_takes_out_its_own_and_leaves_the_loaders() {
        let mut driver = evaluating();
        let weight = Tensor::from_slice(&[1.0]);
        put(&mut driver, &weight, 2.0);
        driver.put_loader_aside();
        driver.enter_loader(LoaderScope::new("valid", Mode::Eval, None));
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
        let mut driver = evaluating();
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
        let mut driver = evaluating();
        let (weight, other) = (Tensor::from_slice(&[1.0]), Tensor::from_slice(&[1.0]));
        let two = Tensor::from_slice(&[7.0, 8.0]);
        let one = Tensor::from_slice(&[7.0]);
        let values = [(weight.shallow_clone(), one.shallow_clone()), (other.shallow_clone(), two)];
        driver.context_mut().with_values(values, |_| Ok(())).unwrap_err();
        assert_eq!((number(&weight), number(&other)), (1.0, 1.0));
        driver.enter_loader(LoaderScope::new("train", Mode::Train, None));
        let values = || [(weight.shallow_clone(), one.shallow_clone())];
        let error = driver.context_mut().put_in(values()).unwrap_err().to_string();
        assert!(error.starts_with("values can't be put in for the time of Train loader `train`"), "{error}");
        driver.leave_loader().unwrap();
        let error = driver.context_mut().put_in(values()).unwrap_err().to_string();
        assert_eq!(error, "values can be put in for the time of a loader only, and none is running");
    }

    /// Notes each call that undoes something.
    fn note(driver: &mut Driver, before: Event, name: &'static str, notes: &Arc<Mutex<Vec<&'static str>>>) {
        let notes = notes.clone();
        driver.context_mut().undo_before(before, move |_| {
            notes.lock().unwrap().push(name);
            Ok(())
        });
    }

    #[test]
    fn a_call_is_made_once_before_its_event_or_at_the_end_of_what_that_is_of() {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let taken = || std::mem::take(&mut *notes.lock().unwrap());
        let mut driver = evaluating();
        note(&mut driver, Event::StageEnd, "stage", &notes);
        note(&mut driver, Event::Backward, "backward", &notes);
        driver.fire(Event::Loss).unwrap();
        assert!(taken().is_empty());
        driver.fire(Event::Backward).unwrap();
        assert_eq!(taken(), ["backward"]);
        // a pass that is skipped has no backward
        note(&mut driver, Event::Backward, "of the pass before", &notes);
        driver.enter_pass(0).unwrap();
        assert_eq!(taken(), ["of the pass before"]);
        for (before, ends) in [
            (Event::Backward, Event::BatchEnd),
            (Event::BatchEnd, Event::LoaderEnd),
            (Event::Step, Event::EpochEnd),
            (Event::LoaderEnd, Event::EpochEnd),
        ] {
            note(&mut driver, before, "first", &notes);
            note(&mut driver, before, "second", &notes);
            driver.fire(Event::BatchStart).unwrap();
            assert!(taken().is_empty());
            driver.fire(ends).unwrap();
            assert_eq!(taken(), ["second", "first"], "{before} at {ends}");
        }
        driver.fire(Event::StageEnd).unwrap();
        assert_eq!(taken(), ["stage"]);
        note(&mut driver, Event::RunEnd, "run", &notes);
        driver.fire_exception(&std::io::Error::other("no"));
        assert_eq!(taken(), ["run"]);
    }

    #[test]
    fn what_holds_longer_stays_above_what_ends_first() {
        let mut driver = evaluating();
        let weight = Tensor::from_slice(&[1.0]);
        let value = |value: f64| [(weight.detach(), Tensor::from_slice(&[value]))];
        driver.context_mut().undo.begin_values(Event::BatchEnd);
        driver.context_mut().undo.put_in(value(2.0)).unwrap();
        put(&mut driver, &weight, 3.0);
        driver.fire(Event::BatchEnd).unwrap();
        assert_eq!(number(&weight), 3.0);
        driver.fire(Event::LoaderEnd).unwrap();
        assert_eq!(number(&weight), 1.0);
    }

    #[test]
    fn a_call_that_fails_or_panics_is_an_error_and_the_others_are_made() {
        for panics in [false, true] {
            let notes = Arc::new(Mutex::new(Vec::new()));
            let mut driver = evaluating();
            note(&mut driver, Event::BatchEnd, "first", &notes);
            driver.context_mut().undo_before(Event::BatchEnd, move |_| {
                assert!(!panics, "it panics");
                Err("it fails".into())
            });
            let error = driver.fire(Event::BatchEnd).unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains(if panics { "it panics" } else { "it fails" }), "{source}");
            driver.fire_exception(&error);
            assert_eq!(*notes.lock().unwrap(), ["first"], "panics: {panics}");
        }
    }
}
