//! A run makes its start state, a stage does so too, and neither leaves anything behind.
use catena::chain::Every;
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn, nn::Module, nn::ModuleT};
use catena::tensor::params::parameters;
use catena::tensor::rng::Exclusive;

fn gradients(runner: &Runner) -> usize {
    parameters(runner.model().var_store()).iter().filter(|param| param.tensor.grad().defined()).count()
}

fn frozen(runner: &Runner) -> usize {
    runner.model().var_store().variables().values().filter(|tensor| !tensor.requires_grad()).count()
}

fn bias(runner: &Runner) -> f64 {
    runner.model().var_store().variables()["fc.bias"].double_value(&[0])
}

fn stage(name: &str) -> Stage {
    Stage::new(name.to_owned()).train(tiny_loader(8, 4)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1))
}

fn pass(params: &str) -> Pass {
    Pass::new("main").optimizer(Sgd::new(0.1)).loss(CrossEntropy::new()).params(params)
}

#[test]
fn a_gradient_from_before_the_run_does_not_enter_its_first_step() {
    let _exclusive = Exclusive::wait();
    let after = |before: bool| {
        let net = tiny_model();
        if before {
            let weight = net.var_store().variables()["fc.bias"].shallow_clone();
            (weight * 1000.0).sum(Kind::Float).backward();
        }
        let mut runner = Runner::builder(net).stage(stage("s")).build().unwrap();
        runner.run().unwrap();
        assert_eq!(gradients(&runner), 0);
        bias(&runner)
    };
    assert_eq!(after(true), after(false));
}

#[test]
fn what_no_pass_trains_gathers_no_gradient_with_and_without_a_resume() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let make = |frozen: bool, stop: bool| {
        let stage = |name: &str| Stage::new(name.to_owned()).train(tiny_loader(8, 4));
        let a = if frozen {
            stage("a").pass(pass("*")).freeze("fc.bias")
        } else {
            stage("a").pass(pass("fc.weight"))
        };
        let see = look(Event::BatchEnd, move |cx| {
            if stop && cx.global_batch() == 2 {
                cx.interrupt("test");
            }
            Ok(())
        });
        Runner::builder(tiny_model()).stage(a).stage(stage("b").pass(pass("*"))).callback(see)
    };
    let mut whole = make(true, false).build().unwrap();
    whole.run().unwrap();
    let expected = bias(&whole);
    let mut left_out = make(false, false).build().unwrap();
    left_out.run().unwrap();
    assert_eq!((bias(&left_out), frozen(&left_out)), (expected, 0));
    let saving = |runner: catena::RunnerBuilder| {
        runner.run_dir(dir.path()).callback(Checkpoint::new().every(Every::Batches(1)))
    };
    saving(make(false, true)).build().unwrap().run().unwrap();
    let mut again = saving(make(false, false)).build().unwrap();
    again.resume(Resume::Latest).unwrap();
    assert_eq!(bias(&again), expected);
}

#[test]
fn a_run_that_stops_in_a_window_or_fails_leaves_no_gradient_and_nothing_frozen() {
    let _exclusive = Exclusive::wait();
    for fails in [true, false] {
        let end =
            on(Event::BatchEnd, move |_| if fails { Err("no luck".into()) } else { Ok(Flow::STOP_RUN) });
        let stage = stage("s").freeze("fc.bias");
        let mut runner = Runner::builder(tiny_model())
            .stage(stage)
            .callback(Accumulate::new(2))
            .callback(end)
            .build()
            .unwrap();
        assert_eq!(runner.run().is_err(), fails);
        assert_eq!((gradients(&runner), frozen(&runner)), (0, 0));
    }
}

struct Lazy {
    vs: nn::VarStore,
    fc: nn::Linear,
    late: Option<Tensor>,
    at: u64,
    seen: u64,
}

impl Model for Lazy {
    fn forward(&mut self, batch: &Batch, _: Mode) -> catena::Result<Outputs> {
        self.seen += 1;
        let output = self.fc.forward(batch.get("input")?);
        if self.seen < self.at {
            return Ok(Outputs::from(output));
        }
        let vs = &self.vs;
        let late = self.late.get_or_insert_with(|| vs.root().zeros("late", &[3]));
        Ok(Outputs::from(output + &*late))
    }
    fn var_store(&self) -> &nn::VarStore {
        &self.vs
    }
}

fn lazy(at: u64) -> Lazy {
    let vs = nn::VarStore::new(Device::Cpu);
    let fc = nn::linear(vs.root() / "fc", 4, 3, Default::default());
    Lazy { vs, fc, late: None, at, seen: 0 }
}

#[test]
fn a_parameter_that_is_made_too_late_is_an_error_that_names_it() {
    let _exclusive = Exclusive::wait();
    for at in [1, 2] {
        let mut runner = Runner::builder(lazy(at)).stage(stage("s")).build().unwrap();
        let text = runner.run().unwrap_err().to_string();
        let expected = "stage `s`: the model has made parameters after the stage had begun, so no optimizer trains them: `late`; let one \
                        batch go through the model before `build()`";
        assert_eq!(text, expected, "made in batch {at}");
    }
    // a stage that trains nothing has no optimizer to miss it
    let mut runner =
        Runner::builder(lazy(1)).stage(Stage::new("s").infer(tiny_loader(4, 4))).build().unwrap();
    runner.run().unwrap();
    let mut net = lazy(1);
    net.forward(&catena::chain::testing::tiny_batch(2), Mode::Eval).unwrap();
    let mut runner = Runner::builder(net).stage(stage("s")).build().unwrap();
    runner.run().unwrap();
    assert!(runner.model().var_store().variables()["late"].abs().sum(Kind::Float).double_value(&[]) > 0.0);
}

fn normed(momentum: f64) -> Net {
    let vs = nn::VarStore::new(Device::Cpu);
    let config = nn::BatchNormConfig { momentum, ..Default::default() };
    let net = nn::seq_t().add(nn::batch_norm1d(vs.root() / "bn", 4, config)).add(nn::linear(
        vs.root() / "fc",
        4,
        3,
        Default::default(),
    ));
    // without `Layers`, whose batch norm refuses the batch itself
    Net::from_fn(vs, move |batch, mode| Ok(net.forward_t(batch.get("input")?, mode.is_train()).into()))
}

#[test]
fn a_buffer_or_a_parameter_that_becomes_nan_is_told_at_the_loaders_end() {
    let _exclusive = Exclusive::wait();
    // 5 rows in batches of 4: the last one has one row
    let run = |rows, momentum| {
        let stage = Stage::new("s")
            .epochs(2)
            .train(tiny_loader(rows, 4))
            .loss(CrossEntropy::new())
            .optimizer(Sgd::new(0.1));
        Runner::builder(normed(momentum))
            .stage(stage)
            .build()
            .unwrap()
            .run()
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert_eq!(run(8, 0.1), Ok(()));
    let text = run(5, 0.1).unwrap_err();
    assert!(text.contains("`bn.running_var` has become NaN or infinite in loader `train`"), "{text}");
    let exploding = stage("s").optimizer(Sgd::new(1e300));
    let text = Runner::builder(tiny_model()).stage(exploding).build().unwrap().run().unwrap_err().to_string();
    assert!(
        text.contains("`fc.bias` and 1 more of the model's tensors have become NaN or infinite"),
        "{text}"
    );
    // a callback of the same role takes its place
    let exploding = stage("s").optimizer(Sgd::new(1e300)).callback(FiniteModel::new().warn());
    Runner::builder(tiny_model()).stage(exploding).build().unwrap().run().unwrap();
}
