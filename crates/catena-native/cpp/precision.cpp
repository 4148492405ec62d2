// Autocast on any device, and the check of loss scaling.
#include "gradients.h"
#include <ATen/autocast_mode.h>
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

static at::DeviceType device_type_of(int device_type) { return static_cast<at::DeviceType>(device_type); }

API int catena_autocast(int device_type, int* enabled, int* dtype) {
  return guard([&] {
    *enabled = at::autocast::is_autocast_enabled(device_type_of(device_type));
    *dtype = static_cast<int>(at::autocast::get_autocast_dtype(device_type_of(device_type)));
  });
}

// `nesting` is +1 on entering and -1 on leaving; the cache of cast weights lives as long as the outermost one.
API int catena_set_autocast(int device_type, int enabled, int dtype, int nesting) {
  return guard([&] {
    auto device = device_type_of(device_type);
    auto scalar = static_cast<at::ScalarType>(dtype);
    if (enabled) TORCH_CHECK(at::isFloatingType(scalar), "autocast needs a floating-point dtype, not ", scalar);
    at::autocast::set_autocast_enabled(device, enabled);
    at::autocast::set_autocast_dtype(device, scalar);
    if (nesting > 0) at::autocast::increment_nesting();
    if (nesting < 0 && at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  });
}

// Multiplies the gradients by `inverse_scale`, and tells whether one of them is not finite; it waits for the device.
API int catena_unscale(TensorList* params, double inverse_scale, int* found_inf) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    *found_inf = 0;
    by_device_and_dtype(params->tensors, with_gradient(*params), [&](const std::vector<size_t>& at_) {
      std::vector<Tensor> grads;
      for (size_t i : at_) grads.push_back(params->tensors[i].grad());
      auto options = grads[0].options().dtype(at::kFloat);
      Tensor found = at::zeros({1}, options), scale = at::full({1}, inverse_scale, options);
      at::_amp_foreach_non_finite_check_and_unscale_(grads, found, scale);
      if (found.item<float>() != 0) *found_inf = 1;
    });
  });
}
