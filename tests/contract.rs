//! Every callback that the registry knows, driven through a short run: alone, stopped and gone on, and behind each adapter. A new one is in it by being registered.
use catena::callbacks::{example, from_value, registry};
use catena::chain::testing::{check_callback, tiny_loader};
use catena::prelude::*;
use catena::tch::{Device, nn};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::{Exclusive, manual_seed};
use catena::tensor::settings::Field;

/// Two linear layers with a hidden output between them, and a copy of the first one's form that no output depends on.
fn model() -> Net {
    manual_seed(3);
    let vs = nn::VarStore::new(Device::Cpu);
    let [first, _copy] = ["a", "b"].map(|name| nn::linear(vs.root() / name, 4, 8, Default::default()));
    let head = nn::linear(vs.root() / "head", 8, 3, Default::default());
    Net::from_fn(vs, move |batch, _| {
        let hidden = batch.get("input")?.apply(&first).relu();
        let output = hidden.apply(&head);
        Ok(Outputs::from([("hidden", hidden), ("output", output)]))
    })
}

/// What a run came to: hashes of its variables, its counts and its metrics.
#[derive(Debug, PartialEq)]
struct End {
    variables: String,
    counts: (u64, u64, u64),
    metrics: Vec<(String, u64)>,
}

fn runner(callback: Box<dyn Callback>, dir: &std::path::Path, until: Option<u64>) -> Runner {
    let stop = look(Event::BatchEnd, move |cx| {
        if cx.is_train() && Some(cx.global_batch()) == until {
            cx.interrupt("a test");
        }
        Ok(())
    });
    let stage = Stage::new("train")
        .epochs(2)
        .train(tiny_loader(30, 4).shuffle(true))
        .valid(tiny_loader(12, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.05).momentum(0.9));
    Runner::builder(model())
        .stage(stage)
        .run_dir(dir)
        .callback(callback)
        .callback(Checkpoint::new().every(Every::Epochs(1)))
        .callback(stop.named("stop"))
        .build()
        .unwrap()
}

fn end(runner: &Runner, report: &Report) -> End {
    End {
        variables: sha256(&state_dict(runner.model().var_store())).unwrap(),
        counts: (report.epochs, report.batches, report.steps),
        metrics: report.metrics.iter().map(|(name, value)| (name.clone(), value.to_bits())).collect(),
    }
}

fn run(make: &dyn Fn() -> Box<dyn Callback>, stops: &[u64]) -> End {
    let dir = tempfile::tempdir().unwrap();
    for (i, until) in stops.iter().map(Some).chain([None]).enumerate() {
        let mut runner = runner(make(), dir.path(), until.copied());
        let report = if i == 0 { runner.run() } else { runner.resume(Resume::Latest) }.unwrap();
        if until.is_none() {
            return end(&runner, &report);
        }
        assert_eq!(report.status, Status::Interrupted("a test".into()));
    }
    unreachable!("the last life has no stop")
}

#[test]
fn every_registered_callback_goes_on_from_any_batch_to_the_same_end_under_any_name() {
    let _exclusive = Exclusive::wait();
    // small tensors: threads would wait for each other
    catena::tch::set_num_threads(1);
    for entry in registry().entries() {
        let name = entry.name();
        let settings = example(name).unwrap();
        let make = || from_value(settings.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        check_callback(make).unwrap_or_else(|error| panic!("{name}: {error}"));
        let undisturbed = run(&make, &[]);
        for stops in [&[1][..], &[5], &[8], &[3, 9]] {
            assert_eq!(run(&make, stops), undisturbed, "{name}, stopped after {stops:?}");
        }
        let plain = make().about();
        if plain.effect == Effect::Acts {
            // else a resume would not notice that a setting has changed
            let told = |field: &Field| plain.settings.get(field.name.as_ref()).is_some();
            let untold: Vec<Field> = entry.fields().into_iter().filter(|field| !told(field)).collect();
            assert!(
                untold.is_empty(),
                "{name} acts, and `about` leaves out {untold:?}: `.settings(self)` tells them"
            );
        }
        let named = || -> Box<dyn Callback> { Box::new(make().named("other")) };
        let mut other = run(&named, &[5]);
        // what a callback logs may be called as itself
        other.metrics.retain(|(metric, _)| undisturbed.metrics.iter().any(|(known, _)| known == metric));
        assert_eq!(other, undisturbed, "{name}, under another name");
        if plain.role.is_some() {
            continue; // the loop needs it in every loader
        }
        let trained = run(&|| Box::new(make().only(Mode::Train)), &[]);
        let trained_on = run(&|| Box::new(make().only(Mode::Train)), &[5]);
        assert_eq!(trained_on, trained, "{name}, in Train loaders alone");
    }
}

#[test]
fn a_name_that_is_not_registered_has_no_example() {
    assert!(example("no such callback").is_none());
    assert_eq!(example("ema").unwrap()["name"], "ema");
}
