#include "sync_bn.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "mmcv-distributed/src/bridge.rs.h"

namespace mmcv_distributed {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Optional = std::optional<at::Tensor>;

// Codes of `src/fingerprint.rs`.
constexpr int64_t kForward = 100;
constexpr int64_t kBackward = 101;

at::Tensor or_undefined(const Optional& tensor) {
    return tensor.value_or(at::Tensor());
}

// Statistics of half precision are those of its values in float32.
at::ScalarType exact(at::ScalarType type) {
    return at::isReducedFloatingType(type) ? at::kFloat : type;
}

at::Tensor to(const at::Tensor& tensor, at::ScalarType type) {
    return tensor.defined() ? tensor.to(type) : tensor;
}

// A value per channel, for tensors of the rank of `input`.
at::Tensor per_channel(const at::Tensor& values, const at::Tensor& input) {
    std::vector<int64_t> sizes(static_cast<size_t>(input.dim()), 1);
    sizes[1] = -1;
    return values.view(sizes);
}

int64_t values_per_channel(const at::Tensor& input) {
    return input.size(1) == 0 ? 0 : input.numel() / input.size(1);
}

// Throws on every rank unless all are in the same pass of a layer with as many channels.
void agree(Links& links, int64_t pass, const at::Tensor& input) {
    if (!links.side) return;
    std::vector<int64_t> here(kFingerprint, 0);
    here[0] = pass;
    here[1] = input.size(1);
    here[2] = input.is_cuda();
    auto all = links.exchange(here);
    for (size_t rank = 0; rank < static_cast<size_t>(links.world_size); ++rank) {
        const int64_t* there = all.data() + rank * kFingerprint;
        if (std::equal(here.begin(), here.end(), there)) continue;
        bool norm = there[0] == kForward || there[0] == kBackward;
        TORCH_CHECK(
            false, "the ranks do not run the same layers: rank ", links.rank, " is in the ",
            pass == kForward ? "forward" : "backward", " pass of a SyncBN of ", input.size(1), " channels, and rank ", rank,
            norm ? " in that of another one, or in another pass, of " : " in a call with code ", norm ? there[1] : there[0],
            norm ? " channels" : "");
    }
}

struct Statistics {
    at::Tensor mean;
    at::Tensor variance;
    double count = 0;
};

// Mean and biased variance over all ranks, by the method of Chan et al. (1979), in float64.
Statistics merge(Links& links, const at::Tensor& input) {
    int64_t channels = input.size(1);
    double count = static_cast<double>(values_per_channel(input));
    auto row = at::zeros({2 * channels + 1}, input.options().dtype(at::kDouble).memory_format(at::MemoryFormat::Contiguous));
    if (count > 0) {
        auto [mean, variance] = at::batch_norm_update_stats(input, {}, {}, 0.0);
        row.narrow(0, 0, channels).copy_(mean);
        row.narrow(0, channels, channels).copy_(variance.to(at::kDouble) * count);
        row.narrow(0, 2 * channels, 1).fill_(count);
    }
    auto rows = links.gather(row);
    auto counts = rows.narrow(1, 2 * channels, 1);
    auto total = counts.sum().item<double>();
    TORCH_CHECK(
        total > 1, "expected more than 1 value per channel when training, and all ranks together have ",
        static_cast<int64_t>(total));
    auto means = rows.narrow(1, 0, channels);
    auto mean = (means * counts).sum(0) / total;
    auto squares = rows.narrow(1, channels, channels).sum(0) + ((means - mean).square() * counts).sum(0);
    return {mean, squares / total, total};
}

void update(const Optional& running, const at::Tensor& value, double momentum) {
    if (!running) return;
    auto tensor = running->detach();
    tensor.mul_(1 - momentum).add_(value.to(tensor.scalar_type()), momentum);
}

// On the CPU, for which libtorch has no kernels of its own for this.
struct OnCpu : torch::autograd::Function<OnCpu> {
    static at::Tensor forward(
        AutogradContext* context, const at::Tensor& input, const Optional& weight, const Optional& bias,
        const Optional& running_mean, const Optional& running_variance, double momentum, double eps,
        const c10::intrusive_ptr<Links>& links) {
        agree(*links, kForward, input);
        auto type = exact(input.scalar_type());
        auto values = input.to(type);
        auto statistics = merge(*links, values);
        update(running_mean, statistics.mean, momentum);
        update(running_variance, statistics.variance * (statistics.count / (statistics.count - 1)), momentum);
        auto mean = statistics.mean.to(type), variance = statistics.variance.to(type);
        auto output = at::empty_like(values);
        if (input.numel() > 0) {
            output = std::get<0>(at::native_batch_norm(
                values, to(or_undefined(weight), type), to(or_undefined(bias), type), mean, variance, false, 0.0, eps));
        }
        context->save_for_backward({input, or_undefined(weight), mean, variance});
        context->saved_data["bias"] = bias.has_value();
        context->saved_data["eps"] = eps;
        context->saved_data["count"] = statistics.count;
        context->saved_data["links"] = c10::IValue::make_capsule(links);
        return output.to(input.scalar_type());
    }

