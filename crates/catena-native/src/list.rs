//! Tensors handed over once and used at every step.
use tch::Tensor;

use crate::error::{Error, Result, check};
use crate::ffi::{self, CList, CTensor};
use crate::tensor::{owned, pointer};

/// Tensors in an order that stays: the parameters of an optimizer's group, or one kind of its state.
///
/// The list shares its tensors with whoever made them, as [`Tensor::shallow_clone`] does, and keeps them alive. A tensor that
/// stands in it twice is stepped, scaled, measured and moved once, at its first place.
/// Methods that speak of gradients pass over tensors that have none, as torch's optimizers do.
pub struct TensorList {
    raw: *mut CList,
    tensors: Vec<Tensor>,
}

impl std::fmt::Debug for TensorList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.tensors.iter().map(Tensor::size)).finish()
    }
}

// SAFETY: the C++ list only holds `at::Tensor` handles, whose reference counts are atomic; `tch::Tensor` is `Send`
// for the same reason. Nothing here is shared between threads (`TensorList` is not `Sync`).
unsafe impl Send for TensorList {}

impl Drop for TensorList {
    fn drop(&mut self) {
        // SAFETY: made by `catena_list_new`, freed once.
        unsafe { ffi::catena_list_free(self.raw) }
    }
}

impl TensorList {
    /// A list of these tensors, in this order.
    pub fn new(tensors: &[Tensor]) -> Result<Self> {
        let tensors: Vec<Tensor> = tensors.iter().map(Tensor::shallow_clone).collect();
        if tensors.iter().any(|t| !t.defined()) {
            return Err(Error::Argument("an undefined tensor can't be in a list".into()));
        }
        let pointers: Vec<CTensor> = tensors.iter().map(pointer).collect();
        let mut raw = std::ptr::null_mut();
        // SAFETY: `pointers` holds live tensors; the shim copies their handles.
        check(unsafe { ffi::catena_list_new(pointers.as_ptr(), pointers.len(), &mut raw) })?;
        Ok(Self { raw, tensors })
    }

