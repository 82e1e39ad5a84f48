// TorchScript's tracer: which operators a forward pass calls, with which arguments. All of it is per thread.
#pragma once

#include "shim.h"

namespace mmcv_fuse {

// A type of the Rust side, which gets the traced graph.
struct GraphBuilder;

// Starts to trace; the tensors become the inputs of the graph, in order. For each of the first `inputs` of them, pushes to
// `standing` a tensor that stands for it and notes what the program asks of it.
void trace_begin(rust::Slice<const TensorRef> tensors, size_t inputs, Tensors& standing);

// Sets whether the next questions are ignored.
void trace_pause(bool paused);

// Notes that a part of the tensor's size was asked for; returns false if it depends on no input.
bool trace_part(const at::Tensor& tensor);

// Opens a module's scope; does nothing outside of a trace.
void trace_enter(rust::Str module);

// Closes it.
void trace_leave();

// Ends the trace and shows the graph whose outputs are these tensors.
void trace_end(rust::Slice<const TensorRef> outputs, GraphBuilder& builder);

// Ends the trace without looking at it; does nothing outside of a trace.
void trace_abandon() noexcept;

} // namespace mmcv_fuse
