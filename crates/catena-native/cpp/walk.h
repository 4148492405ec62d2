// What the optimizers' kernels share: a rule is written once, for one element, and runs in one pass over memory on the CPU in
// f32 and f64, and by tensor operations on other devices and in other dtypes (together.h).
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
// V is T in a pass, and elsewhere the tensors of all parameters with the same factors, so a rule uses + - * / and the functions
// below, and neither += nor a branch on an element. It moves from what it is about to replace.
#pragma once
#include "arguments.h"
#include "gradients.h"
#include "together.h"
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/ops/_foreach_copy.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <functional>
#include <string>
#include <tuple>
#include <typeindex>
#include <utility>
#include <vector>

#define INLINE __attribute__((always_inline)) inline

INLINE float root(float x) { return std::sqrt(x); }
INLINE double root(double x) { return std::sqrt(x); }

INLINE float magnitude(float x) { return std::fabs(x); }
INLINE double magnitude(double x) { return std::fabs(x); }

// 1, -1, or 0 for zero and NaN.
INLINE float sign_of(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f; }
INLINE double sign_of(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; }

// NaN if one of the two is.
INLINE float larger(float a, float b) { return a > b || a != a ? a : b; }
INLINE double larger(double a, double b) { return a > b || a != a ? a : b; }

// Towards `to` by a share of the way.
INLINE float lerp(float x, float to, float w) { return x + w * (to - x); }
INLINE double lerp(double x, double to, double w) { return x + w * (to - x); }

INLINE float within(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
INLINE double within(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

template <class T> INLINE T choose(bool which, T a, T b) { return which ? a : b; }

// `value`, in the shape of `like`.
INLINE float filled(float, float value) { return value; }
INLINE double filled(double, double value) { return value; }

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

// f16 and bf16 are computed in f32 and rounded once; others where they are.
static inline Together wide(const std::vector<Tensor>& tensors, bool borrowed = false) {
  std::vector<Tensor> wide;
  wide.reserve(tensors.size());
  for (const Tensor& t : tensors) wide.push_back(t.to(at::toOpMathType(t.scalar_type())));
  return Together(std::move(wide), borrowed);
}

// `lists` are the parameters, their gradients, and N lists of state.
template <class Rule, size_t... I>
void apply_together(const Rule& rule, std::vector<std::vector<Tensor>>& lists, std::index_sequence<I...>) {
  Together p = wide(lists[0]), g = wide(lists[1], /*borrowed=*/true);
  std::array<Together, sizeof...(I)> state{wide(lists[2 + I])...};
  rule(p, g, state[I]...);
  auto keep = [](std::vector<Tensor>& list, const Together& value) {
    if (!list[0].is_same(value.all()[0])) at::_foreach_copy_(list, value.all());
  };
  keep(lists[0], p);
  (keep(lists[2 + I], state[I]), ...);
}

// What is still to be done to parameters: passes over memory, each cut into blocks, and the blocks of all of them shared out; and
// operations on many tensors together.
class Passes {
public:
  using Pass = std::function<void(int64_t begin, int64_t end)>;

  void add(int64_t elements, Pass pass) {
    if (elements == 0) return;
    all_.push_back({elements, std::move(pass)});
    ends_.push_back((ends_.empty() ? 0 : ends_.back()) + (elements + BLOCK - 1) / BLOCK);
  }

  template <class Rule, class... S> void add_together(Rule rule, const Tensor& p, const Tensor& g, const S&... s) {
#ifdef __has_builtin
#if __has_builtin(__builtin_clear_padding)
    __builtin_clear_padding(&rule); // without it some that could go together may not
#endif
#endif
    std::string rules(reinterpret_cast<const char*>(&rule), sizeof(Rule));
    auto alike = [&](const Group& group) {
      const Tensor& first = group.lists[0].back();
      bool fits = first.device() == p.device() && first.scalar_type() == p.scalar_type();
      return fits && group.type == std::type_index(typeid(Rule)) && group.rule == rules;
    };
    auto group = std::find_if(groups_.rbegin(), groups_.rend(), alike);
    if (group == groups_.rend()) {
      auto apply = [rule](auto& lists) { apply_together(rule, lists, std::index_sequence_for<S...>()); };
      groups_.push_back({typeid(Rule), std::move(rules), 0, std::vector<std::vector<Tensor>>(2 + sizeof...(S)), apply});
      group = groups_.rbegin();
    }
    group->elements += p.numel();
    size_t k = 0;
    for (const Tensor& t : {p, g, s...}) group->lists[k++].push_back(t);
    if (group->elements < TOGETHER) return;
    Group full = std::move(*group);
    groups_.erase(std::next(group).base());
    full.apply(full.lists);
  }

  void run() {
    if (!all_.empty()) run_passes();
    all_.clear();
    ends_.clear();
    std::exception_ptr first;
    std::vector<Group> groups = std::exchange(groups_, {});
    for (Group& group : groups) {
      try {
        group.apply(group.lists);
      } catch (...) {
        if (!first) first = std::current_exception();
      }
    }
    if (first) std::rethrow_exception(first);
  }

private:
  static constexpr int64_t BLOCK = 4096, GRAIN = 8; // elements; blocks that are worth a thread
  static constexpr int64_t TOGETHER = 1 << 23;      // elements of a group, which bounds the memory of what is in between
  struct One {
    int64_t elements;
    Pass pass;
  };
  struct Group {
    std::type_index type;
    std::string rule;
    int64_t elements;
    std::vector<std::vector<Tensor>> lists;
    std::function<void(std::vector<std::vector<Tensor>>&)> apply;
  };
  std::vector<One> all_;
  std::vector<int64_t> ends_; // in blocks
  std::vector<Group> groups_;

  void run_passes() {
    at::parallel_for(0, ends_.back(), GRAIN, [&](int64_t begin, int64_t end) {
      size_t k = std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin();
      for (; begin < end; k++) {
        int64_t first = k == 0 ? 0 : ends_[k - 1], stop = std::min(end, ends_[k]);
        all_[k].pass((begin - first) * BLOCK, std::min(all_[k].elements, (stop - first) * BLOCK));
        begin = stop;
      }
    });
  }
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

template <template <class> class Rule, class Factors, class... S>
void walk(Passes& passes, const Factors& f, const Tensor& p, const Tensor& g, const S&... s) {
  if (!walkable(p, g) || !(walkable(p, s) && ...))
    passes.add_together(Rule<double>(f), p, g, s...);
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
    for (size_t i : with_gradient(*params)) {
      const Tensor &p = params->tensors[i], g = dense_gradient(p);
      bool first = stepped[i] == 0;
      stepped[i] = 1;
      f(passes, p, g, State{state, i}, first);
      if (p.is_cpu() && !g.is_same(p.grad())) passes.run(); // a copy, which goes now
    }
  } catch (...) {
    auto error = std::current_exception();
    try {
      passes.run(); // those parameters count as stepped
    } catch (...) { // the first error is told
    }
    std::rethrow_exception(error);
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
