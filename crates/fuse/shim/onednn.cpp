#include "onednn.h"

#include <chrono>
#include <stdexcept>

#include "library.h"
#include "mmcv-fuse/src/bridge.rs.h"

namespace mmcv_fuse {

namespace {

struct Runtime : Library {
    dnnl_engine_t engine = nullptr;
    dnnl_stream_t stream = nullptr;

    Runtime() : Library(find_library()) {
        check(engine_create(&engine, dnnl_cpu, 0));
        check(stream_create(&stream, engine, dnnl_stream_default_flags));
    }

    void check(dnnl_status_t status) const {
        if (status != dnnl_success) throw std::runtime_error(std::string("oneDNN: ") + status2str(status));
    }
};

// Lives as long as the process, as oneDNN's own state does.
const Runtime& runtime() {
    static const Runtime* found = new Runtime();
    return *found;
}

void require(bool holds, const char* message) {
    if (!holds) throw std::runtime_error(message);
}

dnnl_alg_kind_t kind(Algorithm algorithm) {
    switch (algorithm) {
        case Algorithm::Relu:
            return dnnl_eltwise_relu;
        case Algorithm::Tanh:
            return dnnl_eltwise_tanh;
        case Algorithm::Elu:
            return dnnl_eltwise_elu;
        case Algorithm::Linear:
            return dnnl_eltwise_linear;
        case Algorithm::HardSigmoid:
            return dnnl_eltwise_hardsigmoid;
        case Algorithm::Logistic:
            return dnnl_eltwise_logistic;
        case Algorithm::GeluTanh:
            return dnnl_eltwise_gelu_tanh;
        case Algorithm::Swish:
            return dnnl_eltwise_swish;
        case Algorithm::Clip:
            return dnnl_eltwise_clip;
        case Algorithm::GeluErf:
            return dnnl_eltwise_gelu_erf;
        case Algorithm::HardSwish:
            return dnnl_eltwise_hardswish;
        case Algorithm::MaxPooling:
            return dnnl_pooling_max;
        case Algorithm::AveragePoolingWithPadding:
            return dnnl_pooling_avg_include_padding;
        case Algorithm::AveragePooling:
            return dnnl_pooling_avg_exclude_padding;
        case Algorithm::Add:
            return dnnl_binary_add;
        case Algorithm::Multiply:
            return dnnl_binary_mul;
        case Algorithm::Nearest:
            return dnnl_resampling_nearest;
        case Algorithm::Bilinear:
            return dnnl_resampling_linear;
    }
    throw std::runtime_error("an unknown algorithm");
}

int number(Argument argument) {
    switch (argument.role) {
        case Role::Source:
            return DNNL_ARG_SRC;
        case Role::SecondSource:
            return DNNL_ARG_SRC_1;
        case Role::Sources:
            return DNNL_ARG_MULTIPLE_SRC + argument.index;
        case Role::Weights:
            return DNNL_ARG_WEIGHTS;
        case Role::Bias:
            return DNNL_ARG_BIAS;
        case Role::Result:
            return DNNL_ARG_DST;
        case Role::Scratchpad:
            return DNNL_ARG_SCRATCHPAD;
        case Role::SourceScale:
            return DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC;
        case Role::WeightsScale:
            return DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS;
        case Role::ResultScale:
            return DNNL_ARG_ATTR_SCALES | DNNL_ARG_DST;
        case Role::SourceZero:
            return DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC;
        case Role::ResultZero:
            return DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_DST;
        case Role::Operand:
            return DNNL_ARG_ATTR_MULTIPLE_POST_OP(argument.index) | DNNL_ARG_SRC_1;
    }
    throw std::runtime_error("an unknown argument");
}

int rank(const_dnnl_memory_desc_t desc) {
    int rank = 0;
    runtime().memory_desc_query(desc, dnnl_query_ndims_s32, &rank);
    return rank;
}

size_t width(dnnl_data_type_t type) {
    switch (type) {
        case dnnl_u8:
        case dnnl_s8:
            return 1;
        case dnnl_bf16:
            return 2;
        default:
            return 4;
    }
}

// The bytes from the start of the memory to the last element that the description reaches.
size_t extent(const_dnnl_memory_desc_t desc) {
    const auto& dnn = runtime();
    dnnl_dim_t last = 0;
    dnn.check(dnn.memory_desc_query(desc, dnnl_query_submemory_offset_s64, &last));
    if (last == 0) return dnn.memory_desc_get_size(desc);
    const dnnl_dims_t *sizes, *strides, *blocks, *axes;
    int block_count = 0;
    dnnl_data_type_t type;
    dnn.check(dnn.memory_desc_query(desc, dnnl_query_padded_dims, &sizes));
    dnn.check(dnn.memory_desc_query(desc, dnnl_query_strides, &strides));
    dnn.check(dnn.memory_desc_query(desc, dnnl_query_inner_nblks_s32, &block_count));
    dnn.check(dnn.memory_desc_query(desc, dnnl_query_inner_blks, &blocks));
    dnn.check(dnn.memory_desc_query(desc, dnnl_query_inner_idxs, &axes));
    dnn.check(dnn.memory_desc_query(desc, dnnl_query_data_type, &type));
    dnnl_dims_t outer;
    std::copy_n(*sizes, rank(desc), outer);
    dnnl_dim_t block = 1;
    for (int index = 0; index < block_count; ++index) {
        outer[(*axes)[index]] /= (*blocks)[index];
        block *= (*blocks)[index];
    }
    for (int axis = 0; axis < rank(desc); ++axis) last += (outer[axis] - 1) * (*strides)[axis];
    return static_cast<size_t>(last + block) * width(type);
}

dnnl_data_type_t type(Type type) {
    switch (type) {
        case Type::F32:
            return dnnl_f32;
        case Type::Bf16:
            return dnnl_bf16;
        case Type::U8:
            return dnnl_u8;
        case Type::S8:
            return dnnl_s8;
    }
    throw std::runtime_error("an unknown type");
}

std::shared_ptr<Desc> tagged_desc(rust::Slice<const int64_t> shape, Type of, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t made = nullptr;
    int count = static_cast<int>(std::min<size_t>(shape.size(), DNNL_MAX_NDIMS + 1));
    runtime().check(runtime().memory_desc_create_with_tag(&made, count, shape.data(), type(of), tag));
    return std::make_shared<Desc>(made);
}

// Every list has an entry for each spatial axis of `source`.
void check_window(const Window& window, const Desc& source) {
    size_t axes = std::max(rank(source.get()) - 2, 0);
    for (const auto* list : {&window.strides, &window.dilations, &window.before, &window.after}) {
        require(list->size() == axes, "a window has not one entry for each spatial axis");
    }
}

std::vector<const_dnnl_memory_desc_t> handles(rust::Slice<const DescRef> descs) {
    std::vector<const_dnnl_memory_desc_t> found;
    for (const auto& [desc] : descs) found.push_back(desc.get());
    return found;
}

} // namespace

Desc::~Desc() {
    runtime().memory_desc_destroy(desc_);
}

std::shared_ptr<Desc> Desc::part(rust::Slice<const int64_t> shape, rust::Slice<const int64_t> offsets) const {
    size_t axes = static_cast<size_t>(rank(desc_));
    require(shape.size() == axes && offsets.size() == axes, "a part has not one entry for each axis");
    dnnl_memory_desc_t made = nullptr;
    runtime().check(runtime().memory_desc_create_submemory(&made, desc_, shape.data(), offsets.data()));
    return std::make_shared<Desc>(made);
}

bool Desc::equals(const Desc& other) const {
    return runtime().memory_desc_equal(desc_, other.desc_) != 0;
}

size_t Desc::size() const {
    return runtime().memory_desc_get_size(desc_);
}

Type Desc::type() const {
    dnnl_data_type_t type;
    runtime().check(runtime().memory_desc_query(desc_, dnnl_query_data_type, &type));
    switch (type) {
        case dnnl_bf16:
            return Type::Bf16;
        case dnnl_u8:
            return Type::U8;
        case dnnl_s8:
            return Type::S8;
        default:
            return Type::F32;
    }
}

std::shared_ptr<Desc> any_desc(rust::Slice<const int64_t> shape, Type of) {
    return tagged_desc(shape, of, dnnl_format_tag_any);
}

size_t block_size() {
    return runtime().get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core ? 16 : 8;
}

bool multiplies_tiles() {
    return runtime().get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core_amx;
}

std::shared_ptr<Desc> blocked_desc(rust::Slice<const int64_t> shape, Type of) {
    bool wide = block_size() == 16;
    switch (shape.size()) {
        case 3:
            return tagged_desc(shape, of, wide ? dnnl_nCw16c : dnnl_nCw8c);
        case 4:
            return tagged_desc(shape, of, wide ? dnnl_nChw16c : dnnl_nChw8c);
        default:
            return tagged_desc(shape, of, wide ? dnnl_nCdhw16c : dnnl_nCdhw8c);
    }
}

std::shared_ptr<Desc> strided_desc(rust::Slice<const int64_t> shape, rust::Slice<const int64_t> strides, Type of) {
    require(shape.size() == strides.size() && shape.size() <= DNNL_MAX_NDIMS, "there is not one stride for each axis");
    dnnl_memory_desc_t made = nullptr;
    int count = static_cast<int>(shape.size());
    runtime().check(runtime().memory_desc_create_with_strides(&made, count, shape.data(), type(of), strides.data()));
    return std::make_shared<Desc>(made);
}

Attributes::Attributes() {
    const auto& dnn = runtime();
    dnn.check(dnn.primitive_attr_create(&attr_));
    dnn.check(dnn.primitive_attr_set_scratchpad_mode(attr_, dnnl_scratchpad_mode_user));
    dnn.check(dnn.post_ops_create(&posts_));
}

Attributes::~Attributes() {
    if (posts_) runtime().post_ops_destroy(posts_);
    if (attr_) runtime().primitive_attr_destroy(attr_);
}

void Attributes::eltwise(Eltwise eltwise) {
    const auto& dnn = runtime();
    dnn.check(dnn.post_ops_append_eltwise(posts_, kind(eltwise.algorithm), eltwise.alpha, eltwise.beta));
}

void Attributes::sum(Sum sum) {
    const auto& dnn = runtime();
    dnn.check(dnn.post_ops_append_sum(posts_, sum.scale, sum.zero_point, dnnl_data_type_undef));
}

void Attributes::binary(Algorithm algorithm, const Desc& operand) {
    runtime().check(runtime().post_ops_append_binary(posts_, kind(algorithm), operand.get()));
}

void Attributes::scale(Argument argument, int32_t mask) {
    runtime().check(runtime().primitive_attr_set_scales_mask(attr_, number(argument), mask));
    masks_.push_back({number(argument) | DNNL_ARG_ATTR_SCALES, mask});
}

void Attributes::zero_point(Argument argument) {
    runtime().check(runtime().primitive_attr_set_zero_points_mask(attr_, number(argument), 0));
    masks_.push_back({number(argument) | DNNL_ARG_ATTR_ZERO_POINTS, 0});
}

const_dnnl_primitive_attr_t Attributes::get() const {
    const auto& dnn = runtime();
    dnn.check(dnn.primitive_attr_set_post_ops(attr_, posts_));
    return attr_;
}

std::unique_ptr<Attributes> new_attributes() {
    return std::make_unique<Attributes>();
}

Op::~Op() {
    if (primitive_) runtime().primitive_destroy(primitive_);
    if (desc_) runtime().primitive_desc_destroy(desc_);
}

const_dnnl_memory_desc_t Op::memory(Argument argument) const {
    return runtime().primitive_desc_query_md(desc_, dnnl_query_exec_arg_md, number(argument));
}

std::shared_ptr<Desc> Op::wants(Argument argument) const {
    dnnl_memory_desc_t made = nullptr;
    runtime().check(runtime().memory_desc_clone(&made, memory(argument)));
    return std::make_shared<Desc>(made);
}

rust::String Op::kernel() const {
    const char* name = "";
    runtime().primitive_desc_query(desc_, dnnl_query_impl_info_str, 0, &name);
    return rust::String::lossy(name);
}

// Makes an operator; `describe` fills in its description.
template <typename Describe>
std::unique_ptr<Op> make(const char* name, const Attributes& attributes, Describe describe) {
    try {
        const auto& dnn = runtime();
        auto op = std::make_unique<Op>();
        dnn.check(describe(dnn, &op->desc_, attributes.get()));
        dnn.check(dnn.primitive_create(&op->primitive_, op->desc_));
        op->masks_ = attributes.masks();
        return op;
    } catch (const std::exception& error) {
        throw std::runtime_error(std::string(name) + ": " + error.what());
    }
}

using Made = dnnl_primitive_desc_t*;
using Attr = const_dnnl_primitive_attr_t;

std::unique_ptr<Op> convolution(
    bool transposed, const Desc& source, const Desc& weights, rust::Slice<const DescRef> bias, const Desc& result,
    const Window& window, const Attributes& attributes) {
    check_window(window, source);
    return make("convolution", attributes, [&](const Runtime& dnn, Made made, Attr attr) {
        auto create = transposed ? dnn.deconvolution_forward_primitive_desc_create
                                 : dnn.convolution_forward_primitive_desc_create;
        auto algorithm = transposed ? dnnl_deconvolution_direct : dnnl_convolution_direct;
        return create(
            made, dnn.engine, dnnl_forward_inference, algorithm, source.get(), weights.get(),
            bias.empty() ? nullptr : bias.front().desc.get(), result.get(), window.strides.data(),
            window.dilations.data(), window.before.data(), window.after.data(), attr);
    });
}

std::unique_ptr<Op> inner_product(
    const Desc& source, const Desc& weights, rust::Slice<const DescRef> bias, const Desc& result, const Attributes& attributes) {
    return make("linear", attributes, [&](const Runtime& dnn, Made made, Attr attr) {
        return dnn.inner_product_forward_primitive_desc_create(
            made, dnn.engine, dnnl_forward_inference, source.get(), weights.get(),
            bias.empty() ? nullptr : bias.front().desc.get(), result.get(), attr);
    });
}

std::unique_ptr<Op> pooling(
    Algorithm algorithm, const Desc& source, const Desc& result, rust::Slice<const int64_t> kernel, const Window& window) {
    check_window(window, source);
    require(kernel.size() == window.strides.size(), "a kernel has not one entry for each spatial axis");
    return make("pooling", Attributes(), [&](const Runtime& dnn, Made made, Attr attr) {
        return dnn.pooling_forward_primitive_desc_create(
            made, dnn.engine, dnnl_forward_inference, kind(algorithm), source.get(), result.get(), window.strides.data(),
            kernel.data(), window.dilations.data(), window.before.data(), window.after.data(), attr);
    });
}

std::unique_ptr<Op> elementwise(Eltwise eltwise, const Desc& source, const Desc& result) {
    return make("elementwise", Attributes(), [&](const Runtime& dnn, Made made, Attr attr) {
        return dnn.eltwise_forward_primitive_desc_create(
            made, dnn.engine, dnnl_forward_inference, kind(eltwise.algorithm), source.get(), result.get(), eltwise.alpha,
            eltwise.beta, attr);
    });
}

std::unique_ptr<Op> binary(
    Algorithm algorithm, const Desc& left, const Desc& right, const Desc& result, const Attributes& attributes) {
    return make("binary", attributes, [&](const Runtime& dnn, Made made, Attr attr) {
        return dnn.binary_primitive_desc_create(
            made, dnn.engine, kind(algorithm), left.get(), right.get(), result.get(), attr);
    });
}

std::unique_ptr<Op> concatenation(int32_t axis, rust::Slice<const DescRef> sources) {
    auto descs = handles(sources);
    return make("concatenation", Attributes(), [&](const Runtime& dnn, Made made, Attr attr) {
        return dnn.concat_primitive_desc_create(
            made, dnn.engine, nullptr, static_cast<int>(descs.size()), axis, descs.data(), attr);
    });
}

std::unique_ptr<Op> resampling(Algorithm algorithm, const Desc& source, const Desc& result) {
    return make("resampling", Attributes(), [&](const Runtime& dnn, Made made, Attr attr) {
        return dnn.resampling_forward_primitive_desc_create(
            made, dnn.engine, dnnl_forward_inference, kind(algorithm), nullptr, source.get(), result.get(), attr);
    });
}

std::unique_ptr<Op> reorder(const Desc& source, const Desc& result, const Attributes& attributes) {
    return make("reorder", attributes, [&](const Runtime& dnn, Made made, Attr attr) {
        return dnn.reorder_primitive_desc_create(made, source.get(), dnn.engine, result.get(), dnn.engine, attr);
    });
}

Plan::~Plan() {
    for (auto memory : memories_) runtime().memory_destroy(memory);
}

void Plan::step(std::unique_ptr<Op> op) {
    require(op != nullptr, "there is no operator");
    bool scratchpad = runtime().memory_desc_get_size(op->memory({Role::Scratchpad, 0})) > 0;
    size_t missing = op->masks_.size();
    steps_.push_back({std::move(op), {}, scratchpad, missing});
}

std::pair<dnnl_memory_t, size_t> Plan::add(Argument argument) {
    require(!steps_.empty(), "there is no operator");
    const auto& dnn = runtime();
    Step& step = steps_.back();
    const auto* desc = step.op->memory(argument);
    size_t size = extent(desc);
    require(size > 0, "the operator has no such argument");
    dnnl_memory_t memory = nullptr;
    dnn.check(dnn.memory_create(&memory, desc, dnn.engine, nullptr));
    memories_.push_back(memory);
    step.arguments.push_back({number(argument), memory});
    if (argument.role == Role::Scratchpad) step.lacks_scratchpad = false;
    return {memory, size};
}

// The address of the memory, of which `size` bytes are needed from `offset` on.
static void* address(const at::Tensor& tensor, size_t offset, size_t size) {
    require(tensor.defined() && tensor.is_cpu() && tensor.is_contiguous() && is_backed(tensor), "a tensor is not in plain memory");
    require(offset <= tensor.nbytes() && size <= tensor.nbytes() - offset, "a tensor is too small");
    return static_cast<char*>(tensor.data_ptr()) + offset;
}

// The elements of the memory along the axes in `mask`.
static int64_t positions(const_dnnl_memory_desc_t desc, int mask) {
    if (mask == 0) return 1;
    const dnnl_dims_t* sizes;
    runtime().check(runtime().memory_desc_query(desc, dnnl_query_dims, &sizes));
    int64_t count = 1;
    for (int axis = 0; axis < rank(desc); ++axis) {
        if (mask >> axis & 1) count *= (*sizes)[axis];
    }
    return count;
}

void Plan::attribute(Argument argument, const at::Tensor& values) {
    require(!steps_.empty(), "there is no operator");
    const auto& dnn = runtime();
    Step& step = steps_.back();
    int key = number(argument);
    bool zero = key & DNNL_ARG_ATTR_ZERO_POINTS;
    const auto& masks = step.op->masks_;
    auto found = std::find_if(masks.begin(), masks.end(), [&](const auto& entry) { return entry.first == key; });
    require(found != masks.end(), "the operator has no such scale or zero point");
    int64_t count = positions(step.op->memory({Role::Weights, 0}), found->second);
    require(values.scalar_type() == (zero ? at::kInt : at::kFloat), "scales or zero points of another type");
    require(values.numel() == count, "another number of scales than positions");
    dnnl_memory_desc_t made = nullptr;
    dnn.check(dnn.memory_desc_create_with_tag(&made, 1, &count, zero ? dnnl_s32 : dnnl_f32, dnnl_a));
    Desc desc(made);
    dnnl_memory_t memory = nullptr;
    dnn.check(dnn.memory_create(&memory, desc.get(), dnn.engine, address(values, 0, values.nbytes())));
    memories_.push_back(memory);
    step.arguments.push_back({key, memory});
    step.missing -= 1;
    tensors_.push_back(values);
}

void Plan::fixed(Argument argument, const at::Tensor& memory, size_t offset) {
    auto [made, size] = add(argument);
    runtime().check(runtime().memory_set_data_handle(made, address(memory, offset, size)));
    tensors_.push_back(memory);
}

void Plan::slot(Argument argument, size_t slot) {
    auto [made, size] = add(argument);
    slots_.push_back({made, slot, size});
}

void Plan::run(size_t first, size_t last, rust::Slice<const TensorRef> tensors, rust::Slice<double> times) {
    const auto& dnn = runtime();
    bool timed = !times.empty();
    require(first <= last && last <= steps_.size(), "there are not so many steps");
    require(!timed || times.size() == last - first, "there is not one time for each step");
    for (const auto& [memory, index, size] : slots_) {
        require(index < tensors.size(), "a tensor is missing");
        dnn.check(dnn.memory_set_data_handle(memory, address(tensors[index].tensor, 0, size)));
    }
    for (size_t index = first; index < last; ++index) {
        const auto& step = steps_[index];
        require(!step.lacks_scratchpad && step.missing == 0, "an operator has no scratchpad, scale or zero point");
        auto start = std::chrono::steady_clock::now();
        dnn.check(dnn.primitive_execute(
            step.op->primitive_, dnn.stream, static_cast<int>(step.arguments.size()), step.arguments.data()));
        if (!timed) continue;
        dnn.check(dnn.stream_wait(dnn.stream));
        times[index - first] = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    }
    dnn.check(dnn.stream_wait(dnn.stream));
}

std::unique_ptr<Plan> new_plan() {
    return std::make_unique<Plan>();
}

uint32_t onednn_version() {
    const auto* found = runtime().version();
    return static_cast<uint32_t>(found->major * 10000 + found->minor * 100 + found->patch);
}

} // namespace mmcv_fuse
