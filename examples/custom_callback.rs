//! A callback of your own: gradient noise, in the phase of clipping, with settings and state that a resume can restore.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;

/// Adds Gaussian noise to every gradient before the step, less and less of it: `eta / (1 + t)^gamma` after `t` steps
/// (Neelakantan et al. 2015).
struct GradientNoise {
    eta: f64,
    gamma: f64,
    noisy_steps: u64,
}

impl GradientNoise {
    fn new(eta: f64) -> Self {
        Self { eta, gamma: 0.55, noisy_steps: 0 }
    }
}

impl Callback for GradientNoise {
    // what must survive a resume; a field added later does not compile until it is looked at here
    fn state(&self) -> State {
        let Self { eta: _, gamma: _, noisy_steps } = self;
        State { json: (*noisy_steps).into(), tensors: Vec::new() }
    }

    fn load_state(&mut self, state: State) -> catena::chain::Result<()> {
        self.noisy_steps = state.read()?;
        Ok(())
    }

    // the gradients are complete, and the optimizer has not used them yet
    fn phase(&self) -> Phase {
        Phase::Clip
    }

    fn hears(&self) -> Events {
        Events::of(&[Event::Step])
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(vec!["gradient_noise".into()])
    }

    fn on_step(&mut self, cx: &mut Context) -> catena::chain::Result<Flow> {
        let deviation = (self.eta / (1.0 + self.noisy_steps as f64).powf(self.gamma)).sqrt();
        for param in cx.optimizer_mut()?.params() {
            let mut grad = param.f_grad()?;
            if grad.defined() {
                let noise = grad.f_randn_like()? * deviation;
                let _ = grad.f_add_(&noise)?;
            }
        }
        self.noisy_steps += 1;
        cx.log("gradient_noise", deviation, Reduce::Last)?;
        Ok(Flow::GO)
    }
}

fn main() -> catena::Result<()> {
    let stage = Stage::new("train")
        .epochs(3)
        .train(tiny_loader(60, 6).shuffle(true))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1))
        .callback(GradientNoise::new(0.01));
    let mut runner = Runner::builder(tiny_model()).stage(stage).callback(Console::new()).build()?;
    println!("{}", runner.plan());
    let report = runner.run()?;
    println!("the last noise had a deviation of {:.4}", report.metrics["train/gradient_noise"]);
    Ok(())
}
