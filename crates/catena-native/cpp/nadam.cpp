// torch.optim.NAdam.
#include "walk.h"

namespace {

struct Factors : NAdamArguments {
  double bias_correction2, by_grad, by_mean;
  // `mu_product` is the state, an f32 as in torch; its product with this step's mu is rounded to f32.
  Factors(const NAdamArguments& a, double step, float& mu_product) : NAdamArguments(a) {
    auto mu_at = [&](double s) { return beta1 * (1 - 0.5 * std::pow(0.96, s * momentum_decay)); };
    double mu = mu_at(step), next = mu_at(step + 1);
    mu_product *= float(mu);
    bias_correction2 = 1 - std::pow(beta2, step);
    by_grad = -lr * (1 - mu) / (1 - double(mu_product));
    by_mean = -lr * next / (1 - double(mu_product) * next);
  }
};

template <class T> struct NAdam {
  T sign, decay, shrink, w1, b2, w2, eps, c2, by_grad, by_mean;
  bool coupled, shrinks;
  explicit NAdam(const Factors& f)
      : sign(f.maximize ? -1 : 1), decay(f.weight_decay), shrink(1 - f.lr * f.weight_decay), w1(1 - f.beta1), b2(f.beta2),
        w2(1 - f.beta2), eps(f.eps), c2(f.bias_correction2), by_grad(f.by_grad), by_mean(f.by_mean),
        coupled(!f.decoupled_weight_decay && f.weight_decay != 0),
        shrinks(f.decoupled_weight_decay && f.weight_decay != 0) {}

  template <class V> INLINE void operator()(V& p, const V& g, V& m, V& v) const {
    V grad = sign * g;
    if (shrinks) p = std::move(p) * shrink;
    if (coupled) grad = std::move(grad) + decay * p;
    m = lerp(std::move(m), grad, w1);
    v = std::move(v) * b2 + w2 * grad * grad;
    p = std::move(p) + (by_grad * grad + by_mean * m) / (root(v / c2) + eps);
  }
};
PASSES(2, NAdam)

} // namespace

// State: step, mu_product, exp_avg, exp_avg_sq.
API int catena_nadam(TensorList* params, TensorList* const* state, uint8_t* stepped, const NAdamArguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped, [&](Passes& passes, const Tensor& p, const Tensor& g, State s, bool first) {
      float& mu_product = number(s[1]);
      if (first) mu_product = 1;
      walk<NAdam>(passes, Factors(*a, count(s[0]), mu_product), p, g, s[2], s[3]);
    });
  });
}
