//! Batch norm's running statistics, taken anew.
use catena_chain::{Context, Result};
use catena_tensor::model::Mode;
use catena_tensor::params::buffers;
use catena_tensor::rng::Generators;
use catena_tensor::tch::{self, Kind, Tensor};

/// The mean over batches of each batch norm's batch statistics: what `torch.optim.swa_utils.update_bn` computes.
///
/// torch has the layers compute it, with `momentum=None`. A layer of tch does not let its momentum be changed, but what it did
/// tells the statistics: a forward pass in Train mode makes `(1 - momentum) * running + momentum * batch` of a running value, so
/// one that was 0 becomes `momentum * batch`. The momentum is found with the first batch, as two running values move it
/// differently far.
#[derive(Debug)]
pub(crate) struct Statistics {
    running: Vec<Running>,
    batches: u64,
}

/// A running mean or variance, in the model.
#[derive(Debug)]
struct Running {
    name: String,
    value: Tensor,
    momentum: f64,
    sum: Tensor,
}

impl Statistics {
    /// Of no batch yet.
    pub(crate) fn new() -> Self {
        Self { running: Vec::new(), batches: 0 }
    }

    /// Adds the statistics of the context's batch. The model's running values are lost.
    pub(crate) fn add(&mut self, cx: &mut Context) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        if self.batches == 0 {
            self.find(cx)?;
        } else {
            self.running.iter_mut().try_for_each(|r| r.start_at(0.0))?;
            let _outputs = cx.model.forward(&cx.batch, Mode::Train)?;
        }
        for r in &mut self.running {
            let of_batch = r.value.f_to_kind(Kind::Double)?.f_div_scalar(r.momentum)?;
            let _sum = r.sum.f_add_(&of_batch)?;
        }
        self.batches += 1;
        Ok(())
    }

    /// Runs the first batch three times: which running values move, how far from 0, and how far from elsewhere.
    fn find(&mut self, cx: &mut Context) -> Result<()> {
        let generators = Generators::keep()?;
        let forward = |cx: &mut Context| -> Result<()> {
            generators.put_back()?;
            let _outputs = cx.model.forward(&cx.batch, Mode::Train)?;
            Ok(())
        };
        let before = running_values(cx)?;
        forward(cx)?;
        for (name, value, before) in before {
            if !value.f_equal(&before)? {
                let sum = value.f_zeros_like()?.f_to_kind(Kind::Double)?;
                self.running.push(Running { name, value, momentum: 1.0, sum });
            }
        }
        self.running.iter_mut().try_for_each(|r| r.start_at(0.0))?;
        forward(cx)?;
        let from_0: Vec<Tensor> = self.running.iter().map(Running::read).collect::<Result<_>>()?;
        let mut starts = Vec::new();
        for (r, from_0) in self.running.iter_mut().zip(&from_0) {
            // of the size of what is measured, so that rounding is small beside both
            let size = from_0.f_abs()?.f_max()?.f_double_value(&[])?;
            starts.push(if size > 0.0 && size.is_finite() { size } else { 1.0 });
            r.start_at(starts[starts.len() - 1])?;
        }
        forward(cx)?;
        for ((r, from_0), start) in self.running.iter_mut().zip(&from_0).zip(starts) {
            let kept = r.read()?.f_sub(from_0)?.f_mean(Kind::Double)?.f_double_value(&[])? / start;
            r.momentum = 1.0 - kept;
            r.value.f_copy_(from_0)?;
        }
        Ok(())
    }

    /// The means over the batches, by the running values' names; an error if there was no batch.
    pub(crate) fn means(&self) -> Result<Vec<(&str, Tensor)>> {
        if self.batches == 0 {
            return Err("no batch came to take batch norm's statistics of".into());
        }
        let means = self.running.iter();
        means.map(|r| Ok((r.name.as_str(), r.sum.f_div_scalar(self.batches as f64)?))).collect()
    }
}

impl Running {
    fn start_at(&mut self, start: f64) -> Result<()> {
        let _filled = self.value.f_fill_(start)?;
        Ok(())
    }

    fn read(&self) -> Result<Tensor> {
        Ok(self.value.f_detach_copy()?.f_to_kind(Kind::Double)?)
    }
}

/// The running means and variances of a model, by name, and copies of them.
fn running_values(cx: &Context) -> Result<Vec<(String, Tensor, Tensor)>> {
    let is_running = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or(name);
        last.starts_with("running_mean") || last.starts_with("running_var")
    };
    let values = buffers(cx.model.var_store()).into_iter().filter(|(name, _)| is_running(name));
    values
        .map(|(name, value)| {
            let copy = value.f_detach_copy()?;
            Ok((name, value, copy))
        })
        .collect()
}
