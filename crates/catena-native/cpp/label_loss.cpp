// The cross entropy of labels as one autograd node over libtorch's own kernels, so that its bits are libtorch's.
#include "fused.h"
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Reduction.h>
#include <ATen/ops/_log_softmax_backward_data_cpu_dispatch.h>
#include <ATen/ops/_log_softmax_cpu_dispatch.h>
#include <ATen/ops/nll_loss_backward_cpu_dispatch.h>
#include <ATen/ops/nll_loss_forward_cpu_dispatch.h>
#include <mutex>

using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

namespace {

struct LabelLossNode final : Node {
  SavedVariable logits, labels;
  Tensor log_softmax, total;
  int64_t ignored;
  std::mutex mutex;

  std::string name() const override { return "CatenaLabelLoss"; }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex);
    logits.reset_data();
    labels.reset_data();
    log_softmax.reset();
    total.reset();
  }

  variable_list apply(variable_list&& gradients) override {
    std::lock_guard<std::mutex> lock(mutex);
    refuse_second_derivative("a loss");
    at::AutoDispatchBelowADInplaceOrView below;
    if (!gradients[0].defined()) return {Tensor()};
    Tensor z = logits.unpack(), y = labels.unpack();
    Tensor d = at::cpu::nll_loss_backward(gradients[0], log_softmax, y, {}, at::Reduction::Mean, ignored, total);
    return {at::cpu::_log_softmax_backward_data(d, log_softmax, 1, z.scalar_type())};
  }
};

} // namespace

// The mean over the labels that count, or null where libtorch's own operations have to be used.
API int catena_label_loss(const Tensor* logits, const Tensor* labels, int64_t ignored, Tensor** out) {
  return guard([&] {
    *out = nullptr;
    bool are_labels = labels->defined() && labels->is_cpu() && labels->scalar_type() == at::kLong && labels->dim() == 1;
    if (!is_plain(*logits) || logits->dim() != 2 || !are_labels || is_intercepted()) return;
    bool graph = c10::GradMode::is_enabled() && logits->requires_grad();
    Tensor log_softmax, value, total;
    {
      at::AutoDispatchBelowADInplaceOrView below;
      log_softmax = at::cpu::_log_softmax(*logits, 1, false);
      std::tie(value, total) = at::cpu::nll_loss_forward(log_softmax, *labels, {}, at::Reduction::Mean, ignored);
    }
    if (graph) {
      auto node = c10::make_intrusive<LabelLossNode>();
      node->set_next_edges({edge_to(*logits)});
      node->logits = SavedVariable(*logits, false);
      node->labels = SavedVariable(*labels, false);
      node->log_softmax = log_softmax;
      node->total = total;
      node->ignored = ignored;
      torch::autograd::set_history(value, node);
    }
    *out = new Tensor(value);
  });
}
