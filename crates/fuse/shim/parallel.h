// Threads of the pool that libtorch and its oneDNN use: two pools would wait for the same cores.
#pragma once

#include "shim.h"

namespace mmcv_fuse {

// Defined by the bridge.
struct Task;

// How many threads libtorch uses for operators that this thread calls.
size_t thread_count();

// Sets this number, without changing that of other threads.
void use_threads(size_t count);

// Calls the task with each number below `count`, at the same time if libtorch has OpenMP.
void parallel(const Task& task, size_t count) noexcept;

} // namespace mmcv_fuse
