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
/// differently far. Sums are f64. Half precision has too few digits to find a momentum with, so [`check`] refuses it.
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

/// Refuses a model whose running values are of half precision.
pub(crate) fn check(cx: &Context) -> Result<()> {
    for (name, value, _) in running_values(cx)? {
        let kind = value.f_kind()?;
        if matches!(kind, Kind::Half | Kind::BFloat16) {
            return Err(format!(
                "batch norm's statistics can't be taken anew in {kind:?}, which has too few digits: keep the layer of `{name}` in f32 \
                 (and its input, `x.to_kind(Kind::Float)`), or leave out `update_bn`"
            )
            .into());
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::batch::Batch;
    use catena_tensor::model::{Model, Net};
    use catena_tensor::rng::{Exclusive, manual_seed};
    use catena_tensor::tch::nn::{self, ModuleT};
    use catena_tensor::tch::{Device, Reduction};

    use super::*;

    #[test]
    fn they_are_the_batches_own_in_f32_with_dropout_far_from_0_and_a_frozen_layer_keeps_its_own() {
        let _exclusive = Exclusive::wait();
        manual_seed(1);
        let vs = nn::VarStore::new(Device::Cpu);
        let norm = nn::BatchNormConfig { momentum: 0.03, affine: false, ..Default::default() };
        let frozen = nn::batch_norm1d(vs.root() / "frozen", 4, norm);
        let moving = nn::batch_norm1d(vs.root() / "moving", 4, norm);
        let net = Net::from_fn(vs, move |batch, mode| {
            let x = frozen.forward_t(batch.get("input")?, false) + 1000.0;
            Ok(moving.forward_t(&x.dropout(0.5, mode.is_train()), mode.is_train()).into())
        });
        let variables = net.var_store().variables();
        let mut driver = testing::driver(vec![]).unwrap();
        let cx = driver.context_mut();
        cx.model = Box::new(net);
        let batches: Vec<Tensor> =
            [5, 9, 2].map(|rows| Tensor::randn([rows, 4], (Kind::Float, Device::Cpu))).into();

        manual_seed(2);
        let mut statistics = Statistics::new();
        for batch in &batches {
            cx.batch = Batch::new([("input", batch.shallow_clone())]);
            statistics.add(cx).unwrap();
        }
        // the same dropout again
        manual_seed(2);
        let expected = batches.iter().map(|batch| {
            let x = (batch / (1.0f64 + 1e-5).sqrt() + 1000.0).dropout(0.5, true).to_kind(Kind::Double);
            (x.mean_dim(0i64, false, Kind::Double), x.var_dim(0i64, true, false))
        });
        let (means, vars): (Vec<Tensor>, Vec<Tensor>) = expected.unzip();
        let got = statistics.means().unwrap();
        assert_eq!(
            got.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["moving.running_mean", "moving.running_var"]
        );
        for ((name, got), of_batches) in got.iter().zip([means, vars]) {
            let expected = Tensor::stack(&of_batches, 0).mean_dim(0i64, false, Kind::Double);
            let apart = got.l1_loss(&expected, Reduction::Mean).double_value(&[]);
            let size = expected.abs().max().double_value(&[]);
            assert!(apart <= 3e-6 * size, "{name}: {apart} of {size}");
        }
        assert_eq!(variables["frozen.running_mean"], Tensor::zeros([4], (Kind::Float, Device::Cpu)));
        assert!(Statistics::new().means().is_err());
    }
}
