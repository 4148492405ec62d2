// Many tensors with the arithmetic of one number: each operation is one of libtorch's `_foreach_` calls, which on a GPU is one
// kernel (or few) for all of them. So a rule written for one element (walk.h) takes all parameters that share its factors.
#pragma once
#include "guard.h"
#include <ATen/ops/_foreach_abs.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_addcdiv.h>
#include <ATen/ops/_foreach_addcmul.h>
#include <ATen/ops/_foreach_clamp_max.h>
#include <ATen/ops/_foreach_clamp_min.h>
#include <ATen/ops/_foreach_div.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_maximum.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_reciprocal.h>
#include <ATen/ops/_foreach_sign.h>
#include <ATen/ops/_foreach_sqrt.h>
#include <ATen/ops/_foreach_sub.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/where.h>
#include <memory>
#include <utility>
#include <vector>

// A value that nobody else has is computed in place when it is moved from: a result in the middle of an expression, and a rule's
// state. `m = lerp(std::move(m), grad, w)` takes no memory.
class Together {
public:
  // Values that may be written to, or `borrowed` ones.
  explicit Together(std::vector<Tensor> tensors, bool borrowed = false)
      : all_(std::make_shared<std::vector<Tensor>>(std::move(tensors))), borrowed_(borrowed) {}

  const std::vector<Tensor>& all() const { return *all_; }

  // The result of `fresh(list)`, or of `in_place(list)` where that harms nobody.
  template <class Fresh, class InPlace> Together map(Fresh fresh, InPlace) const& { return Together(fresh(*all_)); }
  template <class Fresh, class InPlace> Together map(Fresh fresh, InPlace in_place) && {
    if (borrowed_ || all_.use_count() > 1) return Together(fresh(*all_));
    in_place(*all_);
    return std::move(*this);
  }

private:
  std::shared_ptr<std::vector<Tensor>> all_;
  bool borrowed_;
};

// `by * of`, not computed yet: most sums take a factor along.
struct Scaled {
  double by;
  Together of;
  operator Together() && {
    if (by == 1) return std::move(of);
    double factor = by;
    return std::move(of).map([=](auto& t) { return at::_foreach_mul(t, factor); },
                             [=](auto& t) { at::_foreach_mul_(t, factor); });
  }
};
inline Together computed(Scaled s) { return std::move(s); }

// `by * a * b`, not computed yet.
struct Product {
  double by;
  Together a, b;
  operator Together() && {
    double factor = by;
    Together both = std::move(a).map([&](auto& t) { return at::_foreach_mul(t, b.all()); },
                                     [&](auto& t) { at::_foreach_mul_(t, b.all()); });
    return Scaled{factor, std::move(both)};
  }
};

// `by * a / b`, not computed yet.
struct Quotient {
  double by;
  Together a, b;
  operator Together() && {
    Together quotient = std::move(a).map([&](auto& t) { return at::_foreach_div(t, b.all()); },
                                         [&](auto& t) { at::_foreach_div_(t, b.all()); });
    return Scaled{by, std::move(quotient)};
  }
};
inline Together computed(Quotient q) { return std::move(q); }

