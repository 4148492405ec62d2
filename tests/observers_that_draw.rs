//! A callback that only looks may draw outside of batches, and changes nothing by it; in a batch it is told.
use std::cell::Cell;
use std::rc::Rc;

use catena::chain::Events;
use catena::chain::testing::tiny_loader;
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::Exclusive;

/// With dropout, so that the run draws in each Train batch.
fn model() -> Net {
    catena::tensor::rng::manual_seed(3);
    let vs = nn::VarStore::new(Device::Cpu);
    let layers = nn::seq_t().add_fn_t(|x, train| x.dropout(0.5, train)).add(nn::linear(
        vs.root() / "fc",
        4,
        3,
        Default::default(),
    ));
    Net::new(vs, layers)
}

fn stage() -> Stage {
    Stage::new("s")
        .epochs(2)
        .train(tiny_loader(20, 4).shuffle(true))
        .valid(tiny_loader(8, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1))
}

fn run(callback: Option<Box<dyn Callback>>) -> Result<String, String> {
    let mut builder = Runner::builder(model()).stage(stage());
    if let Some(callback) = callback {
        builder = builder.callback(callback);
    }
    let mut runner = builder.build().unwrap();
    runner.run().map_err(|error| {
        format!("{error}: {}", std::error::Error::source(&error).map_or_else(String::new, |e| e.to_string()))
    })?;
    Ok(sha256(&state_dict(runner.model().var_store())).unwrap())
}

/// Draws at one event.
struct Draws(Event, Rc<Cell<u32>>, bool);

impl Callback for Draws {
    fn about(&self) -> About {
        let about = About::named("draws").phase(Phase::User).hears(Events::ALL).logs_nothing();
        if self.2 { about } else { about.looks() }
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_event(&mut self, event: Event, _: &mut Context) -> catena::chain::Result<Flow> {
        if event == self.0 {
            self.1.set(self.1.get() + 1);
            let _drawn = Tensor::randn([3], (Kind::Float, Device::Cpu));
        }
        Ok(Flow::GO)
    }
}

#[test]
fn what_an_onlooker_draws_outside_of_batches_is_put_back_and_in_a_batch_it_is_named() {
    let _exclusive = Exclusive::wait();
    let plain = run(None).unwrap();
    for event in Event::ALL.into_iter().filter(|event| *event != Event::Exception) {
        let drawn = Rc::new(Cell::new(0));
        let looked = run(Some(Box::new(Draws(event, drawn.clone(), false))));
        assert!(drawn.get() > 0, "{event}");
        if event.is_of_batch() {
            let error = looked.unwrap_err();
            assert!(
                error.contains("draws declares that it only looks, but draws from torch's generators"),
                "{error}"
            );
        } else {
            assert_eq!(looked, Ok(plain.clone()), "{event}");
        }
        // one that acts may
        let acted = run(Some(Box::new(Draws(event, drawn.clone(), true)))).unwrap();
        let changes = !matches!(event, Event::RunEnd | Event::StageEnd);
        assert_eq!(acted != plain, changes, "{event}");
    }
}