    static variable_list backward(AutogradContext* context, variable_list outputs) {
        auto saved = context->get_saved_variables();
        const auto& input = saved[0];
        const auto& weight = saved[1];
        const auto& mean = saved[2];
        const auto& variance = saved[3];
        double eps = context->saved_data["eps"].toDouble(), count = context->saved_data["count"].toDouble();
        auto holder = context->saved_data["links"].toCapsule();
        auto& links = static_cast<Links&>(*holder);
        agree(links, kBackward, input);
        auto type = mean.scalar_type();
        auto values = input.to(type), scale = to(weight, type);
        auto gradient = at::zeros_like(values), sum_weighted = at::zeros_like(mean), sum = at::zeros_like(mean);
        // Without a value, libtorch's kernel divides by 0 and ends the process.
        if (input.numel() > 0) {
            // In evaluation mode: the gradient as if the statistics were constants, and the two sums, in one pass.
            std::tie(gradient, sum_weighted, sum) = at::native_batch_norm_backward(
                outputs[0].to(type), values, scale, mean, variance, {}, {}, false, eps, {true, true, true});
        }
        auto sums = at::cat({sum, sum_weighted}).to(at::kDouble);
        links.sum(sums);
        auto inverse = (variance.to(at::kDouble) + eps).rsqrt();
        auto factor = weight.defined() ? weight.to(at::kDouble) * inverse : inverse;
        auto slope = factor * inverse * sums.narrow(0, mean.size(0), mean.size(0)) / count;
        auto shift = mean.to(at::kDouble) * slope - factor * sums.narrow(0, 0, mean.size(0)) / count;
        gradient.sub_(values * per_channel(slope.to(type), input)).add_(per_channel(shift.to(type), input));
        bool affine = weight.defined();
        return {
            gradient.to(input.scalar_type()), affine ? sum_weighted.to(weight.scalar_type()) : at::Tensor(),
            context->saved_data["bias"].toBool() ? sum.to(weight.scalar_type()) : at::Tensor(),
            at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
    }
};

// On CUDA, by the operators that libtorch has for this.
struct OnCuda : torch::autograd::Function<OnCuda> {
    static at::Tensor forward(
        AutogradContext* context, const at::Tensor& input, const Optional& weight, const Optional& bias,
        const Optional& running_mean, const Optional& running_variance, double momentum, double eps,
        const c10::intrusive_ptr<Links>& links) {
        agree(*links, kForward, input);
        int64_t channels = input.size(1), count = values_per_channel(input);
        auto options = input.options().dtype(exact(input.scalar_type())).memory_format(at::MemoryFormat::Contiguous);
        auto row = at::zeros({2 * channels + 1}, options);
        if (count > 0) {
            auto [mean, inverse] = at::batch_norm_stats(input, eps);
            row.narrow(0, 0, channels).copy_(mean);
            row.narrow(0, channels, channels).copy_(inverse);
            row.narrow(0, 2 * channels, 1).fill_(count);
        }
        auto rows = links->gather(row);
        // Ranks without values have no statistics.
        rows = rows.index_select(0, rows.select(1, 2 * channels).ge(1).nonzero().view({-1})).contiguous();
        auto counts = rows.select(1, 2 * channels).contiguous();
        auto total = counts.to(at::kDouble).sum().item<double>();
        TORCH_CHECK(
            total > 1, "expected more than 1 value per channel when training, and all ranks together have ",
            static_cast<int64_t>(total));
        auto [mean, inverse] = at::batch_norm_gather_stats_with_counts(
            input, rows.narrow(1, 0, channels).contiguous(), rows.narrow(1, channels, channels).contiguous(), running_mean,
            running_variance, momentum, eps, counts);
        context->saved_data["bias"] = bias.has_value();
        context->save_for_backward({input, or_undefined(weight), mean, inverse, counts.to(at::kInt)});
        context->saved_data["links"] = c10::IValue::make_capsule(links);
        if (input.numel() == 0) return at::empty_like(input);
        return at::batch_norm_elemt(input, weight, bias, mean, inverse, eps);
    }

