// torch.optim.Adamax.
#include "walk.h"

namespace {

struct Factors : AdamaxArguments {
  double corrected_lr;
  Factors(const AdamaxArguments& a, double step) : AdamaxArguments(a), corrected_lr(lr / (1 - std::pow(beta1, step))) {}
};

template <class T> struct Adamax {
  T sign, decay, w1, b2, eps, lr;
  bool decays;
  explicit Adamax(const Factors& f)
      : sign(f.maximize ? -1 : 1), decay(f.weight_decay), w1(1 - f.beta1), b2(f.beta2), eps(f.eps), lr(f.corrected_lr),
        decays(f.weight_decay != 0) {}

  template <class V> INLINE void operator()(V& p, const V& g, V& exp_avg, V& exp_inf) const {
    V grad = sign * g;
    if (decays) grad = std::move(grad) + decay * p;
    exp_avg = lerp(std::move(exp_avg), grad, w1);
    exp_inf = larger(std::move(exp_inf) * b2, magnitude(grad) + eps);
    p = std::move(p) - lr * exp_avg / exp_inf;
  }
};
PASSES(2, Adamax)

} // namespace

// State: step, exp_avg, exp_inf.
API int catena_adamax(TensorList* params, TensorList* const* state, uint8_t* stepped, const AdamaxArguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped, [&](Passes& passes, const Tensor& p, const Tensor& g, State s, bool) {
      walk<Adamax>(passes, Factors(*a, count(s[0])), p, g, s[1], s[2]);
    });
  });
}
