// One optimizer step over a list of parameters: libtorch's fused kernels.
#include "gradients.h"
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>

// In every call `stepped[i]` tells whether parameter i has been stepped before, that is, whether its state means
// anything; the call sets it. SGD's first step takes the gradient undamped, as torch.optim.SGD does.
API int catena_sgd(TensorList* params, TensorList* momentum_buffers, uint8_t* stepped, double lr, double momentum,
                   double dampening, double weight_decay, int nesterov, int maximize) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    auto step = [&](const std::vector<size_t>& positions, bool first) {
      by_kernel(params->tensors, positions, [&](const std::vector<size_t>& at_) {
        auto p = pick(params->tensors, at_), g = pick_gradients(params->tensors, at_);
        auto m = momentum_buffers == nullptr ? std::vector<Tensor>() : pick(momentum_buffers->tensors, at_);
        auto fused = [&](at::TensorList p, at::TensorList g, at::TensorList m) {
          at::_fused_sgd_(p, g, m, weight_decay, momentum, lr, dampening, nesterov, maximize, first);
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

API int catena_adam(TensorList* params, TensorList* exp_avgs, TensorList* exp_avg_sqs, TensorList* max_exp_avg_sqs,
                    TensorList* steps, uint8_t* stepped, double lr, double beta1, double beta2, double eps,
                    double weight_decay, int maximize, int decoupled) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    bool amsgrad = max_exp_avg_sqs != nullptr;
    by_kernel(params->tensors, with_gradient(*params), [&](const std::vector<size_t>& at_) {
      auto p = pick(params->tensors, at_), g = pick_gradients(params->tensors, at_);
      auto m = pick(exp_avgs->tensors, at_), v = pick(exp_avg_sqs->tensors, at_), s = pick(steps->tensors, at_);
      auto x = amsgrad ? pick(max_exp_avg_sqs->tensors, at_) : std::vector<Tensor>();
      advance(s);
      if (decoupled)
        at::_fused_adamw_(p, g, m, v, x, s, lr, beta1, beta2, weight_decay, eps, amsgrad, maximize);
      else
        at::_fused_adam_(p, g, m, v, x, s, lr, beta1, beta2, weight_decay, eps, amsgrad, maximize);
      for (size_t i : at_) stepped[i] = 1;
    });
  });
}
