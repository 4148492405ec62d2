// Work for libtorch's own threads.
#include "guard.h"
#include <ATen/Parallel.h>

// How many threads take part in what is begun here: 1 inside of a parallel region.
API int catena_threads() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

// Calls `work(context, i)` for each `i` below `n`, on libtorch's threads. `work` does not throw.
API int catena_parallel(int64_t n, void (*work)(const void*, int64_t), const void* context) {
  return guard([&] {
    at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) work(context, i);
    });
  });
}
