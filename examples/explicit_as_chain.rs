//! The plain training loop as a chain of closures, one a line, and the loop itself: they end in the same bits.
use catena::prelude::*;
use catena::tch::nn::{self, Module};
use catena::tch::{Device, Kind, Tensor};
use catena::tensor::data::Start;
use catena::tensor::params::parameters;
use catena::tensor::rng::manual_seed;

fn data() -> catena::Result<TensorLoader> {
    let x = (Tensor::arange(400, (Kind::Float, Device::Cpu)) * 0.37).sin().view([100, 4]);
    Ok(TensorLoader::new(&x, &x.argmax(1, false), 8)?.shuffle(true))
}

fn model(vs: &nn::VarStore) -> nn::Linear {
    manual_seed(0);
    nn::linear(vs.root() / "fc", 4, 4, Default::default())
}

/// What everybody writes by hand.
fn by_hand() -> catena::Result<Tensor> {
    let vs = nn::VarStore::new(Device::Cpu);
    let (net, mut loader) = (model(&vs), data()?);
    let mut optimizer = Optimizer::new(Sgd::new(0.1).momentum(0.9), &parameters(&vs))?;
    for epoch in 1..=3 {
        loader.start(Start { epoch, ..Start::default() })?;
        while let Some(batch) = loader.next_batch()? {
            let output = net.forward(batch.get("input")?);
            let loss = output.cross_entropy_for_logits(batch.get("target")?);
            loss.f_backward()?;
            optimizer.step()?;
            optimizer.zero_grad()?;
        }
    }
    Ok(vs.variables()["fc.weight"].copy())
}

/// The same lines, each at its event.
#[rustfmt::skip]
fn as_chain() -> catena::Result<Tensor> {
    let vs = nn::VarStore::new(Device::Cpu);
    let net = model(&vs);
    let weights = vs.variables()["fc.weight"].shallow_clone();
    // `bare`: the runner puts nothing in by itself
    let stage = Stage::new("by hand").bare().epochs(3).train(data()?).optimizer(Sgd::new(0.1).momentum(0.9))
        .callback(on(Event::Forward,  |cx| { cx.outputs = cx.model.forward(&cx.batch, cx.mode())?; Ok(Flow::GO) }))
        .callback(on(Event::Loss,     |cx| { let loss = cx.outputs.get("output")?.cross_entropy_for_logits(cx.batch.get("target")?); cx.loss = Some(Loss::new(loss, cx.batch.weight)); Ok(Flow::GO) }))
        .callback(on(Event::Backward, |cx| { cx.loss.as_ref().ok_or("no loss")?.value.f_backward()?; Ok(Flow::GO) }))
        .callback(on(Event::Step,     |cx| { cx.optimizer_mut()?.step()?; Ok(Flow::GO) }).named("step"))
        .callback(on(Event::Step,     |cx| { cx.optimizer_mut()?.zero_grad()?; Ok(Flow::GO) }).named("zero_grad"));
    let mut runner = Runner::builder(Net::new(vs, net)).stage(stage).build()?;
    println!("{}", runner.plan());
    runner.run()?;
    Ok(weights)
}

fn main() -> catena::Result<()> {
    let same = by_hand()? == as_chain()?;
    println!("the chain and the loop end in the same bits: {same}");
    assert!(same);
    Ok(())
}
