//! How a callback has its pass run again.
use catena_tensor::tch::Tensor;

use crate::context::Context;

impl Context {
    /// In `backward`, asks for the pass once more with these values in these tensors: when everybody has heard `backward`, those that act
    /// hear `forward`, `loss` and `backward` again, so the loss is computed by the whole chain, penalties and all. Then the tensors have
    /// their own values again.
    ///
    /// Gradients add up: set [`Context::loss_scale`] to 0 to have those of the second time alone. What is logged meanwhile counts nothing,
    /// the batch counts in its window once, and `outputs` and `loss` are those of the first time again afterwards. A dropout draws anew.
    ///
    /// ```
    /// use catena_chain::{CallbackExt, Event, Flow, on, testing};
    ///
    /// let again = on(Event::Backward, |cx| {
    ///     if !cx.is_repeated() {
    ///         cx.repeat_with([]);
    ///     }
    ///     Ok(Flow::GO)
    /// });
    /// let (told, heard) = std::sync::mpsc::channel();
    /// let counts = on(Event::Loss, move |cx| {
    ///     told.send(cx.is_repeated())?;
    ///     Ok(Flow::GO)
    /// });
    /// let mut driver = testing::driver(vec![Box::new(again), Box::new(counts.named("counts"))])?;
    /// for event in [Event::Forward, Event::Loss, Event::Backward] {
    ///     driver.fire(event)?;
    /// }
    /// drop(driver);
    /// assert_eq!(heard.iter().collect::<Vec<bool>>(), [false, true]);
    /// # Ok::<(), catena_chain::BoxError>(())
    /// ```
    pub fn repeat_with(&mut self, values: impl IntoIterator<Item = (Tensor, Tensor)>) {
        self.repetition.asked.get_or_insert_default().extend(values);
    }

    /// Whether the pass is being run again because of [`Context::repeat_with`].
    pub fn is_repeated(&self) -> bool {
        self.repetition.is_running
    }
}
