// Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2).
#include "walk.h"

namespace {

template <class T> struct Lion {
  T sign, shrink, b1, w1, b2, w2, lr;
  explicit Lion(const LionArguments& a)
      : sign(a.maximize ? -1 : 1), shrink(1 - a.lr * a.weight_decay), b1(a.beta1), w1(1 - a.beta1), b2(a.beta2),
        w2(1 - a.beta2), lr(a.lr) {}

  template <class V> INLINE void operator()(V& p, const V& g, V& m) const {
    V grad = sign * g;
    p = std::move(p) * shrink - lr * sign_of(m * b1 + w1 * grad);
    m = std::move(m) * b2 + w2 * grad;
  }
};
PASSES(1, Lion)

} // namespace

// State: exp_avg.
API int catena_lion(TensorList* params, TensorList* const* state, uint8_t* stepped, const LionArguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped, [&](Passes& passes, const Tensor& p, const Tensor& g, State s, bool) {
      walk<Lion>(passes, *a, p, g, s[0]);
    });
  });
}
