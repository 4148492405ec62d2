// The gradients of a list of parameters, as the optimizers take them.
#pragma once
#include "guard.h"
#include <ATen/Parallel.h>
#include <algorithm>
#include <c10/core/GradMode.h>

// The positions in `params` that have a gradient, each tensor once; torch's optimizers pass over the others.
std::vector<size_t> with_gradient(const TensorList& params);

// Whether a tensor's numbers have so few digits that sums of them lose what is added.
static inline bool is_half(const Tensor& t) { return t.scalar_type() == at::kHalf || t.scalar_type() == at::kBFloat16; }

// The dtype of a sum over a tensor's elements: at least f32.
static inline std::optional<at::ScalarType> dtype_of_sums(const Tensor& t) {
  return is_half(t) ? std::optional(at::kFloat) : std::nullopt;
}

// The parameter's gradient, laid out in memory as the parameter is: the kernels walk both side by side.
Tensor dense_gradient(const Tensor& param);

// Calls `f` once for each (device, dtype) among the parameters at `positions`, in order of appearance.
template <class F>
static void by_device_and_dtype(const std::vector<Tensor>& params, std::vector<size_t> positions, F&& f) {
  while (!positions.empty()) {
    const Tensor& first = params[positions[0]];
    std::vector<size_t> same, rest;
    same.reserve(positions.size());
    for (size_t i : positions) {
      bool alike = params[i].device() == first.device() && params[i].scalar_type() == first.scalar_type();
      (alike ? same : rest).push_back(i);
    }
    f(same);
    positions = std::move(rest);
  }
}

// Calls `f` for parts of `positions`, several at a time on the CPU: libtorch's fused kernels start a parallel region for each
// tensor, which most parameters are too small for. Small ones are shared out, large ones are left to libtorch. Which they are
// depends on nothing but their size, and a kernel gives an element the same bits in either way.
template <class F>
static void by_size(const std::vector<Tensor>& params, const std::vector<size_t>& positions, F&& f) {
  constexpr int64_t LARGE = 1 << 18;
  std::vector<size_t> large, small;
  for (size_t i : positions) (params[i].is_cpu() && params[i].numel() < LARGE ? small : large).push_back(i);
  if (!large.empty()) f(large);
  int64_t all = 0, so_far = 0, threads = at::get_num_threads();
  for (size_t i : small) all += params[i].numel();
  if (all <= 32768 || threads == 1) {
    if (!small.empty()) f(small);
    return;
  }
  std::vector<std::vector<size_t>> parts(threads);
  for (size_t i : small) {
    parts[std::min(threads - 1, so_far * threads / all)].push_back(i);
    so_far += params[i].numel();
  }
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    c10::NoGradGuard no_grad; // a thread's own
    for (int64_t k = begin; k < end; k++)
      if (!parts[k].empty()) f(parts[k]);
  });
}

// As by_device_and_dtype, and by size.
template <class F>
static void by_kernel(const std::vector<Tensor>& params, const std::vector<size_t>& positions, F&& f) {
  by_device_and_dtype(params, positions, [&](const std::vector<size_t>& alike) { by_size(params, alike, f); });
}

static inline std::vector<Tensor> pick(const std::vector<Tensor>& all, const std::vector<size_t>& positions) {
  std::vector<Tensor> picked;
  picked.reserve(positions.size());
  for (size_t i : positions) picked.push_back(all[i]);
  return picked;
}

static inline std::vector<Tensor> pick_gradients(const std::vector<Tensor>& all, const std::vector<size_t>& positions) {
  std::vector<Tensor> picked;
  picked.reserve(positions.size());
  for (size_t i : positions) picked.push_back(dense_gradient(all[i]));
  return picked;
}

// Adds 1 to each step counter (f32 scalars, as torch's fused kernels want them).
void advance(std::vector<Tensor>& steps);
