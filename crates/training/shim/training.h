// What tch does not bind: autocast for any device, and fused steps of optimizers. `src/bridge.rs` declares what Rust calls: cxx
// checks these declarations against it, and turns an exception of a function that is declared with `Result` there into an error.
#pragma once

#include <cstdint>
#include <exception>

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

namespace mmcv_training {

using Tensor = at::Tensor;

// Defined by the bridge.
struct AutocastState;
struct SgdStep;
struct AdamWStep;
struct Momentum;
struct Moments;
struct TensorRef;

// Sets autocast of this thread for CUDA devices or the CPU, and returns what was set.
AutocastState set_autocast(bool cuda, const AutocastState& state);
// As PyTorch counts the blocks of autocast in each other; the casts of weights are forgotten at the end of the outermost.
void enter_autocast();
void leave_autocast();

void fused_sgd(rust::Slice<const Momentum> parameters, const SgdStep& step);
void fused_adamw(rust::Slice<const Moments> parameters, const AdamWStep& step);
// Removes the gradients.
void clear_gradients(rust::Slice<const TensorRef> parameters);

} // namespace mmcv_training