    static variable_list backward(AutogradContext* context, variable_list outputs) {
        auto saved = context->get_saved_variables();
        const auto& input = saved[0];
        const auto& weight = saved[1];
        auto holder = context->saved_data["links"].toCapsule();
        auto& links = static_cast<Links&>(*holder);
        agree(links, kBackward, input);
        Optional scale = weight.defined() ? Optional(weight) : std::nullopt;
        int64_t channels = saved[2].size(0);
        auto sums = at::zeros({2 * channels}, saved[2].options());
        at::Tensor weight_gradient, bias_gradient;
        auto upstream = outputs[0].contiguous(input.suggest_memory_format());
        if (input.numel() > 0) {
            auto [sum, weighted, for_weight, for_bias] =
                at::batch_norm_backward_reduce(upstream, input, saved[2], saved[3], scale, true, weight.defined(), weight.defined());
            sums = at::cat({sum, weighted});
            weight_gradient = for_weight;
            bias_gradient = for_bias;
        } else if (weight.defined()) {
            weight_gradient = at::zeros_like(weight);
            bias_gradient = at::zeros_like(weight);
        }
        links.sum(sums);
        auto gradient = input.numel() == 0
            ? at::empty_like(input)
            : at::batch_norm_backward_elemt(
                  upstream, input, saved[2], saved[3], scale, sums.narrow(0, 0, channels).contiguous(),
                  sums.narrow(0, channels, channels).contiguous(), saved[4]);
        if (!context->saved_data["bias"].toBool()) bias_gradient = at::Tensor();
        return {gradient, weight_gradient, bias_gradient, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
    }
};

Optional first(rust::Slice<const TensorRef> tensors) {
    return tensors.empty() ? std::nullopt : Optional(tensors[0].tensor);
}

} // namespace

std::unique_ptr<at::Tensor> sync_batch_norm(const Group& group, const at::Tensor& input, const NormArguments& arguments) {
    TORCH_CHECK(input.dim() >= 2, "expected at least 2D input, got ", input.dim(), "D input");
    TORCH_CHECK(input.is_floating_point(), "expected floating-point input");
    auto weight = first(arguments.weight), bias = first(arguments.bias);
    auto mean = first(arguments.running_mean), variance = first(arguments.running_variance);
    for (const auto& values : {weight, bias, mean, variance}) {
        TORCH_CHECK(
            !values || values->numel() == input.size(1), "the layer has ", values ? values->numel() : 0,
            " channels, and the input ", input.size(1));
    }
    double momentum = arguments.momentum, eps = arguments.eps;
    return std::make_unique<at::Tensor>(
        input.is_cuda() ? OnCuda::apply(input, weight, bias, mean, variance, momentum, eps, group.links())
                        : OnCpu::apply(input, weight, bias, mean, variance, momentum, eps, group.links()));
}

} // namespace mmcv_distributed
