// torch.optim.Rprop.
#include "walk.h"

namespace {

template <class T> struct Rprop {
  T sign, etaminus, etaplus, least, most;
  explicit Rprop(const RpropArguments& a)
      : sign(a.maximize ? -1 : 1), etaminus(a.etaminus), etaplus(a.etaplus), least(a.step_size_min), most(a.step_size_max) {}

  template <class V> INLINE void operator()(V& p, const V& g, V& prev, V& step_size) const {
    V grad = sign * g, agreement = grad * prev;
    V eta = choose(agreement > T(0), etaplus, choose(agreement < T(0), etaminus, filled(agreement, T(1))));
    step_size = within(std::move(step_size) * eta, least, most);
    // where the sign has changed, this step is left out and the next one does not compare
    prev = choose(agreement < T(0), T(0), grad);
    p = std::move(p) - sign_of(prev) * step_size;
  }
};
PASSES(2, Rprop)

} // namespace

// State: step, prev, step_size.
API int catena_rprop(TensorList* params, TensorList* const* state, uint8_t* stepped, const RpropArguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped, [&](Passes& passes, const Tensor& p, const Tensor& g, State s, bool first) {
      count(s[0]);
      if (first) s[2].fill_(a->lr);
      walk<Rprop>(passes, *a, p, g, s[1], s[2]);
    });
  });
}
