// An allocator of CPU memory that keeps freed blocks for the next tensor of their size.
#include "guard.h"
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

namespace {

// As libtorch aligns its memory. The size class of a block stands before it.
constexpr size_t kAlignment = 64;
// Four sizes between a power of two and the next: a block is at most a quarter larger than asked for.
constexpr size_t kSteps = 4;
constexpr size_t kClasses = 27 * kSteps;
// Up to this size a thread keeps blocks for itself, and takes no lock.
constexpr size_t kSmall = 32 << 10;
constexpr size_t kSmallPerThread = 4 << 20;
constexpr size_t kNotKept = kClasses;

size_t class_of(size_t bytes) {
  const size_t units = (bytes + kAlignment - 1) / kAlignment;
  if (units <= kSteps) return units - 1;
  // units is in (2^power, 2^(power + 1)]
  const size_t power = 63 - __builtin_clzll(units - 1);
  const size_t step = (units - 1 - (size_t(1) << power)) >> (power - 2);
  return (power - 1) * kSteps + step;
}

size_t size_of(size_t number) {
  if (number < kSteps) return (number + 1) * kAlignment;
  const size_t power = number / kSteps + 1;
  return ((size_t(1) << power) + ((number % kSteps + 1) << (power - 2))) * kAlignment;
}

size_t& class_at(void* block) { return *reinterpret_cast<size_t*>(static_cast<char*>(block) - kAlignment); }

void clear();

void* fresh(size_t number, size_t bytes) {
  const size_t size = number == kNotKept ? bytes : size_of(number);
  void* memory = nullptr;
  const auto ask = [&] { return size <= SIZE_MAX - kAlignment && posix_memalign(&memory, kAlignment, size + kAlignment) == 0; };
  if (!ask()) {
    // what is kept may be what is missing
    clear();
    if (!ask()) {
      c10::profiledCPUMemoryReporter().OutOfMemory(bytes);
      TORCH_CHECK(false, "can't allocate memory: you tried to allocate ", bytes, " bytes");
    }
  }
  void* block = static_cast<char*>(memory) + kAlignment;
  class_at(block) = number;
  return block;
}

void give_back_to_system(void* block) { free(static_cast<char*>(block) - kAlignment); }

// What may be kept, and what is, by the process. They are never destroyed: tensors may be freed at the very end.
std::atomic<size_t> limit{0};
std::atomic<size_t> kept{0};

bool may_keep(size_t size) {
  if (kept.fetch_add(size, std::memory_order_relaxed) + size <= limit.load(std::memory_order_relaxed)) return true;
  kept.fetch_sub(size, std::memory_order_relaxed);
  return false;
}

struct Blocks {
  std::array<std::vector<void*>, kClasses> free;
  size_t bytes = 0;

  void* take(size_t number) {
    auto& blocks = free[number];
    if (blocks.empty()) return nullptr;
    void* block = blocks.back();
    blocks.pop_back();
    bytes -= size_of(number);
    kept.fetch_sub(size_of(number), std::memory_order_relaxed);
    return block;
  }

  void put(size_t number, void* block) {
    free[number].push_back(block);
    bytes += size_of(number);
  }

  // Frees blocks of other sizes, the largest first, until `needed` more bytes may be kept.
  void make_room(size_t number, size_t needed) {
    for (size_t other = kClasses; other-- > 0;) {
      if (other == number) continue;
      while (kept.load(std::memory_order_relaxed) + needed > limit.load(std::memory_order_relaxed)) {
        void* block = take(other);
        if (block == nullptr) break;
        give_back_to_system(block);
      }
    }
  }

  void clear() {
    for (auto& blocks : free) {
      for (void* block : blocks) give_back_to_system(block);
      blocks = {};
    }
    kept.fetch_sub(bytes, std::memory_order_relaxed);
    bytes = 0;
  }
};

struct Shared {
  std::mutex mutex;
  Blocks blocks;
};

Shared& shared() {
  static Shared* all = new Shared;
  return *all;
}

// A thread's own blocks, until the thread ends.
thread_local bool has_ended = false;
struct OfThread {
  Blocks blocks;
  ~OfThread() {
    has_ended = true;
    blocks.clear();
  }
};

Blocks* of_thread() {
  if (has_ended) return nullptr;
  static thread_local OfThread own;
  return &own.blocks;
}

void release(void* block) {
  if (block == nullptr) return;
  c10::profiledCPUMemoryReporter().Delete(block);
  const size_t number = class_at(block);
  if (number == kNotKept) return give_back_to_system(block);
  const size_t size = size_of(number);
  // no room can be made for it, as while nothing is to be kept: then no lock is taken
  if (size > limit.load(std::memory_order_relaxed)) return give_back_to_system(block);
  Blocks* own = of_thread();
  if (!may_keep(size)) {
    {
      std::lock_guard<std::mutex> lock(shared().mutex);
      shared().blocks.make_room(number, size);
    }
    if (own != nullptr) own->make_room(number, size);
    if (!may_keep(size)) return give_back_to_system(block);
  }
  if (size <= kSmall && own != nullptr && own->bytes + size <= kSmallPerThread) return own->put(number, block);
  std::lock_guard<std::mutex> lock(shared().mutex);
  shared().blocks.put(number, block);
}

struct KeptBlocks final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &release, c10::Device(c10::DeviceType::CPU)};
    size_t number = bytes > size_t(1) << 32 ? kNotKept : class_of(bytes);
    if (number >= kClasses) number = kNotKept;
    void* block = nullptr;
    if (number != kNotKept && kept.load(std::memory_order_relaxed) > 0) {
      Blocks* own = size_of(number) <= kSmall ? of_thread() : nullptr;
      if (own != nullptr) block = own->take(number);
      if (block == nullptr) {
        std::lock_guard<std::mutex> lock(shared().mutex);
        block = shared().blocks.take(number);
      }
    }
    if (block == nullptr) block = fresh(number, bytes);
    c10::profiledCPUMemoryReporter().New(block, bytes);
    return {block, block, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* destination, const void* source, std::size_t count) const override {
    std::memcpy(destination, source, count);
  }
};

void clear() {
  if (Blocks* own = of_thread()) own->clear();
  std::lock_guard<std::mutex> lock(shared().mutex);
  shared().blocks.clear();
}

}  // namespace

// Keeps at most so many bytes of freed memory from now on. The allocator takes libtorch's place when something is to be kept for the first time, and stays.
API int catena_keep_memory(uint64_t at_most) {
  return guard([&] {
    static std::once_flag is_there;
    if (at_most > 0) std::call_once(is_there, [] { c10::SetCPUAllocator(new KeptBlocks, 0); });
    limit = at_most;
    if (kept > at_most) clear();
  });
}

API uint64_t catena_kept_memory() { return kept; }
