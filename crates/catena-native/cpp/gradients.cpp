// Many tensors in one call: gradients cleared, scaled, measured and clipped; averages moved.
#include "gradients.h"
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_div.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <limits>
#include <unordered_set>

std::vector<size_t> with_gradient(const TensorList& params) {
  std::vector<size_t> positions;
  positions.reserve(params.distinct.size());
  for (size_t i : params.distinct)
    if (params.tensors[i].grad().defined()) positions.push_back(i);
  return positions;
}

Tensor dense_gradient(const Tensor& param) {
  const Tensor& grad = param.grad();
  TORCH_CHECK(grad.layout() == at::kStrided, "a sparse gradient: only dense ones are supported");
  TORCH_CHECK(param.is_non_overlapping_and_dense(), "a parameter whose memory overlaps or has holes can't be optimized");
  if (grad.strides() == param.strides()) return grad;
  Tensor dense = at::empty_like(param);
  dense.copy_(grad);
  return dense;
}

void advance(std::vector<Tensor>& steps) {
  if (steps.empty()) return;
  if (steps[0].is_cpu()) {
    for (Tensor& step : steps) *step.mutable_data_ptr<float>() += 1;
  } else {
    at::_foreach_add_(steps, 1);
  }
}

API int catena_list_new(Tensor* const* tensors, size_t n, TensorList** out) {
  return guard([&] {
    auto list = std::make_unique<TensorList>();
    list->tensors.reserve(n);
    list->distinct.reserve(n);
    std::unordered_set<const void*> seen;
    for (size_t i = 0; i < n; i++) {
      list->tensors.push_back(*tensors[i]);
      if (seen.insert(tensors[i]->unsafeGetTensorImpl()).second) list->distinct.push_back(i);
    }
    *out = list.release();
  });
}
API void catena_list_free(TensorList* list) {
  guard([&] { delete list; });
}

API int catena_zero_grad(TensorList* params) {
  return guard([&] {
    for (Tensor& p : params->tensors)
      if (p.grad().defined()) p.mutable_grad() = Tensor();
  });
}

API int catena_divide_gradients(TensorList* params, double divisor) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    by_device_and_dtype(params->tensors, with_gradient(*params), [&](const std::vector<size_t>& at_) {
      std::vector<Tensor> grads;
      for (size_t i : at_) grads.push_back(params->tensors[i].grad());
      at::_foreach_div_(grads, at::Scalar(divisor));
    });
  });
}

// The norm of the norms, in the list's order; a scalar on the first gradient's device. Zero without any gradient. Norms of half
// precision are f32: torch rounds each to the gradients' dtype, which for bfloat16 leaves two digits.
static Tensor total_norm(std::vector<Tensor> grads, double ord) {
  if (ord == std::numeric_limits<double>::infinity()) // nothing has no largest element
    grads.erase(std::remove_if(grads.begin(), grads.end(), [](const Tensor& g) { return g.numel() == 0; }), grads.end());
  if (grads.empty()) return at::zeros({}, at::kFloat);
  // by device and dtype, as torch.nn.utils.get_total_norm does: one call each, stacked in the list's order
  std::vector<size_t> all(grads.size());
  for (size_t i = 0; i < all.size(); i++) all[i] = i;
  std::vector<Tensor> norms(grads.size());
  by_device_and_dtype(grads, all, [&](const std::vector<size_t>& at_) {
    auto some = at::_foreach_norm(pick(grads, at_), ord, dtype_of_sums(grads[at_[0]]));
    for (size_t i = 0; i < at_.size(); i++) norms[at_[i]] = some[i];
  });
  for (Tensor& n : norms) n = n.to(grads[0].device());
  return at::linalg_vector_norm(at::stack(norms), ord);
}
static std::vector<Tensor> gradients_of(TensorList* params) {
  std::vector<Tensor> grads;
  for (size_t i : with_gradient(*params)) {
    // an empty one adds nothing to any norm; libtorch refuses its infinity norm, which has no identity
    if (params->tensors[i].grad().numel() > 0) grads.push_back(params->tensors[i].grad());
  }
  return grads;
}

API int catena_gradient_norm(TensorList* params, double ord, Tensor** out) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    *out = new Tensor(total_norm(gradients_of(params), ord));
  });
}

// torch.nn.utils.clip_grad_norm_: the factor is computed on the device, so nothing waits for it.
API int catena_clip_grad_norm(TensorList* params, double max_norm, double ord, Tensor** out) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    auto grads = gradients_of(params);
    Tensor norm = total_norm(grads, ord);
    Tensor factor = at::clamp(max_norm / (norm + 1e-6), std::nullopt, 1.0);
    std::vector<size_t> all(grads.size());
    for (size_t i = 0; i < all.size(); i++) all[i] = i;
    by_device_and_dtype(grads, all, [&](const std::vector<size_t>& at_) {
      auto some = pick(grads, at_);
      Tensor own = factor.to(some[0].device());
      if (!is_half(some[0])) return at::_foreach_mul_(some, own);
      // by the factor in f32, in one kernel: rounded to the gradients' dtype it would leave the norm too large
      Tensor found = at::zeros({1}, own.options().dtype(at::kFloat));
      at::_amp_foreach_non_finite_check_and_unscale_(some, found, own.to(at::kFloat));
    });
    *out = new Tensor(std::move(norm));
  });
}

// Moves each tensor towards its partner in `to`; the shapes are theirs. Partners of another dtype are converted, so many at a
// time that what is in between is bounded.
API int catena_lerp(TensorList* tensors, TensorList* to, double weight) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    TORCH_CHECK(tensors->tensors.size() == to->tensors.size(), "lists of ", tensors->tensors.size(), " and ",
                to->tensors.size(), " tensors");
    for (size_t i = 0; i < tensors->tensors.size(); i++)
      TORCH_CHECK(tensors->tensors[i].sizes() == to->tensors[i].sizes(), "a tensor of shape ", tensors->tensors[i].sizes(),
                  " can't move to one of shape ", to->tensors[i].sizes());
    by_device_and_dtype(tensors->tensors, tensors->distinct, [&](const std::vector<size_t>& at_) {
      constexpr int64_t MOST = 8 << 20;
      auto dtype = tensors->tensors[at_[0]].scalar_type();
      std::vector<Tensor> from, towards;
      int64_t converted = 0;
      auto move = [&] {
        if (!from.empty()) at::_foreach_lerp_(from, towards, at::Scalar(weight));
        from.clear();
        towards.clear();
        converted = 0;
      };
      for (size_t i : at_) {
        const Tensor& partner = to->tensors[i];
        if (partner.scalar_type() != dtype) converted += partner.numel();
        if (converted > MOST) move();
        from.push_back(tensors->tensors[i]);
        towards.push_back(partner.to(dtype));
      }
      move();
    });
  });
}

// `loss.backward(inputs=…)`: gradients are added for these parameters only; those that need none are passed over.
API int catena_backward(Tensor* loss, TensorList* params) {
  return guard([&] {
    std::vector<Tensor> inputs;
    for (size_t i : params->distinct)
      if (params->tensors[i].requires_grad()) inputs.push_back(params->tensors[i]);
    TORCH_CHECK(!inputs.empty(), "none of the parameters requires a gradient");
    loss->backward({}, /*retain_graph=*/false, /*create_graph=*/false, inputs);
  });
}
