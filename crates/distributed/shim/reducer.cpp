#include "reducer.h"

#include <algorithm>
#include <limits>

#include <c10/core/GradMode.h>

#include "mmcv-distributed/src/bridge.rs.h"

namespace mmcv_distributed {

namespace {

std::vector<std::vector<size_t>> buckets(const std::vector<at::Tensor>& parameters, const ReducerOptions& options) {
    // Without unused parameters all are in one bucket until the first backward pass has shown their order.
    std::vector<size_t> sizes{static_cast<size_t>(std::numeric_limits<int64_t>::max())};
    if (options.find_unused_parameters) {
        sizes = {static_cast<size_t>(options.first_bucket_bytes), static_cast<size_t>(options.bucket_bytes)};
    }
    auto [found, limits] =
        c10d::compute_bucket_assignment_by_size(parameters, sizes, std::vector<bool>(parameters.size(), false));
    std::reverse(found.begin(), found.end());
    return found;
}

} // namespace

Reducer::Reducer(
    c10::intrusive_ptr<Links> links, std::vector<at::Tensor> parameters, std::unordered_map<size_t, std::string> names,
    const ReducerOptions& options)
    : find_unused_(options.find_unused_parameters) {
    auto assigned = buckets(parameters, options);
    std::vector<bool> sparse(parameters.size(), false);
    reducer_ = std::make_shared<c10d::Reducer>(
        std::move(parameters), std::move(assigned), links->group, std::move(sparse), options.bucket_bytes,
        options.find_unused_parameters, /*gradient_as_bucket_view=*/false, std::move(names), options.first_bucket_bytes,
        /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false, std::vector<int64_t>{}, false);
    logger_ = std::make_shared<c10d::Logger>(reducer_);
    reducer_->set_logger(logger_);
}

void Reducer::prepare_forward() {
    reducer_->prepare_for_forward();
    reducer_->rebuild_buckets();
}

void Reducer::prepare_backward(rust::Slice<const TensorRef> outputs) {
    std::vector<at::Tensor> ends;
    if (find_unused_) {
        for (const auto& output : outputs) ends.push_back(output.tensor);
    }
    reducer_->prepare_for_backward(ends);
}

void Reducer::check_finished() {
    reducer_->check_finalized();
}

std::unique_ptr<Reducer> new_reducer(
    const Group& group, rust::Slice<const TensorRef> parameters, const rust::Vec<rust::String>& names,
    const ReducerOptions& options) {
    TORCH_CHECK(parameters.size() == names.size(), "each parameter has a name");
    std::vector<at::Tensor> all;
    std::unordered_map<size_t, std::string> named;
    for (size_t index = 0; index < parameters.size(); ++index) {
        all.push_back(parameters[index].tensor);
        named.emplace(index, std::string(names[index]));
    }
    return std::make_unique<Reducer>(group.links(), std::move(all), std::move(named), options);
}

void verify_parameters(const Group& group, rust::Slice<const TensorRef> parameters) {
    std::vector<at::Tensor> all;
    for (const auto& parameter : parameters) all.push_back(parameter.tensor);
    c10d::verify_params_across_processes(group.links()->group, all, std::nullopt);
}

bool grad_is_enabled() {
    return c10::GradMode::is_enabled();
}

} // namespace mmcv_distributed
