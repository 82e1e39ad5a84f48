// Batch norm with the statistics of all ranks.
#pragma once

#include "group.h"

namespace mmcv_distributed {

// The output in training. `arguments` has the weight and the bias, and the running statistics, which change in place.
std::unique_ptr<at::Tensor> sync_batch_norm(const Group& group, const at::Tensor& input, const NormArguments& arguments);

} // namespace mmcv_distributed
