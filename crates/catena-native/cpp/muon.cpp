// torch.optim.Muon, by tensor operations: nearly all of its time goes into matrix products.
#include "walk.h"
#include <ATen/ops/addmm.h>
#include <ATen/ops/matmul.h>

namespace {

// Newton-Schulz's iteration towards the nearest orthogonal matrix, in bf16 as in torch, by the same operations in the same order.
Tensor orthogonal(const Tensor& matrix, const MuonArguments& a) {
  bool tall = matrix.size(0) > matrix.size(1);
  Tensor x = matrix.to(at::kBFloat16);
  if (tall) x = x.t();
  x = x / x.norm().clamp_min(a.eps);
  for (int64_t i = 0; i < a.ns_steps; i++) {
    Tensor gram = at::matmul(x, x.t());
    Tensor update = at::addmm(gram, gram, gram, /*beta=*/a.ns_b, /*alpha=*/a.ns_c);
    x = at::addmm(x, update, x, /*beta=*/a.ns_a);
  }
  return tall ? x.t() : x;
}

double adjusted(const MuonArguments& a, double rows, double columns) {
  return a.lr * (a.match_rms_adamw ? 0.2 * std::sqrt(std::max(rows, columns)) : std::sqrt(std::max(1.0, rows / columns)));
}

} // namespace

// State: momentum_buffer.
API int catena_muon(TensorList* params, TensorList* const* state, uint8_t* stepped, const MuonArguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped, [&](Passes&, const Tensor& p, const Tensor& g, State s, bool) {
      TORCH_CHECK(p.dim() == 2, "Muon is for parameters of two dimensions, and this one has ", p.dim());
      const Tensor& buffer = s[0];
      buffer.lerp_(g, 1 - a->momentum);
      Tensor update = orthogonal(a->nesterov ? g.lerp(buffer, a->momentum) : buffer, *a);
      p.mul_(1 - a->lr * a->weight_decay);
      p.add_(update, -adjusted(*a, p.size(0), p.size(1)));
    });
  });
}
