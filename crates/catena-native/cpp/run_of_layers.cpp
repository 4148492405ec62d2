// A run of layers as one autograd node: nothing is dispatched inside, and every element gets the bits that libtorch's own operations give.
#include "fused.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/gelu_backward_cpu_dispatch.h>
#include <ATen/ops/gelu_cpu_dispatch.h>
#include <ATen/ops/native_layer_norm_backward_cpu_dispatch.h>
#include <ATen/ops/native_layer_norm_cpu_dispatch.h>
#include <ATen/ops/sigmoid_backward_cpu_dispatch.h>
#include <ATen/ops/sigmoid_cpu_dispatch.h>
#include <ATen/ops/sum_cpu_dispatch.h>
#include <ATen/ops/tanh_backward_cpu_dispatch.h>
#include <ATen/ops/tanh_cpu_dispatch.h>
#include <mutex>

using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// A layer of a run: `RawLayer` of src/fused.rs.
struct RunLayer {
  int32_t kind;
  int32_t weight; // places among the run's parameters; -1 for none
  int32_t bias;
  int32_t dims;   // how many dimensions a layer norm goes over
  double number;  // a dropout's probability, a layer norm's eps
};
static_assert(sizeof(RunLayer) == 24, "laid out as in Rust");

struct Run {
  std::vector<RunLayer> layers;
  std::vector<Tensor> params;
};

namespace {

// As the constants in src/fused.rs.
enum Kind : int32_t { LINEAR, RELU, GELU, GELU_TANH, TANH, SIGMOID, DROPOUT, LAYER_NORM };

// At least so many elements are worth a thread.
constexpr int64_t GRAIN = 32768;

template <class F>
void each(const Tensor& t, F&& f) {
  at::parallel_for(0, t.numel(), GRAIN, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) f(i);
  });
}

template <class T>
void relu(const Tensor& from, Tensor& to) {
  const T* x = from.const_data_ptr<T>();
  T* y = to.mutable_data_ptr<T>();
  // NaN stays, and so does -0, as in libtorch
  each(to, [=](int64_t i) { y[i] = x[i] < 0 ? T(0) : x[i]; });
}

template <class T>
void relu_backward(const Tensor& output, const Tensor& from, Tensor& to) {
  const T *y = output.const_data_ptr<T>(), *d = from.const_data_ptr<T>();
  T* x = to.mutable_data_ptr<T>();
  each(to, [=](int64_t i) { x[i] = y[i] <= 0 ? T(0) : d[i]; });
}

template <class T>
void product(const Tensor& a, const Tensor& b, Tensor& to) {
  const T *x = a.const_data_ptr<T>(), *y = b.const_data_ptr<T>();
  T* z = to.mutable_data_ptr<T>();
  each(to, [=](int64_t i) { z[i] = x[i] * y[i]; });
}

template <class T>
void repeat_row(const Tensor& row, Tensor& to, int64_t rows, int64_t columns) {
  const T* x = row.const_data_ptr<T>();
  T* y = to.mutable_data_ptr<T>();
  at::parallel_for(0, rows, std::max<int64_t>(1, GRAIN / columns), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) std::copy(x, x + columns, y + i * columns);
  });
}

template <class T>
void divide(Tensor& t, double by) {
  T* x = t.mutable_data_ptr<T>();
  const T divisor = T(by);
  each(t, [=](int64_t i) { x[i] /= divisor; });
}

bool is_float(const Tensor& t) { return t.scalar_type() == at::kFloat; }

#define IN_ITS_TYPE(t, f, ...) (is_float(t) ? f<float>(__VA_ARGS__) : f<double>(__VA_ARGS__))

c10::string_view form(int32_t kind) { return kind == GELU_TANH ? "tanh" : "none"; }

// Which layers need their own output for the backward pass: nothing may be written over it.
bool needs_output(int32_t kind) { return kind == RELU || kind == TANH || kind == SIGMOID; }

bool needs_input(int32_t kind) { return kind == LINEAR || kind == GELU || kind == GELU_TANH || kind == LAYER_NORM; }

struct RunNode final : Node {
  std::vector<RunLayer> layers;
  std::vector<SavedVariable> weights; // by place; those of linear layers and layer norms
  SavedVariable input;
  std::vector<Tensor> inputs;  // by layer, where it is needed; the first layer's is `input`
  std::vector<Tensor> outputs; // by layer, where it is needed: an output, or the factors of a dropout
  std::vector<std::pair<Tensor, Tensor>> moments;
  SavedVariable output; // the run's own output, where a layer needs it
  size_t last_output = SIZE_MAX;
  bool is_released = false;
  std::mutex mutex;

