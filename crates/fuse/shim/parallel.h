// Threads of the pool that libtorch and its oneDNN use: two pools would wait for the same cores.
#pragma once

#include "shim.h"

namespace mmcv_fuse {

// Defined by the bridge.
struct Task;

// How many threads libtorch uses.
size_t thread_count();

// Calls the task with each number below `count`, at the same time if libtorch has OpenMP.
void parallel(const Task& task, size_t count) noexcept;

} // namespace mmcv_fuse
