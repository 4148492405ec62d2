// What fused nodes have in common: when they can be used, and the matrix product.
#pragma once
#include "guard.h"
#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <climits>
#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

// The Fortran interface through which libtorch multiplies: whoever has the symbol multiplies here too.
extern "C" {
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*, const float*,
            const int*, const float*, float*, const int*);
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*, const double*, const int*, const double*,
            const int*, const double*, double*, const int*);
}

// A plain tensor in the CPU's memory, in f32 or f64, its elements one behind the other.
static inline bool is_plain(const Tensor& t) {
  return t.defined() && t.is_cpu() && t.layout() == at::kStrided && t.is_contiguous() && t.numel() > 0 && t.numel() < INT_MAX &&
         (t.scalar_type() == at::kFloat || t.scalar_type() == at::kDouble) && !t.is_inference() && !t.is_neg();
}

// Whether operations would be sent through something that changes them, such as autocast.
static inline bool is_intercepted() { return at::autocast::is_autocast_enabled(at::kCPU); }

// Column-major, as BLAS has it: c = a·b + beta·c, with m rows, n columns and k terms in each sum.
static inline void gemm(char ta, char tb, int m, int n, int k, const Tensor& a, int lda, const Tensor& b, int ldb, int beta, Tensor& c) {
  // BLAS asks for leading dimensions of at least 1
  int ldc = std::max(m, 1);
  lda = std::max(lda, 1);
  ldb = std::max(ldb, 1);
  if (c.scalar_type() == at::kFloat) {
    float one = 1, scale = beta;
    sgemm_(&ta, &tb, &m, &n, &k, &one, a.const_data_ptr<float>(), &lda, b.const_data_ptr<float>(), &ldb, &scale,
           c.mutable_data_ptr<float>(), &ldc);
  } else {
    double one = 1, scale = beta;
    dgemm_(&ta, &tb, &m, &n, &k, &one, a.const_data_ptr<double>(), &lda, b.const_data_ptr<double>(), &ldb, &scale,
           c.mutable_data_ptr<double>(), &ldc);
  }
}

static inline Tensor empty(at::IntArrayRef sizes, const Tensor& like) { return at::detail::empty_cpu(sizes, like.options()); }

// The edge to what made the tensor, or to where its gradient is accumulated; none if nothing asks for it.
static inline torch::autograd::Edge edge_to(const Tensor& t) {
  return t.defined() && t.requires_grad() ? torch::autograd::impl::gradient_edge(t) : torch::autograd::Edge();
}

// Autograd would need nodes for what a fused node computes in its backward pass.
static inline void refuse_second_derivative(const char* what) {
  TORCH_CHECK(!c10::GradMode::is_enabled(), what,
              " as one node has no second derivative; switch fusing off where gradients of gradients are wanted");
}
