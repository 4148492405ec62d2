// The gradients of a list of parameters, as the optimizers take them.
#pragma once
#include "guard.h"
#include <c10/core/GradMode.h>

// The positions in `params` that have a gradient; torch's optimizers pass over the others.
std::vector<size_t> with_gradient(const std::vector<Tensor>& params);

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
