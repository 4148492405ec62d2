// torch.optim.RAdam.
#include "walk.h"

namespace {

struct Factors : RAdamArguments {
  double bias_correction1, bias_correction2, rectification; // rectification 0: not yet, plain momentum
  Factors(const RAdamArguments& a, double step) : RAdamArguments(a) {
    double beta2_power = std::pow(beta2, step);
    bias_correction1 = 1 - std::pow(beta1, step);
    bias_correction2 = 1 - beta2_power;
    double rho_inf = 2 / (1 - beta2) - 1;
    double rho = rho_inf - 2 * step * beta2_power / bias_correction2;
    rectification = rho > 5 ? std::sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) : 0;
  }
};

template <class T> struct RAdam {
  T sign, decay, shrink, w1, b2, w2, eps, lr, c1, root_c2, rect;
  bool rectified, coupled, shrinks;
  explicit RAdam(const Factors& f)
      : sign(f.maximize ? -1 : 1), decay(f.weight_decay), shrink(1 - f.lr * f.weight_decay), w1(1 - f.beta1), b2(f.beta2),
        w2(1 - f.beta2), eps(f.eps), lr(f.lr), c1(f.bias_correction1), root_c2(std::sqrt(f.bias_correction2)),
        rect(f.rectification), rectified(f.rectification > 0), coupled(!f.decoupled_weight_decay && f.weight_decay != 0),
        shrinks(f.decoupled_weight_decay && f.weight_decay != 0) {}

  template <class V> INLINE void operator()(V& p, const V& g, V& m, V& v) const {
    V grad = sign * g;
    if (shrinks) p = std::move(p) * shrink;
    if (coupled) grad = std::move(grad) + decay * p;
    m = lerp(std::move(m), grad, w1);
    v = std::move(v) * b2 + w2 * grad * grad;
    V update = m / c1 * lr;
    if (rectified) update = std::move(update) * (root_c2 / (root(v) + eps)) * rect;
    p = std::move(p) - update;
  }
};
PASSES(2, RAdam)

} // namespace

// State: step, exp_avg, exp_avg_sq.
API int catena_radam(TensorList* params, TensorList* const* state, uint8_t* stepped, const RAdamArguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped, [&](Passes& passes, const Tensor& p, const Tensor& g, State s, bool) {
      walk<RAdam>(passes, Factors(*a, count(s[0])), p, g, s[1], s[2]);
    });
  });
}
