// Process-wide matters: errors, generators, determinism, versions; and single-tensor calls that tch lacks.
#include "guard.h"
#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <torch/headeronly/version.h>

static_assert(TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 13,
              "catena-native is written for libtorch 2.13");

API const char* catena_last_error() { return catena_error_text.c_str(); }

// Only tests call this: one exception of each kind.
API int catena_throw(int kind) {
  return guard([&] {
    if (kind == 0) TORCH_CHECK(false, "a libtorch error");
    if (kind == 1) throw std::runtime_error("a standard error");
    if (kind == 2) throw 42;
    if (kind == 3) C10_THROW_ERROR(OutOfMemoryError, "out of memory");
    if (kind == 4) C10_THROW_ERROR(NotImplementedError, "not implemented");
  });
}

API const char* catena_libtorch_version() { return TORCH_VERSION; }

API int catena_cpu_capability(const char** out) {
  return guard([&] {
    static const std::string capability = at::get_cpu_capability();
    *out = capability.c_str();
  });
}

API int catena_set_deterministic(int enabled, int warn_only) {
  return guard([&] { at::globalContext().setDeterministicAlgorithms(enabled, warn_only); });
}
API int catena_deterministic(int* enabled, int* warn_only) {
  return guard([&] {
    *enabled = at::globalContext().deterministicAlgorithms();
    *warn_only = at::globalContext().deterministicAlgorithmsWarnOnly();
  });
}

static at::Generator generator(int device_type, int index) {
  auto type = static_cast<at::DeviceType>(device_type);
  return at::globalContext().defaultGenerator(at::Device(type, type == at::kCPU ? -1 : index));
}
API int catena_generator_state(int device_type, int index, Tensor** out) {
  return guard([&] {
    auto g = generator(device_type, index);
    std::lock_guard<std::mutex> lock(g.mutex());
    *out = new Tensor(g.get_state());
  });
}
API int catena_set_generator_state(int device_type, int index, Tensor* state) {
  return guard([&] {
    auto g = generator(device_type, index);
    std::lock_guard<std::mutex> lock(g.mutex());
    g.set_state(*state);
  });
}

API int catena_copy(Tensor* destination, Tensor* source, int non_blocking) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    destination->copy_(*source, non_blocking);
  });
}

// Bytes that the tensor's memory is, and `drop(owner)` when nobody uses them any more. An error leaves them to nobody.
API int catena_from_bytes(uint8_t* bytes, size_t n, void* owner, void (*drop)(void*), Tensor** out) {
  return guard([&] {
    auto done = [owner, drop](void*) { drop(owner); };
    *out = new Tensor(at::from_blob(bytes, {static_cast<int64_t>(n)}, done, at::kByte));
  });
}

// Two handles of one tensor have the same identity, whatever its data pointer is (empty tensors have none).
API size_t catena_identity(Tensor* t) { return reinterpret_cast<size_t>(t->unsafeGetTensorImpl()); }

// Where a tensor's elements are: from `begin` to before `end`, and nothing else is in between. Both are 0 where there is no such
// range: no elements, no memory of its own kind (sparse), or holes.
API int catena_memory(Tensor* t, size_t* begin, size_t* end) {
  return guard([&] {
    *begin = *end = 0;
    if (t->layout() != at::kStrided || !t->has_storage() || t->numel() == 0 || !t->is_non_overlapping_and_dense()) return;
    *begin = reinterpret_cast<size_t>(t->const_data_ptr());
    *end = *begin + t->nbytes();
  });
}

// The number that a tensor of one f32 or f64 in the CPU's memory holds, straight from there; `is_number` is 0 for any other tensor.
API int catena_number(Tensor* t, double* number, int* is_number) {
  return guard([&] {
    *is_number = 0;
    if (!t->defined() || !t->is_cpu() || t->layout() != at::kStrided || t->numel() != 1) return;
    if (t->scalar_type() == at::kFloat) {
      *number = *t->const_data_ptr<float>();
    } else if (t->scalar_type() == at::kDouble) {
      *number = *t->const_data_ptr<double>();
    } else {
      return;
    }
    *is_number = 1;
  });
}

// The first of a tensor's sizes; -1 for one that has none.
API int64_t catena_rows(Tensor* t) { return t->defined() && t->dim() > 0 ? t->sizes()[0] : -1; }

// Whether these are floating logits `[n, classes, …]` and whole labels `[n, …]` of 64 bits.
API int catena_labels_fit(Tensor* logits, Tensor* labels) {
  if (!logits->defined() || !labels->defined() || logits->dim() < 2 || labels->dim() + 1 != logits->dim()) return 0;
  auto kind = logits->scalar_type();
  bool is_floating = kind == at::kFloat || kind == at::kDouble || kind == at::kHalf || kind == at::kBFloat16;
  if (!is_floating || labels->scalar_type() != at::kLong) return 0;
  auto of = logits->sizes(), own = labels->sizes();
  return own[0] == of[0] && own.slice(1) == of.slice(2);
}

API int catena_set_grad(Tensor* t, Tensor* grad) {
  return guard([&] {
    if (grad != nullptr) {
      TORCH_CHECK(grad->sizes() == t->sizes(), "a gradient of shape ", grad->sizes(), " for a tensor of shape ", t->sizes());
      TORCH_CHECK(grad->scalar_type() == t->scalar_type() && grad->device() == t->device(),
                  "a gradient must have its tensor's dtype and device");
    }
    t->mutable_grad() = grad == nullptr ? Tensor() : *grad;
  });
}
