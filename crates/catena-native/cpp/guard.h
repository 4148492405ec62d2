// Every entry point runs inside `guard`: no C++ exception crosses into Rust, and the text of an
// error ends before libtorch's stack frames.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/TensorOperators.h>
#include <c10/util/Exception.h>
#include <string>
#include <vector>

using at::Tensor;

// The text of this thread's last error.
inline thread_local std::string catena_error_text;

// Puts the current exception's text aside for catena_last_error and gives its kind:
// 1 libtorch or standard error, 4 out of memory, 5 not implemented, 9 something that is no std::exception.
inline int catena_classify_current_exception() noexcept {
  try {
    throw;
  } catch (const c10::OutOfMemoryError& e) {
    catena_error_text = e.what_without_backtrace();
    return 4;
  } catch (const c10::NotImplementedError& e) {
    catena_error_text = e.what_without_backtrace();
    return 5;
  } catch (const c10::Error& e) {
    catena_error_text = e.what_without_backtrace();
    return 1;
  } catch (const std::exception& e) {
    catena_error_text = e.what();
    return 1;
  } catch (...) {
    catena_error_text = "a C++ exception of unknown type";
    return 9;
  }
}

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
