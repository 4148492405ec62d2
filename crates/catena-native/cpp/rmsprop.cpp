// torch.optim.RMSprop.
#include "walk.h"

namespace {

template <bool CENTERED, bool MOMENTUM> struct RMSprop {
  template <class T> struct Rule {
    T sign, decay, alpha, rest, eps, momentum, lr;
    bool decays;
    explicit Rule(const RMSpropArguments& a)
        : sign(a.maximize ? -1 : 1), decay(a.weight_decay), alpha(a.alpha), rest(1 - a.alpha), eps(a.eps),
          momentum(a.momentum), lr(a.lr), decays(a.weight_decay != 0) {}

    // `more` is the momentum buffer, the mean of the gradients, or both in this order.
    template <class V, class... M> INLINE void operator()(V& p, const V& g, V& square_avg, M&... more) const {
      V grad = sign * g;
      if (decays) grad = std::move(grad) + decay * p;
      square_avg = std::move(square_avg) * alpha + rest * grad * grad;
      auto state = std::tie(more...);
      V spread = square_avg;
      if constexpr (CENTERED) {
        V& grad_avg = std::get<MOMENTUM>(state);
        grad_avg = lerp(std::move(grad_avg), grad, rest);
        spread = square_avg - grad_avg * grad_avg;
      }
      V divisor = root(std::move(spread)) + eps;
      if constexpr (MOMENTUM) {
        V& buffer = std::get<0>(state);
        buffer = std::move(buffer) * momentum + grad / divisor;
        p = std::move(p) - lr * buffer;
      } else {
        p = std::move(p) - lr * (grad / divisor);
      }
    }
  };
};
PASSES(1, RMSprop<false, false>::Rule)
PASSES(2, RMSprop<false, true>::Rule)
PASSES(2, RMSprop<true, false>::Rule)
PASSES(3, RMSprop<true, true>::Rule)

} // namespace

// State: step, square_avg, momentum_buffer (if there is one), grad_avg (if centered).
API int catena_rmsprop(TensorList* params, TensorList* const* state, uint8_t* stepped, const RMSpropArguments* a) {
  return guard([&] {
    TORCH_CHECK(a->momentum_buffer || !(a->momentum > 0), "momentum needs a momentum buffer: set it when the optimizer is made");
    each_with_gradient(params, state, stepped, [&](Passes& passes, const Tensor& p, const Tensor& g, State s, bool) {
      count(s[0]);
      size_t mean = a->momentum_buffer ? 3 : 2;
      if (a->centered && a->momentum > 0)
        walk<RMSprop<true, true>::Rule>(passes, *a, p, g, s[1], s[2], s[mean]);
      else if (a->centered)
        walk<RMSprop<true, false>::Rule>(passes, *a, p, g, s[1], s[mean]);
      else if (a->momentum > 0)
        walk<RMSprop<false, true>::Rule>(passes, *a, p, g, s[1], s[2]);
      else
        walk<RMSprop<false, false>::Rule>(passes, *a, p, g, s[1]);
    });
  });
}
