#include "parallel.h"

#include <algorithm>

#include <ATen/Parallel.h>
#include <dlfcn.h>

#include "mmcv-fuse/src/bridge.rs.h"

namespace mmcv_fuse {

namespace {

// What GCC calls for `#pragma omp parallel`; LLVM's and Intel's OpenMP have it too. Compiling with OpenMP would bring in a second
// library with threads of its own, beside the one in libtorch's folder.
struct OpenMp {
    using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
    Parallel parallel = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    int (*thread)() = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
    void (*use_threads)(int) = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    int (*threads)() = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
};

const OpenMp& open_mp() {
    static const OpenMp found;
    return found;
}

struct Work {
    const Task& task;
    size_t count;
};

// There may be fewer threads than numbers.
void part(void* data) {
    const auto& work = *static_cast<const Work*>(data);
    size_t threads = static_cast<size_t>(std::max(open_mp().threads(), 1));
    for (size_t index = static_cast<size_t>(open_mp().thread()); index < work.count; index += threads) {
        work.task.run(index);
    }
}

} // namespace

size_t thread_count() {
    return static_cast<size_t>(std::max(at::get_num_threads(), 1));
}

void use_threads(size_t count) {
    // At its first call in a thread, libtorch sets the number that is meant for all.
    at::get_num_threads();
    if (open_mp().use_threads) open_mp().use_threads(static_cast<int>(std::min<size_t>(count, 1 << 16)));
}

void parallel(const Task& task, size_t count) noexcept {
    size_t threads = std::min(count, thread_count());
    const auto& omp = open_mp();
    if (threads > 1 && omp.parallel && omp.thread && omp.threads) {
        Work work{task, count};
        omp.parallel(part, &work, static_cast<unsigned>(threads), 0);
        return;
    }
    for (size_t index = 0; index < count; ++index) task.run(index);
}

} // namespace mmcv_fuse
