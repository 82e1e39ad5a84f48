// Tensors that note what a program asks of them while it is traced: a forward pass that never asks for a size calls the same
// operators for every size.
#pragma once

#include "shim.h"

#include <optional>
#include <string>
#include <vector>

#include "mmcv-fuse/src/bridge.rs.h"

namespace mmcv_fuse {

// What a program asked of a tensor.
struct Question {
    QuestionKind kind;
    // The tensor in the traced graph; none if the graph does not know it.
    std::optional<size_t> value;
    std::vector<int64_t> size;
    // The module that asked.
    std::string module;
    // The operator, for `Refused` and `Values`.
    std::string operation;
};

// Starts to note the questions of this thread.
void start_watching();
// Ends that; the tensors that are left behave as any other from now on.
std::vector<Question> stop_watching();
// Whether the next questions are noted.
void pause_watching(bool paused);
// Notes that a part of the tensor's size was asked for; returns false if it depends on no input, or nothing is noted.
bool note_part(const at::Tensor& tensor);

// The same tensor, which notes what is asked of it.
at::Tensor watched(const at::Tensor& tensor);
// The tensor that a watched one stands for; any other itself.
at::Tensor unwatched(const at::Tensor& tensor);

} // namespace mmcv_fuse
