// LAMB (You et al. 2020, "Large Batch Optimization for Deep Learning", algorithm 2, with the identity as phi).
//
// The update's length is known only at the end of a pass, so there are two: the first moves the moments and adds up both
// norms, the second computes the update again from the moments and applies it. No memory is taken beyond the state.
#include "walk.h"
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/stack.h>

namespace {

struct Factors : LambArguments {
  double bias_correction1, bias_correction2;
  Factors(const LambArguments& a, double step)
      : LambArguments(a), bias_correction1(1 - std::pow(beta1, step)), bias_correction2(1 - std::pow(beta2, step)) {}
};

template <class T> struct Lamb {
  T sign, decay, w1, b2, w2, eps, c1, c2;
  explicit Lamb(const Factors& f)
      : sign(f.maximize ? -1 : 1), decay(f.weight_decay), w1(1 - f.beta1), b2(f.beta2), w2(1 - f.beta2), eps(f.eps),
        c1(f.bias_correction1), c2(f.bias_correction2) {}

  template <class V> INLINE void moments(const V& g, V& m, V& v) const {
    V grad = sign * g;
    m = lerp(std::move(m), grad, w1);
    v = std::move(v) * b2 + w2 * grad * grad;
  }
  template <class V> INLINE V update(const V& p, const V& m, const V& v) const {
    return m / c1 / (root(v / c2) + eps) + decay * p;
  }
};

// Sums of squares, of the parameter and of its update.
struct Norms {
  double param = 0, update = 0;
};

// Sums go over fixed blocks and lanes, so that they are the same for any number of threads and on any processor.
constexpr int64_t BLOCK = 16384, LANES = 16;

template <class T>
INLINE void first_pass(const Lamb<T> rule, int64_t n, const T* __restrict p, const T* __restrict g, T* __restrict m,
                       T* __restrict v, Norms& sums) {
  double xx[LANES] = {}, uu[LANES] = {};
  auto one = [&](int64_t i, int64_t lane) __attribute__((always_inline)) {
    rule.moments(g[i], m[i], v[i]);
    double x = p[i], u = rule.update(p[i], m[i], v[i]);
    xx[lane] += x * x;
    uu[lane] += u * u;
  };
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int64_t lane = 0; lane < LANES; lane++) one(i + lane, lane);
  for (; i < n; i++) one(i, i % LANES);
  for (int64_t lane = 0; lane < LANES; lane++) sums.param += xx[lane], sums.update += uu[lane];
}
template <class T>
INLINE void second_pass(const Lamb<T> rule, int64_t n, T* __restrict p, const T* __restrict m, const T* __restrict v, T scale) {
  for (int64_t i = 0; i < n; i++) p[i] = p[i] - scale * rule.update(p[i], m[i], v[i]);
}

#define LAMB_PASSES(T)                                                                                                 \
  FOR_EACH_PROCESSOR void sum_up(const Lamb<T>& rule, int64_t n, const T* p, const T* g, T* m, T* v, Norms& sums) {    \
    first_pass<T>(rule, n, p, g, m, v, sums);                                                                          \
  }                                                                                                                    \
  FOR_EACH_PROCESSOR void apply(const Lamb<T>& rule, int64_t n, T* p, const T* m, const T* v, T scale) {               \
    second_pass<T>(rule, n, p, m, v, scale);                                                                           \
  }
LAMB_PASSES(float)
LAMB_PASSES(double)

template <class T> void in_two_passes(const Factors& f, const Tensor& p, const Tensor& g, const Tensor& m, const Tensor& v) {
  const Lamb<T> rule(f);
  T *p0 = p.mutable_data_ptr<T>(), *m0 = m.mutable_data_ptr<T>(), *v0 = v.mutable_data_ptr<T>();
  const T* g0 = g.const_data_ptr<T>();
  int64_t n = p.numel(), blocks = (n + BLOCK - 1) / BLOCK;
  std::vector<Norms> sums(blocks);
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++) {
      int64_t at_ = block * BLOCK, length = std::min(BLOCK, n - at_);
      sum_up(rule, length, p0 + at_, g0 + at_, m0 + at_, v0 + at_, sums[block]);
    }
  });
  Norms all;
  for (const Norms& some : sums) all.param += some.param, all.update += some.update;
  double trust = all.param > 0 && all.update > 0 ? std::sqrt(all.param) / std::sqrt(all.update) : 1;
  at::parallel_for(0, n, BLOCK, [&](int64_t begin, int64_t end) {
    apply(rule, end - begin, p0 + begin, m0 + begin, v0 + begin, T(f.lr * trust));
  });
  for (const Tensor& t : {p, m, v}) bump_version(t);
}

struct LambTogether : Lamb<double> {
  double lr;
  explicit LambTogether(const Factors& f) : Lamb<double>(f), lr(f.lr) {}

  void operator()(Together& p, const Together& g, Together& m, Together& v) const {
    moments(g, m, v);
    Together change = update(p, m, v);
    auto norms_of = [&](const Together& t) { return at::stack(at::_foreach_norm(t.all(), 2, dtype_of_sums(t.all()[0]))); };
    Tensor norms = norms_of(p), lengths = norms_of(change);
    Tensor trust = at::where((norms > 0).logical_and(lengths > 0), norms / lengths, at::Scalar(1.0));
    at::_foreach_mul_(change.all(), (trust * lr).unbind());
    p = std::move(p) - change;
  }
};

} // namespace

// State: step, exp_avg, exp_avg_sq.
API int catena_lamb(TensorList* params, TensorList* const* state, uint8_t* stepped, const LambArguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped, [&](Passes& passes, const Tensor& p, const Tensor& g, State s, bool) {
      Factors f(*a, count(s[0]));
      const Tensor &m = s[1], &v = s[2];
      if (!walkable(p, g) || !walkable(p, m) || !walkable(p, v))
        passes.add_together(LambTogether(f), p, g, m, v);
      else if (p.scalar_type() == at::kFloat)
        in_two_passes<float>(f, p, g, m, v);
      else
        in_two_passes<double>(f, p, g, m, v);
    });
  });
}
