//! Many parameters of one optimizer are stepped together, and none of them notices.
use catena_native::tensor::set_grad;
use catena_tensor::optim::{Optimizer, OptimizerConfig, Sgd, names};
use catena_tensor::params::Parameter;
use serde_json::json;
use tch::{Device, Kind, Tensor};

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.detach().to_kind(Kind::Double).flatten(0, -1).try_into().unwrap()
}

#[test]
fn many_small_parameters_together_get_the_same_bits_as_each_alone() {
    const SIZES: [i64; 9] = [7001, 1, 4097, 12288, 333, 0, 9000, 5, 8191];
    // bf16 takes the way of tensor operations
    for kind in [Kind::Float, Kind::BFloat16] {
        let param = |n: i64| {
            let numbers = Tensor::arange(n, (Kind::Float, Device::Cpu));
            let tensor = (&numbers * 0.7).sin().to_kind(kind);
            // some have no gradient at first, so that not all are at the same step
            let grad = (numbers * 1.3).cos().to_kind(kind);
            (grad, Parameter::new(format!("{n}"), tensor))
        };
        let five_steps = |name: &str, params: &[(Tensor, Parameter)]| {
            let config = OptimizerConfig::from_value(json!({"name": name, "lr": 0.1})).unwrap();
            let own: Vec<Parameter> = params
                .iter()
                .map(|(_, p)| Parameter::new(p.name.clone(), p.tensor.shallow_clone()))
                .collect();
            let mut optimizer = Optimizer::new(config, &own).unwrap();
            for step in 0..5 {
                for (grad, p) in params {
                    let comes_late = p.tensor.numel() % 2 == 1;
                    set_grad(&p.tensor, (step > 1 || !comes_late).then_some(grad)).unwrap();
                }
                optimizer.step().unwrap();
            }
        };
        for name in names().filter(|name| *name != "muon") {
            tch::set_num_threads(1);
            let alone = SIZES.map(|n| {
                let param = param(n);
                five_steps(name, std::slice::from_ref(&param));
                numbers(&param.1.tensor)
            });
            for threads in [1, 3] {
                tch::set_num_threads(threads);
                let together = SIZES.map(param);
                five_steps(name, &together);
                for ((_, together), alone) in together.iter().zip(&alone) {
                    assert!(
                        numbers(&together.tensor) == *alone,
                        "{name} {kind:?}: {} with {threads} threads",
                        together.name
                    );
                }
            }
        }
    }
}

/// In bf16 parameters go through tensor operations in groups of at most 8 M numbers, to bound the memory: these make three of them.
#[test]
fn parameters_too_large_for_one_group_get_the_same_bits_as_each_alone() {
    const SIZES: [i64; 5] = [5_000_000, 4_000_000, 8_500_000, 1000, 7];
    let stepped = |sizes: &[i64]| {
        let params: Vec<Parameter> = sizes
            .iter()
            .map(|n| {
                let numbers = Tensor::arange(*n, (Kind::Float, Device::Cpu));
                let tensor = (&numbers * 0.7).sin().to_kind(Kind::BFloat16);
                set_grad(&tensor, Some(&(numbers * 1.3).cos().to_kind(Kind::BFloat16))).unwrap();
                Parameter::new(format!("{n}"), tensor)
            })
            .collect();
        let config = OptimizerConfig::from_value(json!({"name": "lion", "lr": 0.1})).unwrap();
        let mut optimizer = Optimizer::new(config, &params).unwrap();
        (0..2).for_each(|_| optimizer.step().unwrap());
        params
    };
    for together in stepped(&SIZES) {
        let alone = stepped(&[together.tensor.numel() as i64]).remove(0);
        let start = (Tensor::arange(together.tensor.numel() as i64, (Kind::Float, Device::Cpu)) * 0.7).sin();
        assert!(together.tensor == alone.tensor, "{}", together.name);
        assert!(together.tensor != start.to_kind(Kind::BFloat16), "{} was stepped", together.name);
    }
}

#[test]
fn sgd_of_half_precision_with_momentum_is_the_arithmetic_of_f32_rounded_whatever_the_size() {
    let device = Device::Cpu;
    let (lr, momentum) = (0.1, 0.9);
    for kind in [Kind::BFloat16, Kind::Half] {
        for size in (1..70).chain([127, 128, 129]) {
            let w = Tensor::ones([size], (kind, device)).set_requires_grad(true);

            let mut optimizer =
                Optimizer::new(Sgd::new(lr).momentum(momentum), &[Parameter::new("w", w.shallow_clone())])
                    .unwrap();
            let (mut expected, mut buffer) = (Tensor::ones([size], (Kind::Float, device)), Tensor::new());
            for step in 0..3 {
                let gradient = (Tensor::arange(size, (Kind::Float, device)) + step).sin().to_kind(kind);
                set_grad(&w, Some(&gradient)).unwrap();
                optimizer.step().unwrap();
                let gradient = gradient.to_kind(Kind::Float);
                let moved = if step == 0 { gradient } else { &buffer * momentum + gradient };
                expected = (expected - &moved * lr).to_kind(kind).to_kind(Kind::Float);
                buffer = moved.to_kind(kind).to_kind(Kind::Float);
            }
            let (_, own) = &optimizer.state()[0];
            let close = |a: &Tensor, b: &Tensor| (a.to_kind(Kind::Float) - b).abs().max().double_value(&[]);
            // a rounding apart at most: the kernel may fuse the multiplication and the addition
            assert!(close(own, &buffer) < 0.02, "{kind:?} of {size}: {own:?}");
            assert!(close(&w.detach(), &expected) < 0.01, "{kind:?} of {size}");
        }
    }
}
