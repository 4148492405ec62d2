//! SAM takes its second gradient of what the chain computes: penalties, replaced losses, a forward pass of one's own.
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::rng::Exclusive;

/// The weight after one step from 0 along the gradient of `sum(w x)`, and what else the chain adds.
fn step(sam: bool, with: impl Fn(Stage, Tensor) -> Stage) -> (f64, f64) {
    let vs = nn::VarStore::new(Device::Cpu);
    let w = vs.root().zeros("w", &[1]);
    let v = w.shallow_clone();
    let net = Net::from_fn(vs, move |b, _| Ok(Outputs::from(&v * b.get("input")?)));
    let ones =
        || (Tensor::ones([1, 1], (Kind::Float, Device::Cpu)), Tensor::zeros([1], (Kind::Float, Device::Cpu)));
    let (x, y) = ones();
    let loss =
        catena::tensor::loss::from_fn("sum", |o: &Outputs, _: &Batch| Ok(o.get("output")?.sum(Kind::Float)));
    let stage =
        Stage::new("s").train(TensorLoader::new(&x, &y, 1).unwrap()).loss(loss).optimizer(Sgd::new(1.0));
    let stage = with(stage, w.shallow_clone());
    let stage = if sam { stage.callback(Sam::new(1e-9)) } else { stage };
    let report = Runner::builder(net).stage(stage).build().unwrap().run().unwrap();
    (w.double_value(&[0]), report.metrics["train/loss"])
}

#[test]
fn penalties_replaced_losses_and_an_own_forward_count_in_both_gradients() {
    let _exclusive = Exclusive::wait();
    type With = fn(Stage, Tensor) -> Stage;
    let chains: [(&str, f64, With); 4] = [
        ("plain", -1.0, |stage, _| stage),
        ("a penalty", -11.0, |stage, w| {
            let penalty = on(Event::Loss, move |cx| {
                if let Some(loss) = &mut cx.loss {
                    loss.value = &loss.value + w.sum(Kind::Float) * 10.0;
                }
                Ok(Flow::GO)
            });
            stage.callback(penalty.in_phase(Phase::Loss))
        }),
        ("a replaced loss", -7.0, |stage, w| {
            let replace = on(Event::Loss, move |cx| {
                cx.loss = Some(Loss::new(w.sum(Kind::Float) * 7.0, 1.0));
                Ok(Flow::GO)
            });
            stage.callback(replace.in_phase(Phase::Loss))
        }),
        ("an own forward", -10.0, |stage, _| {
            let forward = on(Event::Forward, |cx| {
                let mode = cx.mode();
                cx.outputs = Outputs::from(cx.model.forward(&cx.batch, mode)?.get("output")? * 10.0);
                Ok(Flow::GO)
            });
            stage.callback(forward.in_phase(Phase::Forward).in_role(catena::chain::Role::Forward))
        }),
    ];
    for (what, expected, with) in chains {
        let (plain, sam) = (step(false, with), step(true, with));
        assert_eq!(plain.0, expected, "{what}");
        assert!((sam.0 - expected).abs() < 1e-5, "{what}: {sam:?}");
        assert_eq!(sam.1, plain.1, "{what}: what is logged is the loss at the weights");
    }
}

#[test]
fn a_window_counts_each_micro_batch_once_and_metrics_are_measured_once() {
    let _exclusive = Exclusive::wait();
    for sam in [false, true] {
        let (told, heard) = std::sync::mpsc::channel();
        let vs = nn::VarStore::new(Device::Cpu);
        let w = vs.root().zeros("w", &[1]);
        let v = w.shallow_clone();
        let net = Net::from_fn(vs, move |b, _| Ok(Outputs::from(&v * b.get("input")?)));
        let x = Tensor::from_slice(&[1f32, 3., 5., 7., 9.]).view([5, 1]);
        let loss = catena::tensor::loss::from_fn("sum", |o: &Outputs, _: &Batch| {
            Ok(o.get("output")?.sum(Kind::Float))
        });
        let stage = Stage::new("s")
            .train(TensorLoader::new(&x, &Tensor::zeros([5], (Kind::Float, Device::Cpu)), 1).unwrap())
            .loss(loss)
            .optimizer(Sgd::new(1.0))
            .callback(Accumulate::new(2))
            .callback(LossScaler::new())
            .callback(look(Event::Loss, move |cx| Ok(told.send(cx.global_batch())?)));
        let stage = if sam { stage.callback(Sam::new(1e-9)) } else { stage };
        let report = Runner::builder(net).stage(stage).build().unwrap().run().unwrap();
        assert!((w.double_value(&[0]) + 2.0 + 6.0 + 9.0).abs() < 1e-4, "sam {sam}: {w:?}");
        assert_eq!(report.steps, 3);
        assert_eq!(heard.iter().collect::<Vec<u64>>(), [1, 2, 3, 4, 5], "who looks hears a batch once");
    }
}
