// torch.optim.Adafactor.
//
// Its factors are means over rows and columns, and its update is measured before it is made, so a parameter is gone over three
// times: for the factors, for the update's length, and to apply it. The update is computed again rather than kept: no memory
// is taken beyond the state, but for column sums of a large matrix.
#include "walk.h"
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <limits>

namespace {

double epsilon(at::ScalarType dtype) {
  switch (dtype) {
  case at::kDouble: return std::numeric_limits<double>::epsilon();
  case at::kHalf: return std::numeric_limits<at::Half>::epsilon();
  case at::kBFloat16: return std::numeric_limits<at::BFloat16>::epsilon();
  default: return std::numeric_limits<float>::epsilon();
  }
}

struct Factors : AdafactorArguments {
  double weight, least, size; // of the new means; of a mean of means; the root of the number of elements
  double rate;                // before the parameter's and the update's lengths come in
  Factors(const AdafactorArguments& a, const Tensor& p, double step)
      : AdafactorArguments(a), weight(std::pow(step, beta2_decay)), least(eps1 < 0 ? epsilon(p.scalar_type()) : eps1),
        size(std::sqrt(double(p.numel()))), rate(std::min(lr, 1 / std::sqrt(step))) {}

  double step_size(double length, double update) const {
    return larger(length / size, eps2) * rate / larger(update / (size * d), 1.0);
  }
};

// torch.lerp's formula, which keeps its precision near the end too.
template <class T> INLINE T precise_lerp(T from, T to, T weight) {
  return weight < T(0.5) ? from + weight * (to - from) : to - (to - from) * (T(1) - weight);
}

// Sums go over fixed lanes, so that they are the same on any processor; `f(i)` is to be added up.
template <class F> INLINE double sum(int64_t n, F f) {
  constexpr int64_t LANES = 16;
  double lanes[LANES] = {}, all = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int64_t lane = 0; lane < LANES; lane++) lanes[lane] += f(i + lane);
  for (; i < n; i++) lanes[i % LANES] += f(i);
  for (double lane : lanes) all += lane;
  return all;
}
template <class T> INLINE T at_least(T x, T least) { return x < least ? least : x; }

// What the three passes do with one row; a vector is a row whose `columns` are its variance.
#define ROW_PASSES(T)                                                                                                  \
  FOR_EACH_PROCESSOR double squares(int64_t n, const T* x) {                                                           \
    return sum(n, [=](int64_t i) __attribute__((always_inline)) { return double(x[i]) * double(x[i]); });              \
  }                                                                                                                    \
  FOR_EACH_PROCESSOR void add_squares(int64_t n, const T* __restrict x, double* __restrict to) {                       \
    for (int64_t i = 0; i < n; i++) to[i] += double(x[i]) * double(x[i]);                                              \
  }                                                                                                                    \
  FOR_EACH_PROCESSOR void blend_squares(int64_t n, const T* __restrict g, T* __restrict variance, T weight) {          \
    for (int64_t i = 0; i < n; i++) variance[i] = precise_lerp(variance[i], g[i] * g[i], weight);                              \
  }                                                                                                                    \
  FOR_EACH_PROCESSOR double update_squares(int64_t n, const T* g, const T* columns, T row, T least) {                  \
    return sum(n, [=](int64_t i) __attribute__((always_inline)) {                                                      \
      T update = g[i] / root(at_least(row * columns[i], least));                                                       \
      return double(update) * double(update);                                                                          \
    });                                                                                                                \
  }                                                                                                                    \
  FOR_EACH_PROCESSOR void update(int64_t n, T* __restrict p, const T* __restrict g, const T* __restrict columns,       \
                                 T row, T least, T shrink, T step_size) {                                              \
    for (int64_t i = 0; i < n; i++)                                                                                    \
      p[i] = p[i] * shrink - step_size * (g[i] / root(at_least(row * columns[i], least)));                             \
  }
ROW_PASSES(float)
ROW_PASSES(double)

// Sums of squares, of the parameter and of its update.
struct Lengths {
  double param = 0, update = 0;
};

