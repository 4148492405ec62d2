// torch.optim.Adagrad: libtorch's fused kernel.
#include "arguments.h"
#include "gradients.h"
#include <ATen/ops/_fused_adagrad.h>

// State: step (on the parameters' device), sum.
API int catena_adagrad(TensorList* params, TensorList* const* state, uint8_t* stepped, const AdagradArguments* a) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    by_kernel(params->tensors, with_gradient(*params), [&](const std::vector<size_t>& at_) {
      auto p = pick(params->tensors, at_), g = pick_gradients(params->tensors, at_);
      auto steps = pick(state[0]->tensors, at_), sums = pick(state[1]->tensors, at_);
      for (size_t k = 0; k < at_.size(); k++)
        if (!stepped[at_[k]]) sums[k].fill_(a->initial_accumulator_value);
      advance(steps);
      at::_fused_adagrad_(p, g, sums, steps, a->lr, a->lr_decay, a->weight_decay, a->eps, a->maximize);
      for (size_t i : at_) stepped[i] = 1;
    });
  });
}
