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


// Runs `work` and turns an exception into a message.
template <typename Work>
Message guarded(Work work) noexcept {
    try {
        work();
        return nullptr;
    } catch (const std::exception& error) {
        return strdup(error.what());
    } catch (...) {
        return strdup("an exception of an unknown type");
    }
}
