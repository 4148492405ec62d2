//! Errors of users: each goes by `?` out of a model, a loss, a loader or a hook, and is found again as the source of the run's error.
use std::error::Error as _;
use std::fmt;

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::nn::VarStore;
use catena::tensor::data::Start;
use catena::tensor::rng::Exclusive;

/// What only this program knows.
#[derive(Debug, PartialEq)]
struct Mine(u32);

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mine, number {}", self.0)
    }
}

impl std::error::Error for Mine {}

fn fails(number: u32) -> Result<(), Mine> {
    Err(Mine(number))
}

/// A model that fails.
struct Careless(Net);

impl Model for Careless {
    fn forward(&mut self, batch: &Batch, mode: Mode) -> catena::Result<Outputs> {
        fails(1)?;
        self.0.forward(batch, mode)
    }

    fn var_store(&self) -> &VarStore {
        self.0.var_store()
    }
}

struct Loses;

impl LossFn for Loses {
    fn loss(&mut self, _: &Outputs, _: &Batch) -> catena::Result<Loss> {
        fails(2)?;
        unreachable!("it fails")
    }

    fn name(&self) -> &str {
        "loses"
    }
}

/// Fails at its start, or at its first batch.
struct Gone(bool);

impl Loader for Gone {
    fn batches(&self) -> Option<u64> {
        None
    }

    fn start(&mut self, _: Start) -> catena::Result<()> {
        if self.0 { Ok(()) } else { Ok(fails(3)?) }
    }

    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        fails(4)?;
        Ok(None)
    }
}

fn stage(loader: impl Loader + 'static, loss: impl LossFn + 'static) -> Stage {
    Stage::new("s").train(loader).loss(loss).optimizer(Sgd::new(0.1))
}

/// The error in a chain of sources that is of this type.
fn found(error: &catena::Error) -> Option<&Mine> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(mine) = error.downcast_ref::<Mine>() {
            return Some(mine);
        }
        source = error.source();
    }
    None
}

#[test]
fn an_error_of_the_users_is_the_source_of_the_runs_error_which_says_where() {
    let _exclusive = Exclusive::wait();
    let run = |builder: catena::RunnerBuilder| builder.build().unwrap().run().unwrap_err();
    let plain = || stage(tiny_loader(8, 4), CrossEntropy::new());
    let of_hook = plain().callback(on(Event::Step, |_| {
        fails(5)?;
        Ok(Flow::GO)
    }));
    let errors = [
        run(Runner::builder(Careless(tiny_model())).stage(plain())),
        run(Runner::builder(tiny_model()).stage(stage(tiny_loader(8, 4), Loses))),
        run(Runner::builder(tiny_model()).stage(stage(Gone(false), CrossEntropy::new()))),
        run(Runner::builder(tiny_model()).stage(stage(Gone(true), CrossEntropy::new()))),
        run(Runner::builder(tiny_model()).stage(of_hook)),
    ];
    for (number, error) in (1..).zip(&errors) {
        assert_eq!(found(error), Some(&Mine(number)), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("stage `s`, epoch 1") && text.contains(&format!("mine, number {number}")),
            "{text}"
        );
    }
}

#[test]
fn any_error_goes_by_a_question_mark_in_a_function_of_ones_own() {
    let _exclusive = Exclusive::wait();
    fn program(what: u32) -> catena::Result<()> {
        match what {
            0 => drop(std::fs::read("no such file")?),
            1 => return Err("a text".into()),
            2 => drop(Runner::builder(tiny_model()).build()?),
            3 => {
                drop(TensorLoader::new(&catena::tch::Tensor::from(1.0), &catena::tch::Tensor::from(1.0), 0)?)
            }
            4 => drop(State::of(&3)?.read::<String>()?),
            5 => fails(6)?,
            _ => drop("3 fortnights".parse::<Every>()?),
        }
        Ok(())
    }
    for what in 0..7 {
        assert!(program(what).is_err(), "{what}");
    }
    fn can_be_sent<T: Send + Sync + 'static>() {}
    can_be_sent::<catena::Error>();
}