#define ELEMENTWISE(FRESH, ...)                                                                                        \
  std::forward<X>(x).map([&](auto& t) { return at::FRESH(t __VA_OPT__(,) __VA_ARGS__); },                              \
                         [&](auto& t) { at::FRESH##_(t __VA_OPT__(,) __VA_ARGS__); })
template <class X> using IfTogether = std::enable_if_t<std::is_same_v<std::decay_t<X>, Together>, int>;

inline Scaled operator*(double by, const Together& x) { return {by, x}; }
inline Scaled operator*(double by, Together&& x) { return {by, std::move(x)}; }
inline Scaled operator*(const Together& x, double by) { return {by, x}; }
inline Scaled operator*(Together&& x, double by) { return {by, std::move(x)}; }
inline Scaled operator*(Scaled x, double by) { return {x.by * by, std::move(x.of)}; }
inline Scaled operator*(double by, Scaled x) { return {x.by * by, std::move(x.of)}; }
inline Product operator*(Product x, double by) { return {x.by * by, std::move(x.a), std::move(x.b)}; }
inline Product operator*(const Together& x, Scaled y) { return {y.by, std::move(y.of), x}; }
inline Product operator*(Together&& x, Scaled y) { return {y.by, std::move(x), std::move(y.of)}; }
inline Product operator*(Scaled x, const Together& y) { return {x.by, std::move(x.of), y}; }
inline Product operator*(const Together& x, const Together& y) { return {1, x, y}; }
inline Product operator*(Together&& x, const Together& y) { return {1, std::move(x), y}; }
inline Product operator*(Together&& x, Together&& y) { return {1, std::move(x), std::move(y)}; }
inline Product operator*(const Together& x, Together&& y) { return {1, std::move(y), x}; }

template <class X, IfTogether<X> = 0> Together operator+(X&& x, const Together& y) { return ELEMENTWISE(_foreach_add, y.all()); }
template <class X, IfTogether<X> = 0> Together operator+(X&& x, const Scaled& y) { return ELEMENTWISE(_foreach_add, y.of.all(), y.by); }
template <class X, IfTogether<X> = 0> Together operator+(X&& x, const Product& y) { return ELEMENTWISE(_foreach_addcmul, y.a.all(), y.b.all(), y.by); }
template <class X, IfTogether<X> = 0> Together operator+(X&& x, double y) { return ELEMENTWISE(_foreach_add, at::Scalar(y)); }
template <class X, IfTogether<X> = 0> Together operator+(X&& x, const Quotient& y) { return ELEMENTWISE(_foreach_addcdiv, y.a.all(), y.b.all(), y.by); }
inline Together operator+(Scaled x, const Quotient& y) { return computed(std::move(x)) + y; }
inline Together operator+(Quotient x, const Scaled& y) { return computed(std::move(x)) + y; }
inline Together operator+(Scaled x, const Together& y) { return computed(std::move(x)) + y; }
inline Together operator+(Scaled x, const Scaled& y) { return computed(std::move(x)) + y; }
inline Together operator+(Scaled x, const Product& y) { return computed(std::move(x)) + y; }

template <class X, IfTogether<X> = 0> Together operator-(X&& x, const Together& y) { return ELEMENTWISE(_foreach_sub, y.all()); }
template <class X, IfTogether<X> = 0> Together operator-(X&& x, const Scaled& y) { return ELEMENTWISE(_foreach_add, y.of.all(), -y.by); }
template <class X, IfTogether<X> = 0> Together operator-(X&& x, const Product& y) { return ELEMENTWISE(_foreach_addcmul, y.a.all(), y.b.all(), -y.by); }
template <class X, IfTogether<X> = 0> Together operator-(X&& x, const Quotient& y) { return ELEMENTWISE(_foreach_addcdiv, y.a.all(), y.b.all(), -y.by); }
inline Together operator-(Scaled x, const Scaled& y) { return computed(std::move(x)) - y; }

template <class X, IfTogether<X> = 0> Quotient operator/(X&& x, const Together& y) { return {1, std::forward<X>(x), y}; }
template <class X, IfTogether<X> = 0> Quotient operator/(X&& x, Together&& y) { return {1, std::forward<X>(x), std::move(y)}; }
template <class X, IfTogether<X> = 0> Together operator/(X&& x, double y) { return ELEMENTWISE(_foreach_div, at::Scalar(y)); }
inline Quotient operator/(Scaled x, const Together& y) { return {x.by, std::move(x.of), y}; }
inline Quotient operator/(Scaled x, Together&& y) { return {x.by, std::move(x.of), std::move(y)}; }
inline Product operator*(Quotient x, const Together& y) { return computed(std::move(x)) * y; }
template <class X, IfTogether<X> = 0> Scaled operator/(double by, X&& x) { return {by, ELEMENTWISE(_foreach_reciprocal)}; }

template <class X, IfTogether<X> = 0> Together root(X&& x) { return ELEMENTWISE(_foreach_sqrt); }
template <class X, IfTogether<X> = 0> Together magnitude(X&& x) { return ELEMENTWISE(_foreach_abs); }
template <class X, IfTogether<X> = 0> Together sign_of(X&& x) { return ELEMENTWISE(_foreach_sign); }
template <class X, IfTogether<X> = 0> Together lerp(X&& x, const Together& to, double w) { return ELEMENTWISE(_foreach_lerp, to.all(), at::Scalar(w)); }
template <class X, IfTogether<X> = 0> Together larger(X&& x, const Together& y) { return ELEMENTWISE(_foreach_maximum, y.all()); }
inline Together larger(Scaled x, const Together& y) { return larger(computed(std::move(x)), y); }
template <class X, IfTogether<X> = 0> Together at_least(X&& x, double low) { return ELEMENTWISE(_foreach_clamp_min, at::Scalar(low)); }
template <class X, IfTogether<X> = 0> Together at_most(X&& x, double high) { return ELEMENTWISE(_foreach_clamp_max, at::Scalar(high)); }
inline Together within(Together x, double low, double high) { return at_most(at_least(std::move(x), low), high); }
#undef ELEMENTWISE

// One tensor after another: there is no `_foreach_` for these.
template <class F> Together each(const Together& x, F f) {
  std::vector<Tensor> results;
  results.reserve(x.all().size());
  for (size_t i = 0; i < x.all().size(); i++) results.push_back(f(i));
  return Together(std::move(results));
}
inline Together operator>(const Together& x, double y) { return each(x, [&](size_t i) { return x.all()[i] > y; }); }
inline Together operator<(const Together& x, double y) { return each(x, [&](size_t i) { return x.all()[i] < y; }); }
inline Together choose(const Together& which, double a, const Together& b) {
  return each(which, [&](size_t i) { return at::where(which.all()[i], at::Scalar(a), b.all()[i]); });
}
inline Together filled(const Together& like, double value) {
  return each(like, [&](size_t i) { return at::full_like(like.all()[i], value); });
}
