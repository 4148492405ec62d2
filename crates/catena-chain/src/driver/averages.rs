//! The model as evaluations see it, for a call after a run.
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use catena_tensor::model::{Mode, Model};

use crate::driver::Driver;
use crate::error::Error;
use crate::event::Event;
use crate::phase::Phase;
use crate::scope::LoaderScope;

impl Driver {
    /// Lets a call see the model as evaluations see it: with what callbacks of [`Phase::Average`] put in when an Eval loader starts. Nobody else hears
    /// that event; afterwards, also after a panic, the model has its own values again. The callbacks of the stage that was left last take part.
    ///
    /// ```
    /// use catena_chain::tensor::tch::Tensor;
    /// use catena_chain::{CallbackExt, Event, Flow, Phase, on, testing};
    ///
    /// let doubled = on(Event::LoaderStart, |cx| {
    ///     let bias = cx.model.var_store().variables()["fc.bias"].shallow_clone();
    ///     cx.put_in([(bias.shallow_clone(), bias.ones_like())])?;
    ///     Ok(Flow::GO)
    /// });
    /// let mut driver = testing::driver(vec![Box::new(doubled.in_phase(Phase::Average))])?;
    /// let bias = |vs: &catena_chain::tensor::tch::nn::VarStore| f64::try_from(vs.variables()["fc.bias"].sum(None)).unwrap();
    /// let before = bias(driver.context().model.var_store());
    /// assert_eq!(driver.with_averages(|model| bias(model.var_store()))?, 3.0);
    /// assert_eq!(bias(driver.context().model.var_store()), before);
    /// # Ok::<(), catena_chain::BoxError>(())
    /// ```
    pub fn with_averages<T>(&mut self, call: impl FnOnce(&mut dyn Model) -> T) -> Result<T, Error> {
        let returned = self.return_to_stage();
        let stage = self.cx.stage.as_ref().map(|stage| stage.index);
        let loader = self.cx.loader.replace(LoaderScope::new("", Mode::Eval, None));
        self.chain.enter_with(stage, |member| member.about().phase == Phase::Average);
        let put_in = self.fire_once(Event::LoaderStart);
        let called = put_in.map(|_| catch_unwind(AssertUnwindSafe(|| call(self.cx.model.as_mut()))));
        let put_back = self.cx.undo_at(Event::LoaderEnd).map_err(Error::PutBack);
        self.cx.loader = loader;
        self.chain.enter(stage);
        if returned.is_some() {
            self.leave_stage();
        }
        let value = called?.unwrap_or_else(|panic| resume_unwind(panic));
        put_back.map(|()| value)
    }
}
