//! The tensors of a layer: made at its path, registered in torch's order, initialised as torch's are.
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::fault::{Fault, Outcome};

/// A tensor of a layer.
#[derive(Debug)]
pub struct Variable {
    /// Its name in the `VarStore`, such as `block.conv.weight`.
    pub name: String,
    /// The tensor itself, shared with the `VarStore`.
    pub tensor: Tensor,
    /// Whether it is a parameter; else it is a buffer, such as a running mean.
    pub is_parameter: bool,
}

/// Makes a layer's variables at its path.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    path: &'a Path<'a>,
    pub(super) made: Vec<Variable>,
}

impl<'a> Variables<'a> {
    pub(super) fn at(path: &'a Path<'a>) -> Self {
        Self { path, made: Vec::new() }
    }

    pub(super) fn path(&self) -> &'a Path<'a> {
        self.path
    }

    /// A parameter of zeros. It is initialised apart, because torch does not always draw in the order of registration.
    pub(super) fn parameter(&mut self, name: &str, shape: &[i64]) -> Outcome<Tensor> {
        let zeros = Tensor::f_zeros(shape, (self.path.kind(), self.path.device()))?;
        self.add(name, zeros, true)
    }

    /// A parameter of ones or zeros, if it is asked for.
    pub(super) fn filled(
        &mut self,
        is_there: bool,
        name: &str,
        shape: &[i64],
        value: f64,
    ) -> Outcome<Option<Tensor>> {
        match is_there {
            true => {
                let parameter = self.parameter(name, shape)?;
                fill(&parameter, value)?;
                Ok(Some(parameter))
            }
            false => Ok(None),
        }
    }

    /// A running value, of the parameters' dtype as in torch.
    pub(super) fn running(&mut self, name: &str, features: i64, value: f64) -> Outcome<Tensor> {
        let kind = (self.path.kind(), self.path.device());
        let full = Tensor::f_full([features], value, kind)?;
        self.add(name, full, false)
    }

    /// A count, which starts at 0.
    pub(super) fn count(&mut self, name: &str) -> Outcome<Tensor> {
        let zero = Tensor::f_zeros([0i64; 0], (Kind::Int64, self.path.device()))?;
        self.add(name, zero, false)
    }

    fn add(&mut self, name: &str, tensor: Tensor, is_parameter: bool) -> Outcome<Tensor> {
        let (within, last) =
            name.rsplit_once('.').map_or((None, name), |(within, last)| (Some(within), last));
        let path = within.map_or_else(|| self.path.clone(), |within| self.path / within);
        let full = path.path(last);
        if path.get(last).is_some() {
            // tch would give the new one another name
            let text = format!(
                "the variable store has a tensor `{full}` already; give the layer another name or path"
            );
            return Err(Fault::Why(text));
        }
        let tensor = path.add(last, tensor, is_parameter);
        self.made.push(Variable { name: full, tensor: tensor.shallow_clone(), is_parameter });
        Ok(tensor)
    }
}

fn fill(parameter: &Tensor, value: f64) -> Outcome<()> {
    let _no_grad = tch::no_grad_guard();
    let _filled = parameter.shallow_clone().f_fill_(value)?;
    Ok(())
}

fn uniform(parameter: &Tensor, bound: f64) -> Outcome<()> {
    let _no_grad = tch::no_grad_guard();
    let _drawn = parameter.shallow_clone().f_uniform_(-bound, bound)?;
    Ok(())
}

/// `torch.nn.init.zeros_`.
pub(super) fn zeros(parameter: &Tensor) -> Outcome<()> {
    fill(parameter, 0.0)
}

/// `torch.nn.init.normal_`.
pub(super) fn normal(parameter: &Tensor) -> Outcome<()> {
    let _no_grad = tch::no_grad_guard();
    let _drawn = parameter.shallow_clone().f_normal_(0.0, 1.0)?;
    Ok(())
}

/// What torch's linear and convolutional layers do to their weight and bias: `kaiming_uniform_(a=sqrt(5))`, and a uniform bias
/// within one over the root of the fan. Each number is computed in torch's steps, so that the bits are torch's.
pub(super) fn kaiming(weight: &Tensor, bias: Option<&Tensor>) -> Outcome<()> {
    let size = weight.size();
    let fan_in = size[1..].iter().product::<i64>() as f64;
    let slope = 5f64.sqrt();
    let gain = (2.0 / (1.0 + slope * slope)).sqrt();
    let std = gain / fan_in.sqrt();
    uniform(weight, 3f64.sqrt() * std)?;
    bias.map_or(Ok(()), |bias| uniform(bias, 1.0 / fan_in.sqrt()))
}

/// `torch.nn.init.xavier_uniform_` of a matrix.
pub(super) fn xavier(weight: &Tensor) -> Outcome<()> {
    let fans = weight.size()[..2].iter().sum::<i64>() as f64;
    let std = (2.0 / fans).sqrt();
    uniform(weight, 3f64.sqrt() * std)
}
