// What libtorch does, seen from outside: reads that wait for a device, and memory that a device's allocator holds.
#include "guard.h"
#include <ATen/record_function.h>
#include <atomic>
#include <c10/core/CachingDeviceAllocator.h>
#include <cstring>

static std::atomic<bool> counting{false};
static std::atomic<uint64_t> scalar_reads{0}, host_copies{0}, size_reads{0};

static bool copies_to_host(const at::RecordFunction& op) {
  auto inputs = op.inputs();
  if (inputs.size() < 2 || !inputs[0].isTensor() || !inputs[1].isTensor()) return false;
  const Tensor& destination = inputs[0].toTensor();
  const Tensor& source = inputs[1].toTensor();
  if (!destination.defined() || !source.defined() || !destination.is_cpu() || source.is_cpu()) return false;
  bool waits = inputs.size() < 3 || !inputs[2].isBool() || !inputs[2].toBool();
  return waits;
}

// An observer must not throw: what it can't look at isn't counted.
static std::unique_ptr<at::ObserverContext> count_op(const at::RecordFunction& op) {
  const char* name = op.name();
  if (std::strcmp(name, "aten::_local_scalar_dense") == 0) {
    scalar_reads.fetch_add(1, std::memory_order_relaxed);
  } else if (std::strcmp(name, "aten::nonzero") == 0) {
    size_reads.fetch_add(1, std::memory_order_relaxed);
  } else if (std::strcmp(name, "aten::copy_") == 0) {
    try {
      if (copies_to_host(op)) host_copies.fetch_add(1, std::memory_order_relaxed);
    } catch (...) {
    }
  }
  return nullptr;
}

// The handle belongs to this thread; libtorch hands the observer on to the threads of the backward pass.
API int catena_syncs_start(uint64_t* handle) {
  return guard([&] {
    TORCH_CHECK(!counting.exchange(true), "host reads are being counted already; one counter at a time");
    scalar_reads = host_copies = size_reads = 0;
    try {
      auto observer = at::RecordFunctionCallback(&count_op).needsInputs(true).scopes({at::RecordScope::FUNCTION});
      *handle = at::addThreadLocalCallback(observer);
    } catch (...) {
      counting = false;
      throw;
    }
  });
}
API void catena_syncs_count(uint64_t* scalars, uint64_t* copies, uint64_t* sizes) {
  *scalars = scalar_reads.load(std::memory_order_relaxed);
  *copies = host_copies.load(std::memory_order_relaxed);
  *sizes = size_reads.load(std::memory_order_relaxed);
}
API int catena_syncs_stop(uint64_t handle) {
  return guard([&] {
    counting = false;
    at::removeCallback(handle);
  });
}

static c10::DeviceAllocator& allocator_of(int device_type) {
  auto type = static_cast<at::DeviceType>(device_type);
  auto* allocator = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(type));
  TORCH_CHECK_NOT_IMPLEMENTED(allocator != nullptr, "the memory of ", type, " can't be asked for");
  return *allocator;
}

API int catena_device_memory(int device_type, int index, int64_t* allocated, int64_t* reserved, int64_t* peak) {
  return guard([&] {
    auto stats = allocator_of(device_type).getDeviceStats(static_cast<c10::DeviceIndex>(index));
    auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    *allocated = stats.allocated_bytes[all].current;
    *reserved = stats.reserved_bytes[all].current;
    *peak = stats.allocated_bytes[all].peak;
  });
}
API int catena_reset_peak_memory(int device_type, int index) {
  return guard([&] { allocator_of(device_type).resetPeakStats(static_cast<c10::DeviceIndex>(index)); });
}
