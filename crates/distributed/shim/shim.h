// What the parts of the shim share. `src/bridge.rs` declares what Rust calls: cxx checks these declarations against it, and turns
// an exception of a function that is declared with `Result` there into an error.
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

namespace mmcv_distributed {

using Tensor = at::Tensor;

// Defined by the bridge.
struct TensorRef;
struct Meeting;
struct ReducerOptions;
struct NormArguments;
enum class Reduction : uint8_t;

inline std::string text(rust::Str text) {
    return {text.data(), text.size()};
}

} // namespace mmcv_distributed
