// What the optimizers' kernels share: a rule is written once, for one element, and runs in one pass over memory on the CPU in
// f32 and f64, and by tensor operations on other devices and in other dtypes.
//
//   template <class T> struct Rule {            // T: float or double
//     explicit Rule(const Factors& f);          // what holds for every element, computed in f64 and rounded once
//     template <class V> void operator()(V& p, const V& g, V&... state) const;
//   };
//   PASSES(2, Rule)                             // two tensors of state
//   walk<Rule>(passes, factors, p, g, state...);
//
// The passes over all parameters are made together at the end, in one parallel region: most parameters are too small for one
// of their own.
//
// V is T in a pass and a whole Tensor elsewhere, so a rule uses + - * / and the functions below, and neither += nor a branch
// on an element.
#pragma once
#include "gradients.h"
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/where.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#define INLINE __attribute__((always_inline)) inline

INLINE float root(float x) { return std::sqrt(x); }
INLINE double root(double x) { return std::sqrt(x); }
inline Tensor root(const Tensor& x) { return x.sqrt(); }

INLINE float magnitude(float x) { return std::fabs(x); }
INLINE double magnitude(double x) { return std::fabs(x); }
inline Tensor magnitude(const Tensor& x) { return x.abs(); }

// 1, -1, or 0 for zero and NaN.
INLINE float sign_of(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f; }
INLINE double sign_of(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; }
inline Tensor sign_of(const Tensor& x) { return x.sign(); }

// NaN if one of the two is.
INLINE float larger(float a, float b) { return a > b || a != a ? a : b; }
INLINE double larger(double a, double b) { return a > b || a != a ? a : b; }
inline Tensor larger(const Tensor& a, const Tensor& b) { return at::maximum(a, b); }

