// torch.optim.RAdam, which libtorch has no kernel for: one pass over memory on the CPU, tensor operations elsewhere.
#include "gradients.h"
#include <ATen/Parallel.h>
#include <ATen/ops/addcdiv.h>
#include <cmath>

namespace {

struct Factors {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled, maximize;
  double bias_correction1, bias_correction2, rectification; // rectification 0: not yet, plain momentum
};

Factors factors(double lr, double beta1, double beta2, double eps, double weight_decay, bool decoupled, bool maximize,
                double step) {
  double beta2_power = std::pow(beta2, step);
  double bias_correction2 = 1 - beta2_power;
  double rho_inf = 2 / (1 - beta2) - 1;
  double rho = rho_inf - 2 * step * beta2_power / bias_correction2;
  double rectification = rho > 5 ? std::sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) : 0;
  return {lr, beta1, beta2, eps, weight_decay, decoupled, maximize, 1 - std::pow(beta1, step), bias_correction2, rectification};
}

template <class T>
__attribute__((always_inline)) inline void pass(T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v,
                                                int64_t n, const Factors& f) {
  const T sign = f.maximize ? T(-1) : T(1), decay = T(f.weight_decay), shrink = T(1 - f.lr * f.weight_decay);
  const T w1 = T(1 - f.beta1), b2 = T(f.beta2), w2 = T(1 - f.beta2), eps = T(f.eps), lr = T(f.lr);
  const T c1 = T(f.bias_correction1), root_c2 = T(std::sqrt(f.bias_correction2)), rect = T(f.rectification);
  const bool rectified = f.rectification > 0, coupled = !f.decoupled && f.weight_decay != 0;
  const bool shrinks = f.decoupled && f.weight_decay != 0;
  for (int64_t i = 0; i < n; i++) {
    T x = p[i], grad = sign * g[i];
    if (shrinks) x = x * shrink;
    if (coupled) grad = grad + decay * x;
    T first = m[i] + w1 * (grad - m[i]);
    T second = v[i] * b2 + w2 * grad * grad;
    m[i] = first;
    v[i] = second;
    T update = first / c1 * lr;
    if (rectified) update = update * (root_c2 / (std::sqrt(second) + eps)) * rect;
    p[i] = x - update;
  }
}

// A copy for newer processors, chosen when the program is loaded. Contraction to fused multiply-add is off
// (build.rs), so that both copies give the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define FOR_EACH_PROCESSOR
#endif
FOR_EACH_PROCESSOR void pass_f32(float* p, const float* g, float* m, float* v, int64_t n, const Factors& f) { pass(p, g, m, v, n, f); }
FOR_EACH_PROCESSOR void pass_f64(double* p, const double* g, double* m, double* v, int64_t n, const Factors& f) { pass(p, g, m, v, n, f); }

void on_cpu(const Tensor& p, const Tensor& g, const Tensor& m, const Tensor& v, const Factors& f) {
  at::parallel_for(0, p.numel(), 16384, [&](int64_t begin, int64_t end) {
    int64_t n = end - begin;
    if (p.scalar_type() == at::kFloat)
      pass_f32(p.mutable_data_ptr<float>() + begin, g.const_data_ptr<float>() + begin, m.mutable_data_ptr<float>() + begin,
               v.mutable_data_ptr<float>() + begin, n, f);
    else
      pass_f64(p.mutable_data_ptr<double>() + begin, g.const_data_ptr<double>() + begin,
               m.mutable_data_ptr<double>() + begin, v.mutable_data_ptr<double>() + begin, n, f);
  });
  for (const Tensor& t : {p, m, v}) t.unsafeGetTensorImpl()->bump_version();
}

void with_operations(const Tensor& p, Tensor g, const Tensor& m, const Tensor& v, const Factors& f) {
  if (f.maximize) g = g.neg();
  if (f.weight_decay != 0) {
    if (f.decoupled)
      p.mul_(1 - f.lr * f.weight_decay);
    else
      g = g.add(p, f.weight_decay);
  }
  m.lerp_(g, 1 - f.beta1);
  v.mul_(f.beta2).addcmul_(g, g, 1 - f.beta2);
  Tensor update = m / f.bias_correction1 * f.lr;
  if (f.rectification > 0) update = update * (std::sqrt(f.bias_correction2) / (v.sqrt() + f.eps)) * f.rectification;
  p.sub_(update);
}

} // namespace

// `steps` are f32 scalars on the CPU, whatever the parameters' device: the factors are computed on the host.
API int catena_radam(TensorList* params, TensorList* exp_avgs, TensorList* exp_avg_sqs, TensorList* steps, uint8_t* stepped,
                     double lr, double beta1, double beta2, double eps, double weight_decay, int decoupled, int maximize) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    for (size_t i : with_gradient(params->tensors)) {
      const Tensor& p = params->tensors[i];
      const Tensor &m = exp_avgs->tensors[i], &v = exp_avg_sqs->tensors[i];
      Tensor g = dense_gradient(p);
      float step = *steps->tensors[i].mutable_data_ptr<float>() += 1;
      auto f = factors(lr, beta1, beta2, eps, weight_decay, decoupled, maximize, step);
      bool walked = p.is_cpu() && (p.scalar_type() == at::kFloat || p.scalar_type() == at::kDouble) &&
                    m.strides() == p.strides() && v.strides() == p.strides();
      walked ? on_cpu(p, g, m, v, f) : with_operations(p, g, m, v, f);
      stepped[i] = 1;
    }
  });
}
