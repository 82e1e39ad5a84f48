// The reducer of DistributedDataParallel.
#pragma once

#include "group.h"

#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

namespace mmcv_distributed {

class Reducer {
public:
    Reducer(
        c10::intrusive_ptr<Links> links, std::vector<at::Tensor> parameters,
        std::unordered_map<size_t, std::string> names, const ReducerOptions& options);
    // Before a forward pass whose gradients are recorded.
    void prepare_forward();
    // After the forward pass: gradients are averaged while the next backward pass computes them.
    void prepare_backward(rust::Slice<const TensorRef> outputs);
    // Throws if a parameter got no gradient in the backward pass.
    void check_finished();

private:
    bool find_unused_;
    std::shared_ptr<c10d::Reducer> reducer_;
    // The reducer uses it without a check when it looks for unused parameters. It is told nothing: under
    // TORCH_DISTRIBUTED_DEBUG=DETAIL what it would write of the construction ends the process (libtorch 2.13.0).
    std::shared_ptr<c10d::Logger> logger_;
};

std::unique_ptr<Reducer> new_reducer(
    const Group& group, rust::Slice<const TensorRef> parameters, const rust::Vec<rust::String>& names,
    const ReducerOptions& options);

// Throws unless the parameters have the same shapes and types on all ranks.
void verify_parameters(const Group& group, rust::Slice<const TensorRef> parameters);

// Whether gradients are recorded on this thread.
bool grad_is_enabled();

} // namespace mmcv_distributed
