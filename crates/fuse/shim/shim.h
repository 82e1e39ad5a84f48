// What the Rust side of mmcv-fuse calls. Every function that can fail returns nullptr, or a message that the caller gives
// to mf_free_message; no C++ exception passes this line. Tensors are torch::Tensor*, as tch holds them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>

#include <ATen/core/Tensor.h>

using Message = char*;

// What an argument is.
enum class Tag : int32_t {
    kNone,
    kInt,
    kDouble,
    kBool,
    kString,
    kInts,
    kDoubles,
    kBools,
    kDevice,
    kTensor,
    // Indices of tensors; -1 stands for none.
    kTensors,
};

// One argument of an operator.
struct Arg {
    Tag tag;
    // An integer, a bool, or the index of a tensor that is given for each call.
    int64_t integer;
    double real;
    // int64_t[count], double[count], int64_t[count] as bools, char[count]: as the tag says.
    const void* data;
    size_t count;
};

// Stands for a message that there is no memory for; never freed.
inline char no_memory_for_message[] = "out of memory";

inline Message message(const char* text) noexcept {
    Message copy = strdup(text);
    return copy ? copy : no_memory_for_message;
}

inline void free_message(Message text) noexcept {
    if (text != no_memory_for_message) free(text);
}

// Runs `work` and turns an exception into a message.
template <typename Work>
Message guarded(Work work) noexcept {
    try {
        work();
        return nullptr;
    } catch (const std::exception& error) {
        return message(error.what());
    } catch (...) {
        return message("an exception of an unknown type");
    }
}