INLINE float within(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
INLINE double within(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
inline Tensor within(const Tensor& x, double low, double high) { return x.clamp(low, high); }

template <class T> INLINE T choose(bool which, T a, T b) { return which ? a : b; }
inline Tensor choose(const Tensor& which, double a, const Tensor& b) { return at::where(which, at::Scalar(a), b); }

// `value`, in the shape of `like`.
INLINE float filled(float, float value) { return value; }
INLINE double filled(double, double value) { return value; }
inline Tensor filled(const Tensor& like, double value) { return at::full_like(like, value); }

// A copy for newer processors, chosen when the program is loaded. Contraction to fused multiply-add is off
// (build.rs), so that all copies give the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define FOR_EACH_PROCESSOR
#endif

template <class T, class Rule, class... S>
INLINE void pass(const Rule rule, int64_t n, T* __restrict p, const T* __restrict g, S* __restrict... s) {
  for (int64_t i = 0; i < n; i++) rule(p[i], g[i], s[i]...);
}
template <class T, class Rule, size_t N, size_t... I>
INLINE void pass(const Rule& rule, int64_t n, T* p, const T* g, const std::array<T*, N>& s, std::index_sequence<I...>) {
  pass(rule, n, p, g, s[I]...);
}

#define ONE_PASS(N, T, ...)                                                                                            \
  FOR_EACH_PROCESSOR void pass_over(const __VA_ARGS__<T>& rule, int64_t n, T* p, const T* g,                           \
                                    const std::array<T*, N>& s) {                                                      \
    pass(rule, n, p, g, s, std::make_index_sequence<N>());                                                             \
  }
// The kernels of a rule (the last arguments, with its commas) that keeps N tensors of state.
#define PASSES(N, ...) ONE_PASS(N, float, __VA_ARGS__) ONE_PASS(N, double, __VA_ARGS__)

static inline void bump_version(const Tensor& t) { t.unsafeGetTensorImpl()->bump_version(); }

// Whether a pass may take `s` side by side with `p`: on the CPU, f32 or f64, the same layout.
static inline bool walkable(const Tensor& p, const Tensor& s) {
  bool kind = p.scalar_type() == at::kFloat || p.scalar_type() == at::kDouble;
  return kind && p.is_cpu() && s.is_cpu() && s.scalar_type() == p.scalar_type() && s.sizes() == p.sizes() &&
         s.strides() == p.strides();
}

// Passes over memory that are still to be made. Each is cut into blocks, and the blocks of all of them are shared out.
class Passes {
public:
  using Pass = std::function<void(int64_t begin, int64_t end)>;

  void add(int64_t elements, Pass pass) {
    if (elements == 0) return;
    all_.push_back({elements, std::move(pass)});
    ends_.push_back((ends_.empty() ? 0 : ends_.back()) + (elements + BLOCK - 1) / BLOCK);
  }

  void run() {
    if (all_.empty()) return;
    at::parallel_for(0, ends_.back(), GRAIN, [&](int64_t begin, int64_t end) {
      size_t k = std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin();
      for (; begin < end; k++) {
        int64_t first = k == 0 ? 0 : ends_[k - 1], stop = std::min(end, ends_[k]);
        all_[k].pass((begin - first) * BLOCK, std::min(all_[k].elements, (stop - first) * BLOCK));
        begin = stop;
      }
    });
    all_.clear();
    ends_.clear();
  }

private:
  static constexpr int64_t BLOCK = 4096, GRAIN = 8; // elements; blocks that are worth a thread
  struct One {
    int64_t elements;
    Pass pass;
  };
  std::vector<One> all_;
  std::vector<int64_t> ends_; // in blocks
};

template <class T, class Rule, class... S>
void in_one_pass(Passes& passes, const Rule& rule, const Tensor& p, const Tensor& g, const S&... s) {
  T* p0 = p.mutable_data_ptr<T>();
  const T* g0 = g.const_data_ptr<T>();
  const std::array<T*, sizeof...(S)> s0{s.template mutable_data_ptr<T>()...};
  passes.add(p.numel(), [rule, p0, g0, s0](int64_t begin, int64_t end) {
    auto here = s0;
    for (T*& x : here) x += begin;
    pass_over(rule, end - begin, p0 + begin, g0 + begin, here);
  });
  bump_version(p);
  (bump_version(s), ...);
}

// f16 and bf16 are computed in f32 and rounded once.
template <class Rule, class... S>
void with_operations(const Rule& rule, const Tensor& p, const Tensor& g, const S&... s) {
  auto wide = at::toOpMathType(p.scalar_type());
  Tensor x = p.to(wide);
  std::array<Tensor, sizeof...(S)> state{s.to(wide)...};
  std::apply([&](auto&... own) { rule(x, g.to(wide), own...); }, state);
  p.copy_(x);
  size_t k = 0;
  (s.copy_(state[k++]), ...);
}

template <template <class> class Rule, class Factors, class... S>
void walk(Passes& passes, const Factors& f, const Tensor& p, const Tensor& g, const S&... s) {
  if (!walkable(p, g) || !(walkable(p, s) && ...))
    with_operations(Rule<double>(f), p, g, s...);
  else if (p.scalar_type() == at::kFloat)
    in_one_pass<float>(passes, Rule<float>(f), p, g, s...);
  else
    in_one_pass<double>(passes, Rule<double>(f), p, g, s...);
}

// The state of one parameter, in the order of the rule's slots.
struct State {
  TensorList* const* lists;
  size_t param;
  const Tensor& operator[](size_t slot) const { return lists[slot]->tensors[param]; }
};

// Calls f(passes, parameter, gradient, state, whether it is its first step) for each parameter that has a gradient, then makes
// the passes. At its first step a parameter's state is zero.
template <class F>
void each_with_gradient(TensorList* params, TensorList* const* state, uint8_t* stepped, F&& f) {
  c10::NoGradGuard no_grad;
  Passes passes;
  try {
    for (size_t i : with_gradient(params->tensors)) {
      const Tensor &p = params->tensors[i], g = dense_gradient(p);
      f(passes, p, g, State{state, i}, stepped[i] == 0);
      stepped[i] = 1;
      if (!g.is_same(p.grad())) passes.run(); // a copy, which goes now
    }
  } catch (...) {
    passes.run(); // those parameters count as stepped
    throw;
  }
  passes.run();
}

// A number of state: an f32 scalar on the CPU whatever the parameters' device and dtype, as torch keeps it.
static inline float& number(const Tensor& t) {
  TORCH_CHECK(t.is_cpu() && t.numel() == 1, "a number of optimizer state must be a scalar on the CPU");
  return *t.mutable_data_ptr<float>();
}
// Counts a step, and gives the count.
static inline double count(const Tensor& step) { return number(step) += 1; }
