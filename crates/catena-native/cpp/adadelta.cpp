// torch.optim.Adadelta.
#include "walk.h"

namespace {

template <class T> struct Adadelta {
  T sign, decay, rho, rest, eps, lr;
  bool decays;
  explicit Adadelta(const AdadeltaArguments& a)
      : sign(a.maximize ? -1 : 1), decay(a.weight_decay), rho(a.rho), rest(1 - a.rho), eps(a.eps), lr(a.lr),
        decays(a.weight_decay != 0) {}

  template <class V> INLINE void operator()(V& p, const V& g, V& square_avg, V& acc_delta) const {
    V grad = sign * g;
    if (decays) grad = std::move(grad) + decay * p;
    square_avg = std::move(square_avg) * rho + rest * grad * grad;
    V delta = root(acc_delta + eps) / root(square_avg + eps) * grad;
    acc_delta = std::move(acc_delta) * rho + rest * delta * delta;
    p = std::move(p) - lr * delta;
  }
};
PASSES(2, Adadelta)

} // namespace

// State: step, square_avg, acc_delta.
API int catena_adadelta(TensorList* params, TensorList* const* state, uint8_t* stepped, const AdadeltaArguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped, [&](Passes& passes, const Tensor& p, const Tensor& g, State s, bool) {
      count(s[0]);
      walk<Adadelta>(passes, *a, p, g, s[1], s[2]);
    });
  });
}