// `count` matrices one after another in memory, or one vector (no rows of its own).
template <class T> struct Walk {
  const Factors& f;
  T *p, *row_var, *col_var;
  const T* g;
  int64_t count, rows, columns;

  T least() const { return T(f.least * f.least); }
  int64_t matrix() const { return rows * columns; }

  // Rows `begin` to `end` of a matrix: their means, and the columns' sums.
  double factor_rows(int64_t k, int64_t begin, int64_t end, double* sums) const {
    double param = 0;
    for (int64_t r = begin; r < end; r++) {
      const T* row = g + k * matrix() + r * columns;
      T& mean = row_var[k * rows + r];
      mean = precise_lerp(mean, T(squares(columns, row) / columns), T(f.weight));
      add_squares(columns, row, sums);
      param += squares(columns, p + k * matrix() + r * columns);
    }
    return param;
  }
  void factor_columns(int64_t k, const double* sums) const {
    T* means = col_var + k * columns;
    for (int64_t c = 0; c < columns; c++) means[c] = precise_lerp(means[c], T(sums[c] / rows), T(f.weight));
  }
  // What a matrix's row factors are divided by.
  T mean_of_rows(int64_t k) const {
    return T(std::max(f.least, sum(rows, [&](int64_t r) { return double(row_var[k * rows + r]); }) / rows));
  }
  double measure_rows(int64_t k, int64_t begin, int64_t end, T mean) const {
    double all = 0;
    for (int64_t r = begin; r < end; r++)
      all += update_squares(columns, g + k * matrix() + r * columns, col_var + k * columns, row_var[k * rows + r] / mean, least());
    return all;
  }
  void update_rows(int64_t k, int64_t begin, int64_t end, T mean, T shrink, T step_size) const {
    for (int64_t r = begin; r < end; r++) {
      int64_t at_ = k * matrix() + r * columns;
      update(columns, p + at_, g + at_, col_var + k * columns, row_var[k * rows + r] / mean, least(), shrink, step_size);
    }
  }
  void finish(const Lengths& lengths, int64_t begin, int64_t end, std::function<void(int64_t, int64_t, T, T)> update) const {
    T step_size = T(f.step_size(std::sqrt(lengths.param), std::sqrt(lengths.update))), shrink = T(1 - f.lr * f.weight_decay);
    at::parallel_for(begin, end, 1, [&](int64_t from, int64_t to) { update(from, to, shrink, step_size); });
  }

  // One matrix, or a vector: threads share bands of rows, whose number does not depend on the threads'.
  void one_matrix() const {
    int64_t bands = std::clamp<int64_t>(matrix() / 65536, 1, std::min<int64_t>(rows, 16));
    auto band = [&](int64_t b) { return rows * b / bands; };
    std::vector<double> sums(bands * columns);
    std::vector<Lengths> some(bands);
    at::parallel_for(0, bands, 1, [&](int64_t from, int64_t to) {
      for (int64_t b = from; b < to; b++) some[b].param = factor_rows(0, band(b), band(b + 1), &sums[b * columns]);
    });
    for (int64_t b = 1; b < bands; b++)
      for (int64_t c = 0; c < columns; c++) sums[c] += sums[b * columns + c];
    factor_columns(0, sums.data());
    T mean = mean_of_rows(0);
    at::parallel_for(0, bands, 1, [&](int64_t from, int64_t to) {
      for (int64_t b = from; b < to; b++) some[b].update = measure_rows(0, band(b), band(b + 1), mean);
    });
    finish(total(some), 0, bands, [&](int64_t from, int64_t to, T shrink, T step_size) {
      update_rows(0, band(from), band(to), mean, shrink, step_size);
    });
  }

  // Many matrices, as in a convolution: threads share groups of them.
  void many_matrices() const {
    int64_t groups = std::min<int64_t>(count, 64);
    auto group = [&](int64_t i) { return count * i / groups; };
    std::vector<Lengths> some(groups);
    at::parallel_for(0, groups, 1, [&](int64_t from, int64_t to) {
      std::vector<double> sums(columns);
      for (int64_t i = from; i < to; i++)
        for (int64_t k = group(i); k < group(i + 1); k++) {
          std::fill(sums.begin(), sums.end(), 0);
          some[i].param += factor_rows(k, 0, rows, sums.data());
          factor_columns(k, sums.data());
          some[i].update += measure_rows(k, 0, rows, mean_of_rows(k));
        }
    });
    finish(total(some), 0, groups, [&](int64_t from, int64_t to, T shrink, T step_size) {
      for (int64_t k = group(from); k < group(to); k++) update_rows(k, 0, rows, mean_of_rows(k), shrink, step_size);
    });
  }

  // Below two dimensions every element has its variance, in `col_var`.
  void vector() const {
    blend_squares(columns, g, col_var, T(f.weight));
    Lengths lengths{squares(columns, p), update_squares(columns, g, col_var, T(1), least())};
    finish(lengths, 0, 1, [&](int64_t, int64_t, T shrink, T step_size) {
      update(columns, p, g, col_var, T(1), least(), shrink, step_size);
    });
  }

  static Lengths total(const std::vector<Lengths>& some) {
    Lengths all;
    for (const Lengths& one : some) all.param += one.param, all.update += one.update;
    return all;
  }
};

