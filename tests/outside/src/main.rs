//! Shows that a project with catena as its only dependency builds, links and runs.
use catena::tch::{Device, Kind, Tensor};

fn main() {
    let sum = Tensor::ones([2, 3], (Kind::Float, Device::Cpu)) + Tensor::ones([3], (Kind::Float, Device::Cpu));
    assert_eq!(sum.sum(Kind::Float).double_value(&[]), 12.0);
    println!("ok");
}