  std::string name() const override { return "CatenaRun"; }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex);
    is_released = true;
    input.reset_data();
    output.reset_data();
    for (SavedVariable& weight : weights) weight.reset_data();
    inputs.clear();
    outputs.clear();
    moments.clear();
  }

  Tensor weight(int32_t at) { return at < 0 ? Tensor() : weights[at].unpack(); }

  variable_list apply(variable_list&& gradients) override {
    std::lock_guard<std::mutex> lock(mutex);
    refuse_second_derivative("a run of layers");
    at::AutoDispatchBelowADInplaceOrView below;
    variable_list wanted(num_outputs());
    if (!gradients[0].defined()) return wanted;
    TORCH_CHECK(!is_released, torch::autograd::ERR_BACKWARD_TWICE);
    Tensor first = needs_input(layers[0].kind) ? input.unpack() : Tensor();
    auto output_of = [&](size_t i) { return i == last_output ? output.unpack(getptr()) : outputs[i]; };
    Tensor d = gradients[0].contiguous();
    // whether nobody else has its memory
    bool is_own = false;
    // up to which layer a gradient is needed at all
    size_t last = layers.size();
    for (size_t i = layers.size(); i-- > 0;) {
      const RunLayer& layer = layers[i];
      bool here = (layer.weight >= 0 && task_should_compute_output(1 + layer.weight)) ||
                  (layer.bias >= 0 && task_should_compute_output(1 + layer.bias));
      if (here) last = i;
    }
    bool wants_input = task_should_compute_output(0);
    if (wants_input) last = 0;
    for (size_t i = layers.size(); i-- > last;) {
      const RunLayer& layer = layers[i];
      bool goes_on = i > last || wants_input;
      const Tensor& x = i == 0 ? first : inputs[i];
      auto to = [&]() -> Tensor { return is_own ? d : empty(d.sizes(), d); };
      switch (layer.kind) {
        case LINEAR: {
          Tensor w = weight(layer.weight);
          int out = w.size(0), in = w.size(1), rows = d.numel() / out;
          if (task_should_compute_output(1 + layer.weight)) {
            Tensor dw = empty({out, in}, d);
            gemm('N', 'T', in, out, rows, x, in, d, out, 0, dw);
            add(wanted[1 + layer.weight], dw);
          }
          if (layer.bias >= 0 && task_should_compute_output(1 + layer.bias)) {
            add(wanted[1 + layer.bias], at::cpu::sum(d.view({rows, out}), {0}));
          }
          if (!goes_on) return wanted;
          Tensor dx = empty(x.sizes(), d);
          gemm('N', 'N', in, rows, out, w, in, d, out, 0, dx);
          d = dx;
          is_own = true;
          break;
        }
        case RELU: {
          Tensor dx = to();
          IN_ITS_TYPE(d, relu_backward, output_of(i), d, dx);
          d = dx;
          is_own = true;
          break;
        }
        case GELU:
        case GELU_TANH:
          d = at::cpu::gelu_backward(d, x, form(layer.kind));
          is_own = true;
          break;
        case TANH:
          d = at::cpu::tanh_backward(d, output_of(i));
          is_own = true;
          break;
        case SIGMOID:
          d = at::cpu::sigmoid_backward(d, output_of(i));
          is_own = true;
          break;
        case DROPOUT:
          if (outputs[i].defined()) {
            Tensor dx = to();
            IN_ITS_TYPE(d, product, d, outputs[i], dx);
            d = dx;
            is_own = true;
          }
          break;
        case LAYER_NORM: {
          Tensor w = weight(layer.weight), b = weight(layer.bias);
          auto shape = x.sizes().slice(x.dim() - layer.dims);
          std::array<bool, 3> mask = {goes_on, layer.weight >= 0 && task_should_compute_output(1 + layer.weight),
                                      layer.bias >= 0 && task_should_compute_output(1 + layer.bias)};
          auto [dx, dw, db] = at::cpu::native_layer_norm_backward(d, x, shape, moments[i].first, moments[i].second, w, b, mask);
          if (mask[1]) add(wanted[1 + layer.weight], dw);
          if (mask[2]) add(wanted[1 + layer.bias], db);
          d = dx;
          is_own = true;
          break;
        }
      }
    }
    if (wants_input) wanted[0] = d;
    return wanted;
  }

  // A parameter may stand in several layers of a run.
  static void add(Tensor& sum, Tensor&& gradient) { sum = sum.defined() ? sum + gradient : std::move(gradient); }
  static void add(Tensor& sum, const Tensor& gradient) { add(sum, Tensor(gradient)); }
};

// Whether the layers, as they are now, can be computed here.
bool fits(const Run& run, const Tensor& input) {
  if (!is_plain(input) || input.dim() < 1 || is_intercepted()) return false;
  for (const Tensor& p : run.params)
    if (!is_plain(p) || p.scalar_type() != input.scalar_type()) return false;
  int64_t last = input.size(-1);
  for (const RunLayer& layer : run.layers) {
    if (layer.kind == LINEAR) {
      const Tensor& w = run.params[layer.weight];
      if (w.dim() != 2 || w.size(1) != last) return false;
      last = w.size(0);
      if (layer.bias >= 0 && (run.params[layer.bias].dim() != 1 || run.params[layer.bias].size(0) != last)) return false;
      if (input.numel() / input.size(-1) * last >= INT_MAX) return false;
    } else if (layer.kind == LAYER_NORM) {
      // over more dimensions than the last it would have to know the others
      if (layer.dims != 1 || (layer.weight >= 0 && run.params[layer.weight].sizes() != at::IntArrayRef({last}))) return false;
      if (layer.bias >= 0 && run.params[layer.bias].sizes() != at::IntArrayRef({last})) return false;
    }
  }
  return true;
}