template <class T> void walk_over(const Factors& f, const Tensor& p, const Tensor& g, const State& s) {
  bool vector = p.dim() < 2;
  T* row_var = vector ? nullptr : s[1].mutable_data_ptr<T>();
  T* col_var = s[vector ? 3 : 2].mutable_data_ptr<T>();
  int64_t columns = vector ? p.numel() : p.size(-1), rows = vector ? 1 : p.size(-2);
  const Walk<T> all{f, p.mutable_data_ptr<T>(), row_var, col_var, g.const_data_ptr<T>(), p.numel() / (rows * columns), rows, columns};
  if (vector)
    all.vector();
  else if (all.count == 1)
    all.one_matrix();
  else
    all.many_matrices();
  bump_version(p);
  for (size_t slot : {1, 2, 3}) bump_version(s[slot]);
}

Tensor length(const Tensor& t) { return at::linalg_vector_norm(t, 2); }

// (g * g).mean(dim), with nothing of g's size in between.
Tensor mean_square(const Tensor& g, int64_t dim) {
  return at::linalg_vector_norm(g, 2, at::IntArrayRef(dim), /*keepdim=*/true).square_().div_(g.size(dim));
}

// Elsewhere; nothing waits for the device.
void with_operations(const Factors& f, const Tensor& p, const Tensor& g, const State& s) {
  Tensor alpha = (length(p) / f.size).clamp_min(f.eps2) * f.rate;
  if (f.weight_decay != 0) p.mul_(1 - f.lr * f.weight_decay);
  Tensor variance;
  if (p.dim() > 1) {
    const Tensor &row_var = s[1], &col_var = s[2];
    row_var.lerp_(mean_square(g, -1), f.weight);
    col_var.lerp_(mean_square(g, -2), f.weight);
    variance = at::matmul(row_var, col_var).div_(row_var.mean(-2, /*keepdim=*/true).clamp_min_(f.least));
  } else {
    s[3].lerp_(g * g, f.weight);
    variance = s[3].clone();
  }
  Tensor update = variance.clamp_min_(f.least * f.least).rsqrt_().mul_(g);
  Tensor denominator = (length(update) / (f.size * f.d)).clamp_min(1);
  p.sub_(update.mul_(alpha / denominator));
}

bool contiguous_and_alike(const Tensor& p, const Tensor& g, const State& s) {
  auto alike = [&](const Tensor& t) { return t.is_cpu() && t.is_contiguous() && t.scalar_type() == p.scalar_type(); };
  bool states = p.dim() < 2 ? alike(s[3]) : alike(s[1]) && alike(s[2]);
  return walkable(p, g) && p.is_contiguous() && p.numel() > 0 && states;
}

} // namespace

// State: step, row_var and col_var (from two dimensions on), variance (below).
API int catena_adafactor(TensorList* params, TensorList* const* state, uint8_t* stepped, const AdafactorArguments* a) {
  return guard([&] {
    each_with_gradient(params, state, stepped, [&](Passes&, const Tensor& p, const Tensor& g, State s, bool) {
      Factors f(*a, p, count(s[0]));
      if (a->maximize) f.rate = -f.rate; // of the gradient nothing but its direction has a sign
      if (!contiguous_and_alike(p, g, s))
        with_operations(f, p, g, s);
      else if (p.scalar_type() == at::kFloat)
        walk_over<float>(f, p, g, s);
      else
        walk_over<double>(f, p, g, s);
    });
  });
}
