// torch.optim.ASGD.
#include "walk.h"

namespace {

struct Factors : AsgdArguments {
  double eta, mu; // as the state has them, in f32
};

template <class T> struct Asgd {
  T sign, decay, shrink, eta, mu;
  bool decays, averages;
  explicit Asgd(const Factors& f)
      : sign(f.maximize ? -1 : 1), decay(f.weight_decay), shrink(1 - f.lambd * f.eta), eta(f.eta), mu(f.mu),
        decays(f.weight_decay != 0), averages(f.mu != 1) {}

  template <class V> INLINE void operator()(V& p, const V& g, V& ax) const {
    V grad = sign * g;
    if (decays) grad = std::move(grad) + decay * p;
    p = std::move(p) * shrink - eta * grad;
    if (averages)
      ax = lerp(std::move(ax), p, mu);
    else
      ax = p;
  }
};
PASSES(1, Asgd)

} // namespace

// State: step, eta, mu, ax. As in torch, a step takes the eta and mu that the step before left, rounded to f32.
API int catena_asgd(TensorList* params, TensorList* const* state, uint8_t* stepped, const AsgdArguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped, [&](Passes& passes, const Tensor& p, const Tensor& g, State s, bool first) {
      double step = count(s[0]);
      float &eta = number(s[1]), &mu = number(s[2]);
      if (first) eta = float(a->lr), mu = 1;
      walk<Asgd>(passes, Factors{*a, eta, mu}, p, g, s[3]);
      eta = float(a->lr / std::pow(1 + a->lambd * a->lr * step, a->alpha));
      mu = float(1 / std::max(1.0, step - a->t0));
    });
  });
}
