#include "training.h"

#include "mmcv-training/src/bridge.rs.h"

#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include <ATen/autocast_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>

namespace mmcv_training {

namespace {

// Tensors of one device and type: what a fused step takes at once.
using Key = std::pair<c10::Device, at::ScalarType>;

struct ByDevice {
    bool operator()(const Key& left, const Key& right) const {
        auto key = [](const Key& of) { return std::make_tuple(of.first.type(), of.first.index(), of.second); };
        return key(left) < key(right);
    }
};

// The fused steps walk through memory, so all tensors of a parameter have to lie in memory as it does, without gaps.
void check(const at::Tensor& parameter, const at::Tensor& state) {
    if (!parameter.defined() || !state.defined()) throw std::invalid_argument("a tensor is not there");
    if (!parameter.is_non_overlapping_and_dense()) throw std::invalid_argument("a parameter has gaps in memory");
    bool same = state.sizes() == parameter.sizes() && state.strides() == parameter.strides();
    if (!same || state.device() != parameter.device() || state.scalar_type() != parameter.scalar_type()) {
        throw std::invalid_argument("a state has another shape, layout, type or device than its parameter");
    }
}

at::Tensor gradient_of(const at::Tensor& parameter) {
    at::Tensor found = parameter.grad();
    if (!found.defined()) throw std::invalid_argument("a parameter has no gradient");
    if (found.layout() != at::kStrided) throw std::invalid_argument("a gradient is sparse");
    if (found.strides() == parameter.strides() && found.scalar_type() == parameter.scalar_type()) return found;
    return at::empty_like(parameter).copy_(found);
}

} // namespace

AutocastState set_autocast(bool cuda, const AutocastState& state) {
    auto device = cuda ? at::kCUDA : at::kCPU;
    auto dtype = at::autocast::get_autocast_dtype(device);
    AutocastState before{
        at::autocast::is_autocast_enabled(device),
        dtype == at::kHalf ? HalfPrecision::Float16 : HalfPrecision::BFloat16,
    };
    at::autocast::set_autocast_enabled(device, state.enabled);
    at::autocast::set_autocast_dtype(device, state.dtype == HalfPrecision::Float16 ? at::kHalf : at::kBFloat16);
    return before;
}

void enter_autocast() {
    at::autocast::increment_nesting();
}

void leave_autocast() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
}

void fused_sgd(rust::Slice<const Momentum> parameters, const SgdStep& step) {
    struct Lists {
        std::vector<at::Tensor> parameters, gradients, buffers;
    };
    at::NoGradGuard no_grad;
    std::map<Key, Lists, ByDevice> groups;
    for (const auto& [parameter, buffer] : parameters) {
        check(parameter, buffer);
        auto& lists = groups[{parameter.device(), parameter.scalar_type()}];
        lists.parameters.push_back(parameter);
        lists.gradients.push_back(gradient_of(parameter));
        if (step.momentum != 0.0) lists.buffers.push_back(buffer);
    }
    for (const auto& [key, lists] : groups) {
        at::_fused_sgd_(
            lists.parameters, lists.gradients, lists.buffers, step.weight_decay, step.momentum, step.lr, step.dampening,
            step.nesterov, false, step.is_first
        );
    }
}

void fused_adamw(rust::Slice<const Moments> parameters, const AdamWStep& step) {
    struct Lists {
        std::vector<at::Tensor> parameters, gradients, means, squares, steps;
    };
    at::NoGradGuard no_grad;
    std::map<Key, Lists, ByDevice> groups;
    for (const auto& [parameter, mean, square, count] : parameters) {
        check(parameter, mean);
        check(parameter, square);
        if (!count.defined() || count.numel() != 1 || count.scalar_type() != at::kFloat) {
            throw std::invalid_argument("the number of steps is not one number in 32 bits");
        }
        auto& lists = groups[{parameter.device(), parameter.scalar_type()}];
        lists.parameters.push_back(parameter);
        lists.gradients.push_back(gradient_of(parameter));
        lists.means.push_back(mean);
        lists.squares.push_back(square);
        lists.steps.push_back(count);
    }
    for (const auto& [key, lists] : groups) {
        for (const auto& count : lists.steps) count.add_(1);
        at::_fused_adamw_(
            lists.parameters, lists.gradients, lists.means, lists.squares, {}, lists.steps, step.lr, step.beta1, step.beta2,
            step.weight_decay, step.eps, false, false
        );
    }
}

void clear_gradients(rust::Slice<const TensorRef> parameters) {
    for (const auto& [parameter] : parameters) {
        if (parameter.defined()) parameter.mutable_grad() = at::Tensor();
    }
}

} // namespace mmcv_training
