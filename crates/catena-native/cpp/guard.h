// Every entry point runs inside `guard`: no C++ exception crosses into Rust, and the text of an
// error ends before libtorch's stack frames.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/TensorOperators.h>
#include <c10/util/Exception.h>
#include <string>
#include <vector>

using at::Tensor;

// Puts the current exception's text aside for catena_last_error and gives its kind:
// 1 libtorch or standard error, 4 out of memory, 5 not implemented, 9 something that is no std::exception.
int catena_classify_current_exception() noexcept;

template <class F>
static int guard(F&& f) noexcept {
  try {
    f();
    return 0;
  } catch (...) {
    return catena_classify_current_exception();
  }
}

// Tensors that are handed over once and used at every step. A tensor may stand in a list more than once: `distinct` has the
// first place of each, and whatever changes or adds up goes over those.
struct TensorList {
  std::vector<Tensor> tensors;
  std::vector<size_t> distinct;
};

#define API extern "C" __attribute__((visibility("default")))
