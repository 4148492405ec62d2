// torch.optim.Adam and AdamW: libtorch's fused kernels.
#include "arguments.h"
#include "gradients.h"
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>

// State: step (on the parameters' device), exp_avg, exp_avg_sq, max_exp_avg_sq (if amsgrad).
API int catena_adam(TensorList* params, TensorList* const* state, uint8_t* stepped, const AdamArguments* a) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    by_kernel(params->tensors, with_gradient(*params), [&](const std::vector<size_t>& at_) {
      auto p = pick(params->tensors, at_), g = pick_gradients(params->tensors, at_);
      auto s = pick(state[0]->tensors, at_), m = pick(state[1]->tensors, at_), v = pick(state[2]->tensors, at_);
      auto x = a->amsgrad ? pick(state[3]->tensors, at_) : std::vector<Tensor>();
      advance(s);
      if (a->decoupled_weight_decay)
        at::_fused_adamw_(p, g, m, v, x, s, a->lr, a->beta1, a->beta2, a->weight_decay, a->eps, a->amsgrad, a->maximize);
      else
        at::_fused_adam_(p, g, m, v, x, s, a->lr, a->beta1, a->beta2, a->weight_decay, a->eps, a->amsgrad, a->maximize);
      for (size_t i : at_) stepped[i] = 1;
    });
  });
}