Tensor forward(const Run& run, const Tensor& input, bool train) {
  bool graph = c10::GradMode::is_enabled() && input.requires_grad();
  for (const Tensor& p : run.params) graph |= c10::GradMode::is_enabled() && p.requires_grad();
  c10::intrusive_ptr<RunNode> node;
  size_t n = run.layers.size();
  if (graph) {
    node = c10::make_intrusive<RunNode>();
    node->layers = run.layers;
    node->inputs.resize(n);
    node->outputs.resize(n);
    node->moments.resize(n);
    if (needs_input(run.layers[0].kind)) node->input = SavedVariable(input, false);
    torch::autograd::edge_list edges;
    edges.reserve(1 + run.params.size());
    node->weights.reserve(run.params.size());
    edges.push_back(edge_to(input));
    for (const Tensor& p : run.params) {
      edges.push_back(edge_to(p));
      node->weights.emplace_back(p, false);
    }
    node->set_next_edges(std::move(edges));
  }
  Tensor x = input;
  // whether x has memory of the run's own that nothing keeps: then it may be written over
  bool is_free = false;
  {
    at::AutoDispatchBelowADInplaceOrView below;
    for (size_t i = 0; i < n; i++) {
      const RunLayer& layer = run.layers[i];
      // a dropout that does nothing: its output is its input, whoever keeps that
      if (layer.kind == DROPOUT && (!train || layer.number == 0)) continue;
      if (graph && i > 0 && needs_input(layer.kind)) {
        node->inputs[i] = x;
        is_free = false;
      }
      auto to = [&]() -> Tensor { return is_free ? x : empty(x.sizes(), x); };
      Tensor y;
      switch (layer.kind) {
        case LINEAR: {
          const Tensor& w = run.params[layer.weight];
          int out = w.size(0), in = w.size(1), rows = x.numel() / in;
          at::DimVector sizes(x.sizes().begin(), x.sizes().end());
          sizes.back() = out;
          y = empty(sizes, x);
          if (layer.bias >= 0) IN_ITS_TYPE(x, repeat_row, run.params[layer.bias], y, rows, out);
          gemm('T', 'N', out, rows, in, w, in, x, in, layer.bias >= 0, y);
          break;
        }
        case RELU:
          y = to();
          IN_ITS_TYPE(x, relu, x, y);
          break;
        case GELU:
        case GELU_TANH:
          y = at::cpu::gelu(x, form(layer.kind));
          break;
        case TANH:
          y = at::cpu::tanh(x);
          break;
        case SIGMOID:
          y = at::cpu::sigmoid(x);
          break;
        case DROPOUT: {
          // torch's generator, as libtorch's dropout draws from it
          Tensor factors = empty(x.sizes(), x);
          factors.bernoulli_(1 - layer.number);
          IN_ITS_TYPE(x, divide, factors, 1 - layer.number);
          y = to();
          IN_ITS_TYPE(x, product, x, factors, y);
          if (graph) node->outputs[i] = factors;
          break;
        }
        case LAYER_NORM: {
          auto tensor = [&](int32_t at) { return at < 0 ? std::optional<Tensor>() : std::optional<Tensor>(run.params[at]); };
          auto [normed, mean, rstd] = at::cpu::native_layer_norm(x, x.sizes().slice(x.dim() - layer.dims), tensor(layer.weight),
                                                                 tensor(layer.bias), layer.number);
          y = normed;
          if (graph) node->moments[i] = {mean, rstd};
          break;
        }
      }
      is_free = true;
      if (graph && needs_output(layer.kind)) {
        node->outputs[i] = y;
        is_free = false;
      }
      x = y;
    }
  }
  // a run of dropouts that do nothing
  if (x.is_same(input)) return input;
  if (graph) {
    torch::autograd::set_history(x, node);
    // the node must not hold what holds the node
    for (size_t i = 0; i < n; i++) {
      if (node->outputs[i].is_same(x)) {
        node->outputs[i].reset();
        node->output = SavedVariable(x, true);
        node->last_output = i;
      }
    }
  }
  return x;
}

} // namespace

API int catena_run_new(const RunLayer* layers, size_t n, Tensor* const* params, size_t n_params, Run** out) {
  return guard([&] {
    auto run = std::make_unique<Run>();
    run->layers.assign(layers, layers + n);
    for (size_t i = 0; i < n_params; i++) run->params.push_back(*params[i]);
    *out = run.release();
  });
}
API void catena_run_free(Run* run) {
  guard([&] { delete run; });
}

// The output, or null where libtorch's own operations have to be used.
API int catena_run_forward(const Run* run, const Tensor* input, uint8_t train, Tensor** out) {
  return guard([&] {
    *out = nullptr;
    if (fits(*run, *input)) *out = new Tensor(forward(*run, *input, train));
  });
}
