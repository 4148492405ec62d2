//! A callback of your own: it skips the step of a batch whose loss is far above the usual, with a setting and with state.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;

/// Skips the step when the loss is more than `factor` times its running mean.
struct SkipSpikes {
    factor: f64,
    mean: Option<f64>,
    skipped: u64,
}

impl SkipSpikes {
    fn new(factor: f64) -> Self {
        Self { factor, mean: None, skipped: 0 }
    }
}

impl Callback for SkipSpikes {
    // phase decide: the metrics have seen the loss, and nobody has used it yet; it needs the number at once, and `plan()` marks that
    fn about(&self) -> About {
        About::new::<Self>(Phase::Decide, [Event::Loss, Event::StageEnd]).syncs(true)
    }

    // what must survive a resume; a field added later does not compile until it is looked at here
    fn state(&self) -> State {
        let Self { factor: _, mean, skipped } = self;
        State::json(serde_json::json!([mean, skipped]))
    }

    fn load_state(&mut self, state: State) -> catena::Result<()> {
        (self.mean, self.skipped) = state.read()?;
        Ok(())
    }

    fn on_loss(&mut self, cx: &mut Context) -> catena::Result<Flow> {
        let Some(loss) = cx.loss.as_ref().filter(|_| cx.is_train()) else { return Ok(Flow::GO) };
        let value = loss.value.f_double_value(&[])?;
        let mean = *self.mean.get_or_insert(value);
        if value > self.factor * mean {
            self.skipped += 1;
            return Ok(Flow::SKIP_STEP);
        }
        self.mean = Some(0.9 * mean + 0.1 * value);
        Ok(Flow::GO)
    }

    fn on_stage_end(&mut self, cx: &mut Context) -> catena::Result<Flow> {
        cx.log("skipped_steps", self.skipped as f64, Reduce::Last)?;
        Ok(Flow::GO)
    }
}

fn main() -> catena::Result<()> {
    let stage = Stage::new("train")
        .epochs(3)
        .train(tiny_loader(60, 6).shuffle(true))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1))
        .callback(SkipSpikes::new(1.05));
    let mut runner = Runner::builder(tiny_model()).stage(stage).callback(Console::new()).build()?;
    println!("{}", runner.plan());
    let report = runner.run()?;
    println!("{} of {} steps were skipped", report.metrics["skipped_steps"], report.batches);
    Ok(())
}
