// torch.optim.SGD: libtorch's fused kernel.
#include "arguments.h"
#include "gradients.h"
#include <ATen/ops/_fused_sgd.h>

// State: momentum_buffer (if there is one). A parameter's first step takes the gradient undamped, as torch.optim.SGD does.
API int catena_sgd(TensorList* params, TensorList* const* state, uint8_t* stepped, const SgdArguments* a) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    bool buffered = a->momentum_buffer || a->momentum != 0;
    auto step = [&](const std::vector<size_t>& positions, bool first) {
      by_kernel(params->tensors, positions, [&](const std::vector<size_t>& at_) {
        auto p = pick(params->tensors, at_), g = pick_gradients(params->tensors, at_);
        auto m = buffered ? pick(state[0]->tensors, at_) : std::vector<Tensor>();
        auto fused = [&](at::TensorList p, at::TensorList g, at::TensorList m) {
          at::_fused_sgd_(p, g, m, a->weight_decay, a->momentum, a->lr, a->dampening, a->nesterov, a->maximize, first);
        };
        if (!p[0].is_cpu() || !is_half(p[0]) || m.empty()) return fused(p, g, m);
        // libtorch's kernel for half precision reads past the end of the momentum buffers (2.13, seen with valgrind) and leaves what it
        // finds there: the same arithmetic in f32 copies, one parameter at a time
        for (size_t i = 0; i < p.size(); i++) {
          Tensor p32 = p[i].to(at::kFloat), g32 = g[i].to(at::kFloat), m32 = m[i].to(at::kFloat);
          fused({p32}, {g32}, {m32});
          p[i].copy_(p32);
          m[i].copy_(m32);
        }
      });
    };
    std::vector<size_t> first, later;
    for (size_t i : with_gradient(*params)) (stepped[i] ? later : first).push_back(i);
    step(later, false);
    step(first, true);
    for (size_t i : first) stepped[i] = 1;
  });
}
