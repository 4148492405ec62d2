//! Signals that end a run in order.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};

/// Ends the run at SIGINT (Ctrl-C), SIGTERM or SIGHUP (a terminal that is closed, a connection that is lost): the first one finishes the batch, or leaves the evaluation, takes a snapshot if
/// there is a run directory, and ends the run as interrupted; a second one, of either kind, ends the process at once. A resumed run goes on as
/// if nothing had been. While the run lasts the signals are its own; before and after it they do what they did. On resume:
/// nothing to keep.
///
/// ```no_run
/// use catena_callbacks::Signals;
///
/// let signals = Signals::new(); // .callback(signals)
/// # let _ = signals;
/// ```
#[derive(Debug, Default)]
pub struct Signals {
    caught: Arc<AtomicUsize>,
    registered: Vec<SigId>,
}

impl Signals {
    /// SIGINT, SIGTERM and SIGHUP.
    pub fn new() -> Self {
        Self::default()
    }

    fn register(&mut self) -> Result<()> {
        self.caught.store(0, Ordering::SeqCst);
        // of all together: whichever comes second ends the process
        let once = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // the order counts: the first signal must not yet see the flag that it sets
            self.registered.push(flag::register_conditional_shutdown(signal, 128 + signal, once.clone())?);
            self.registered.push(flag::register(signal, once.clone())?);
            self.registered.push(flag::register_usize(
                signal,
                self.caught.clone(),
                signal.unsigned_abs() as usize,
            )?);
        }
        Ok(())
    }

    fn unregister(&mut self) {
        for id in self.registered.drain(..) {
            low_level::unregister(id);
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.unregister();
    }
}

impl Callback for Signals {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Decide, [Event::RunStart, Event::BatchEnd, Event::RunEnd, Event::Exception])
            .looks()
            .logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_run_start(&mut self, _: &mut Context) -> Result<Flow> {
        self.unregister();
        self.register()?;
        Ok(Flow::GO)
    }

    fn on_batch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let name = match self.caught.load(Ordering::Relaxed) as i32 {
            0 => return Ok(Flow::GO),
            SIGINT => "SIGINT",
            SIGTERM => "SIGTERM",
            SIGHUP => "SIGHUP",
            _ => "a signal",
        };
        if cx.interrupted().is_none() {
            log::warn!("{name}: the run ends after this batch; a second signal ends it at once");
            cx.interrupt(name);
        }
        Ok(Flow::GO)
    }

    fn on_run_end(&mut self, _: &mut Context) -> Result<Flow> {
        self.unregister();
        Ok(Flow::GO)
    }

    fn on_exception(&mut self, cx: &mut Context) -> Result<Flow> {
        self.on_run_end(cx)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;

    use super::*;

    #[test]
    fn a_signal_interrupts_the_run_at_the_end_of_a_batch() {
        let mut driver = testing::driver(vec![Box::new(Signals::new())]).unwrap();
        driver.fire(Event::RunStart).unwrap();
        driver.fire(Event::BatchEnd).unwrap();
        assert_eq!(driver.context().interrupted(), None);
        low_level::raise(SIGTERM).unwrap();
        driver.fire(Event::BatchEnd).unwrap();
        driver.take_interruption();
        assert_eq!(driver.context().interrupted(), Some("SIGTERM"));
    }
}
