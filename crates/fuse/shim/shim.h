// What the parts of the shim share. `src/bridge.rs` declares what Rust calls: cxx checks these declarations against it, and turns
// an exception of a function that is declared with `Result` there into an error. What Rust may call without `unsafe` checks
// every index, length and size itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "rust/cxx.h"

namespace rust::behavior {

// Replaces cxx's own, which lets exceptions that are not a `std::exception` end the process.
template <typename Try, typename Fail>
static void trycatch(Try&& work, Fail&& fail) noexcept {
    try {
        work();
    } catch (const std::exception& error) {
        fail(error.what());
    } catch (...) {
        fail("an exception of an unknown type");
    }
}

} // namespace rust::behavior

namespace mmcv_fuse {

// Defined by the bridge.
struct TensorRef;
struct Tensors;

inline std::string text(rust::Str text) {
    return {text.data(), text.size()};
}

inline rust::Str str(const std::string& text) {
    return {text.data(), text.size()};
}

// Whether the tensor's elements lie within its memory.
bool is_backed(const at::Tensor& tensor);

// An identifier of the memory that the tensor shares with its views; 0 if it has none.
size_t storage(const at::Tensor& tensor);

// Throws if the tensor has no plain memory. Returns a tensor with the same elements in plain memory if its own are not what lies
// there, as in a conjugate or negative view, else null.
std::unique_ptr<at::Tensor> plain(const at::Tensor& tensor);

// Whether all elements of a tensor of float32 on the CPU are numbers of less than 2^63; true for any other tensor.
bool is_moderate(const at::Tensor& tensor);

// The machine's memory in bytes; 0 if unknown.
uint64_t memory();

} // namespace mmcv_fuse