    /// The tensors, in the list's order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    pub(crate) fn raw(&self) -> *mut CList {
        self.raw
    }

    /// Sets every gradient to none: the memory is given back, and an optimizer passes the parameter over.
    pub fn zero_grad(&self) -> Result<()> {
        // SAFETY: `raw` is live.
        check(unsafe { ffi::catena_zero_grad(self.raw) })
    }

    /// Runs the backward pass of `loss` (a scalar), adding gradients to these tensors and to no others.
    ///
    /// Source: `loss.backward(inputs=…)`. Tensors that need no gradient are passed over.
    pub fn backward(&self, loss: &Tensor) -> Result<()> {
        // SAFETY: a live tensor and a live list.
        check(unsafe { ffi::catena_backward(crate::tensor::pointer(loss), self.raw) })
    }

    /// Divides every gradient by `divisor`, in place.
    pub fn divide_gradients(&self, divisor: f64) -> Result<()> {
        // SAFETY: `raw` is live.
        check(unsafe { ffi::catena_divide_gradients(self.raw, divisor) })
    }

    /// The `ord`-norm of all gradients together: a scalar tensor on their device, in f32 at least; 0 if there are none. Empty gradients
    /// count as 0 for every norm (PyTorch refuses an infinity norm with one among them).
    pub fn gradient_norm(&self, ord: f64) -> Result<Tensor> {
        // SAFETY: `raw` is live; the shim fills `out` with a tensor of ours.
        owned(|out| unsafe { ffi::catena_gradient_norm(self.raw, ord, out) })
    }

    /// Scales the gradients so that their `ord`-norm is at most `max_norm`, and gives the norm before that.
    ///
    /// Source: `torch.nn.utils.clip_grad_norm_`; norm and factor of half-precision gradients are f32, where torch rounds them to the
    /// gradients' dtype. Nothing waits for the device.
    pub fn clip_grad_norm(&self, max_norm: f64, ord: f64) -> Result<Tensor> {
        // SAFETY: `raw` is live; the shim fills `out` with a tensor of ours.
        owned(|out| unsafe { ffi::catena_clip_grad_norm(self.raw, max_norm, ord, out) })
    }

    /// Moves each tensor in place by this share of the way to its partner in `to`: `self + weight * (to - self)`.
    ///
    /// Source: `torch._foreach_lerp_`. The arithmetic is in the dtype of `self`. Nothing is recorded for autograd. Lists of other
    /// lengths or shapes are an error.
    pub fn lerp_(&self, to: &Self, weight: f64) -> Result<()> {
        // SAFETY: both lists are live.
        check(unsafe { ffi::catena_lerp(self.raw, to.raw, weight) })
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::tensor::set_grad;

    fn with_gradients(grads: &[Option<f64>]) -> TensorList {
        let tensors: Vec<Tensor> = grads
            .iter()
            .map(|grad| {
                let t = Tensor::zeros([2], (Kind::Float, Device::Cpu));
                let grad = grad.map(|g| Tensor::full([2], g, (Kind::Float, Device::Cpu)));
                set_grad(&t, grad.as_ref()).unwrap();
                t
            })
            .collect();
        TensorList::new(&tensors).unwrap()
    }

    #[test]
    fn the_norm_passes_over_tensors_without_a_gradient() {
        let list = with_gradients(&[Some(3.0), None, Some(4.0)]);
        let norm = f64::try_from(list.gradient_norm(2.0).unwrap()).unwrap();
        assert!((norm - 50f64.sqrt()).abs() < 1e-6, "{norm}");
        assert_eq!(f64::try_from(with_gradients(&[None]).gradient_norm(2.0).unwrap()).unwrap(), 0.0);
    }

    #[test]
    fn an_empty_gradient_adds_nothing_to_any_norm() {
        let empty = Tensor::zeros([0, 3], (Kind::Float, Device::Cpu));
        set_grad(&empty, Some(&Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)))).unwrap();
        let full = with_gradients(&[Some(3.0), Some(-4.0)]);
        let [a, b] = full.tensors() else { panic!("two") };
        for order in [[&empty, a, b], [a, &empty, b], [a, b, &empty]] {
            let list = TensorList::new(&order.map(Tensor::shallow_clone)).unwrap();
            for (ord, expected) in
                [(f64::INFINITY, 4.0), (1.0, 14.0), (2.0, 50f64.sqrt()), (3.0, 182f64.cbrt())]
            {
                let norm = f64::try_from(list.gradient_norm(ord).unwrap()).unwrap();
                assert!((norm - expected).abs() < 1e-5, "the {ord}-norm is {norm}");
            }
            assert_eq!(f64::try_from(list.clip_grad_norm(100.0, f64::INFINITY).unwrap()).unwrap(), 4.0);
        }
        let alone = TensorList::new(&[empty]).unwrap();
        for ord in [1.0, 2.0, f64::INFINITY] {
            assert_eq!(f64::try_from(alone.clip_grad_norm(1.0, ord).unwrap()).unwrap(), 0.0);
        }
    }

    #[test]
    fn clipping_scales_down_and_never_up() {
        let list = with_gradients(&[Some(3.0), None, Some(4.0)]);
        let norm = list.clip_grad_norm(1.0, 2.0).unwrap();
        assert!((f64::try_from(norm).unwrap() - 50f64.sqrt()).abs() < 1e-6);
        assert!((f64::try_from(list.gradient_norm(2.0).unwrap()).unwrap() - 1.0).abs() < 1e-5);
        let small = with_gradients(&[Some(0.5)]);
        let _norm = small.clip_grad_norm(10.0, 2.0).unwrap();
        assert_eq!(small.tensors()[0].grad().double_value(&[0]), 0.5);
    }

    #[test]
    fn lerp_moves_every_tensor_and_refuses_other_numbers_and_shapes() {
        let tensors = |values: &[f64]| {
            let all: Vec<Tensor> =
                values.iter().map(|v| Tensor::full([2], *v, (Kind::Double, Device::Cpu))).collect();
            TensorList::new(&all).unwrap()
        };
        let list = tensors(&[1.0, -3.0]);
        list.lerp_(&tensors(&[2.0, 1.0]), 0.25).unwrap();
        assert_eq!(list.tensors().iter().map(|t| t.double_value(&[1])).collect::<Vec<_>>(), [1.25, -2.0]);
        let error = list.lerp_(&tensors(&[2.0]), 0.25).unwrap_err();
        assert_eq!(error.to_string(), "lists of 2 and 1 tensors");
        let other = TensorList::new(&[Tensor::zeros([1], (Kind::Double, Device::Cpu))]).unwrap();
        let error = other.lerp_(&tensors(&[2.0]), 0.25).unwrap_err();
        assert_eq!(error.to_string(), "a tensor of shape [1] can't move to one of shape [2]");
    }

    #[test]
    fn a_tensor_that_stands_in_the_list_twice_counts_once() {
        let gradient = |t: &Tensor| t.grad().double_value(&[0]);
        let (a, b) = (with_gradients(&[Some(3.0)]), with_gradients(&[Some(4.0)]));
        let [a, b] = [a, b].map(|list| list.tensors()[0].shallow_clone());
        let list = TensorList::new(&[a.shallow_clone(), b.shallow_clone(), a.shallow_clone()]).unwrap();
        list.divide_gradients(0.5).unwrap();
        assert_eq!((gradient(&a), gradient(&b)), (6.0, 8.0));
        assert!(!list.unscale_gradients(0.5).unwrap());
        assert_eq!((gradient(&a), gradient(&b)), (3.0, 4.0));
        assert!((list.gradient_norm(2.0).unwrap().double_value(&[]) - 50f64.sqrt()).abs() < 1e-6);
        let _norm = list.clip_grad_norm(50f64.sqrt() / 2.0, 2.0).unwrap();
        assert!((gradient(&a) - 1.5).abs() < 1e-6 && (gradient(&b) - 2.0).abs() < 1e-6);
        let ones = [1.0, 1.0, 1.0].map(|v| Tensor::full([2], v, (Kind::Float, Device::Cpu)));
        list.lerp_(&TensorList::new(&ones).unwrap(), 0.5).unwrap();
        assert_eq!((a.double_value(&[0]), b.double_value(&[0])), (0.5, 0.5));
    }

    #[test]
    fn norms_of_half_precision_are_summed_in_f32_and_clip_by_an_f32_factor() {
        for kind in [Kind::Half, Kind::BFloat16] {
            let tensors: Vec<Tensor> = (0..300)
                .map(|_| {
                    let t = Tensor::zeros([2], (kind, Device::Cpu));
                    set_grad(&t, Some(&Tensor::full([2], 1.0, (kind, Device::Cpu)))).unwrap();
                    t
                })
                .collect();
            let list = TensorList::new(&tensors).unwrap();
            // bfloat16 has no number nearer to 24.494897 than 24.5
            let norm = list.gradient_norm(2.0).unwrap();
            assert_eq!(norm.kind(), Kind::Float);
            assert!((norm.double_value(&[]) - 600f64.sqrt()).abs() < 1e-5, "{kind:?}: {norm:?}");
            let _norm = list.clip_grad_norm(6.0, 2.0).unwrap();
            let expected = Tensor::from(6.0 / 600f64.sqrt()).to_kind(kind).double_value(&[]);
            assert_eq!(list.tensors()[0].grad().double_value(&[0]), expected, "{kind:?}");
        }
    }

    #[test]
    fn an_average_in_f32_follows_half_precision() {
        let average = Tensor::full([2], 1.0, (Kind::Float, Device::Cpu));
        let towards = Tensor::full([2], 2.0, (Kind::BFloat16, Device::Cpu));
        let (list, to) = (TensorList::new(&[average.shallow_clone()]), TensorList::new(&[towards]));
        list.unwrap().lerp_(&to.unwrap(), 0.001).unwrap();
        assert!((average.double_value(&[1]) - 1.001).abs() < 1e-7);
    }

    #[test]
    fn the_largest_gradient_is_found_beside_an_empty_one() {
        let empty = Tensor::zeros([0], (Kind::Float, Device::Cpu));
        set_grad(&empty, Some(&Tensor::zeros([0], (Kind::Float, Device::Cpu)))).unwrap();
        let other = with_gradients(&[Some(-3.0)]).tensors()[0].shallow_clone();
        let largest = |tensors: &[Tensor]| {
            TensorList::new(tensors).unwrap().gradient_norm(f64::INFINITY).unwrap().double_value(&[])
        };
        assert_eq!(largest(&[empty.shallow_clone(), other]), 3.0);
        assert_eq!(largest(&[empty]), 0.0);
    }

    #[test]
    fn zero_grad_sets_to_none_and_divide_divides() {
        let list = with_gradients(&[Some(3.0), None]);
        list.divide_gradients(2.0).unwrap();
        assert_eq!(list.tensors()[0].grad().double_value(&[1]), 1.5);
        list.zero_grad().unwrap();
        assert!(!list.tensors()[0].grad().defined());
    }
}
