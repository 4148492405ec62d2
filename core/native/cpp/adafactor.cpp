// torch.optim.Adafactor, by tensor operations: its factors are reductions over rows and columns. Nothing waits for the device.
#include "walk.h"
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <limits>

namespace {

struct Arguments {
  double lr, beta2_decay, eps1, eps2, d, weight_decay; // eps1 below 0: the dtype's epsilon
  bool maximize;
};

double epsilon(at::ScalarType dtype) {
  switch (dtype) {
  case at::kDouble: return std::numeric_limits<double>::epsilon();
  case at::kHalf: return std::numeric_limits<at::Half>::epsilon();
  case at::kBFloat16: return std::numeric_limits<at::BFloat16>::epsilon();
  default: return std::numeric_limits<float>::epsilon();
  }
}

Tensor length(const Tensor& t) { return at::linalg_vector_norm(t, 2); }

// (g * g).mean(dim), with nothing of g's size in between.
Tensor mean_square(const Tensor& g, int64_t dim) {
  return at::linalg_vector_norm(g, 2, at::IntArrayRef(dim), /*keepdim=*/true).square_().div_(g.size(dim));
}

void step_one(const Tensor& p, Tensor g, const State& s, const Arguments& a) {
  if (a.maximize) g = g.neg();
  double step = count(s[0]), weight = std::pow(step, a.beta2_decay), size = std::sqrt(double(p.numel()));
  double eps1 = a.eps1 < 0 ? epsilon(p.scalar_type()) : a.eps1;
  Tensor alpha = (length(p) / size).clamp_min(a.eps2) * std::min(a.lr, 1 / std::sqrt(step));
  if (a.weight_decay != 0) p.mul_(1 - a.lr * a.weight_decay);
  Tensor variance;
  if (p.dim() > 1) {
    const Tensor &row_var = s[1], &col_var = s[2];
    row_var.lerp_(mean_square(g, -1), weight);
    col_var.lerp_(mean_square(g, -2), weight);
    variance = at::matmul(row_var, col_var).div_(row_var.mean(-2, /*keepdim=*/true).clamp_min_(eps1));
  } else {
    s[3].lerp_(g * g, weight);
    variance = s[3].clone();
  }
  Tensor update = variance.clamp_min_(eps1 * eps1).rsqrt_().mul_(g);
  Tensor denominator = (length(update) / (size * a.d)).clamp_min(1);
  p.sub_(update.mul_(alpha / denominator));
}

} // namespace

// State: step, row_var and col_var (from two dimensions on), variance (below).
API int catena_adafactor(TensorList* params, TensorList* const* state, uint8_t* stepped, const Arguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped,
                       [&](const Tensor& p, const Tensor& g, State s, bool) { step_one(p, g, s, *a); });
  });
}
