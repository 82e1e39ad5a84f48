// oneDNN's primitives for the Rust side, which plans: descriptions of memory, operators, and plans that run them.
#include "library.h"
#include "shim.h"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

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

// What is done with the result of an operator before it is written.
struct Post {
    enum Kind : int32_t { kEltwise, kSum, kBinary };
    int32_t kind;
    int32_t algorithm;
    float alpha;
    float beta;
    const_dnnl_memory_desc_t operand;
};

class Attributes {
public:
    Attributes(const Post* posts, size_t count) {
        const auto& dnn = runtime();
        dnn.check(dnn.primitive_attr_create(&attr_));
        dnn.check(dnn.primitive_attr_set_scratchpad_mode(attr_, dnnl_scratchpad_mode_user));
        dnn.check(dnn.post_ops_create(&posts_));
        for (size_t index = 0; index < count; ++index) {
            const Post& post = posts[index];
            auto algorithm = static_cast<dnnl_alg_kind_t>(post.algorithm);
            if (post.kind == Post::kSum) {
                dnn.check(dnn.post_ops_append_sum(posts_, 1.0f, 0, dnnl_data_type_undef));
            } else if (post.kind == Post::kBinary) {
                dnn.check(dnn.post_ops_append_binary(posts_, algorithm, post.operand));
            } else {
                dnn.check(dnn.post_ops_append_eltwise(posts_, algorithm, post.alpha, post.beta));
            }
        }
        dnn.check(dnn.primitive_attr_set_post_ops(attr_, posts_));
    }
    ~Attributes() {
        runtime().post_ops_destroy(posts_);
        runtime().primitive_attr_destroy(attr_);
    }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    const_dnnl_primitive_attr_t get() const {
        return attr_;
    }

private:
    dnnl_primitive_attr_t attr_ = nullptr;
    dnnl_post_ops_t posts_ = nullptr;
};

// A primitive and its description.
struct Op {
    dnnl_primitive_desc_t desc = nullptr;
    dnnl_primitive_t primitive = nullptr;

    ~Op() {
        if (primitive) runtime().primitive_destroy(primitive);
        if (desc) runtime().primitive_desc_destroy(desc);
    }
};

// Makes an operator; `describe` gives its description.
template <typename Describe>
Message make(Op** made, Describe describe) {
    return guarded([&] {
        const auto& dnn = runtime();
        auto op = std::make_unique<Op>();
        dnn.check(describe(dnn, &op->desc));
        dnn.check(dnn.primitive_create(&op->primitive, op->desc));
        *made = op.release();
    });
}

// Where the memory of an argument is.
struct Place {
    int32_t argument;
    // Which of the pointers given for each run; -1 for `fixed`.
    int32_t slot;
    void* fixed;
    const_dnnl_memory_desc_t desc;
};

struct Step {
    std::unique_ptr<Op> op;
    std::vector<dnnl_exec_arg_t> arguments;
};

struct Plan {
    std::vector<Step> steps;
    std::vector<dnnl_memory_t> memories;
    std::vector<std::pair<dnnl_memory_t, size_t>> slots;

    ~Plan() {
        for (auto memory : memories) runtime().memory_destroy(memory);
    }
};

// dnnl_format_tag_t of [N, C / block, spatial..., block].
dnnl_format_tag_t blocked(int dimensions) {
    bool wide = runtime().get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core;
    switch (dimensions) {
        case 3:
            return wide ? dnnl_nCw16c : dnnl_nCw8c;
        case 4:
            return wide ? dnnl_nChw16c : dnnl_nChw8c;
        default:
            return wide ? dnnl_nCdhw16c : dnnl_nCdhw8c;
    }
}

dnnl_data_type_t type(int32_t bf16) {
    return bf16 ? dnnl_bf16 : dnnl_f32;
}

} // namespace

extern "C" {

// The version of oneDNN, as major * 10000 + minor * 100 + patch.
Message mo_version(int32_t* version) {
    return guarded([&] {
        const auto* found = runtime().version();
        *version = found->major * 10000 + found->minor * 100 + found->patch;
    });
}

// Memory of this shape in the layout that an operator likes (0), or in blocks of channels (1).
Message mo_desc(int32_t layout, int32_t count, const int64_t* shape, int32_t bf16, dnnl_memory_desc_t* made) {
    return guarded([&] {
        auto tag = layout == 0 ? dnnl_format_tag_any : blocked(count);
        runtime().check(runtime().memory_desc_create_with_tag(made, count, shape, type(bf16), tag));
    });
}

Message mo_desc_strided(
    int32_t count, const int64_t* shape, const int64_t* strides, int32_t bf16, dnnl_memory_desc_t* made) {
    return guarded([&] {
        runtime().check(runtime().memory_desc_create_with_strides(made, count, shape, type(bf16), strides));
    });
}

// A part of `whole`, without copying.
Message mo_desc_part(
    const_dnnl_memory_desc_t whole, const int64_t* shape, const int64_t* offsets, dnnl_memory_desc_t* made) {
    return guarded([&] { runtime().check(runtime().memory_desc_create_submemory(made, whole, shape, offsets)); });
}

Message mo_desc_clone(const_dnnl_memory_desc_t desc, dnnl_memory_desc_t* made) {
    return guarded([&] { runtime().check(runtime().memory_desc_clone(made, desc)); });
}

void mo_desc_free(dnnl_memory_desc_t desc) {
    runtime().memory_desc_destroy(desc);
}

bool mo_desc_equal(const_dnnl_memory_desc_t one, const_dnnl_memory_desc_t other) {
    return runtime().memory_desc_equal(one, other) != 0;
}

size_t mo_desc_size(const_dnnl_memory_desc_t desc) {
    return runtime().memory_desc_get_size(desc);
}

// The number of axes.
int32_t mo_desc_rank(const_dnnl_memory_desc_t desc) {
    int32_t rank = 0;
    runtime().memory_desc_query(desc, dnnl_query_ndims_s32, &rank);
    return rank;
}

Message mo_convolution(
    bool transposed,
    const_dnnl_memory_desc_t source,
    const_dnnl_memory_desc_t weights,
    const_dnnl_memory_desc_t bias,
    const_dnnl_memory_desc_t result,
    const int64_t* strides,
    const int64_t* dilations,
    const int64_t* before,
    const int64_t* after,
    const Post* posts,
    size_t count,
    Op** made) {
    return make(made, [&](const Runtime& dnn, dnnl_primitive_desc_t* desc) {
        Attributes attributes(posts, count);
        auto create = transposed ? dnn.deconvolution_forward_primitive_desc_create
                                 : dnn.convolution_forward_primitive_desc_create;
        auto algorithm = transposed ? dnnl_deconvolution_direct : dnnl_convolution_direct;
        return create(
            desc, dnn.engine, dnnl_forward_inference, algorithm, source, weights, bias, result, strides, dilations,
            before, after, attributes.get());
    });
}

Message mo_inner_product(
    const_dnnl_memory_desc_t source,
    const_dnnl_memory_desc_t weights,
    const_dnnl_memory_desc_t bias,
    const_dnnl_memory_desc_t result,
    const Post* posts,
    size_t count,
    Op** made) {
    return make(made, [&](const Runtime& dnn, dnnl_primitive_desc_t* desc) {
        Attributes attributes(posts, count);
        return dnn.inner_product_forward_primitive_desc_create(
            desc, dnn.engine, dnnl_forward_inference, source, weights, bias, result, attributes.get());
    });
}

Message mo_pooling(
    int32_t algorithm,
    const_dnnl_memory_desc_t source,
    const_dnnl_memory_desc_t result,
    const int64_t* strides,
    const int64_t* kernel,
    const int64_t* dilations,
    const int64_t* before,
    const int64_t* after,
    Op** made) {
    return make(made, [&](const Runtime& dnn, dnnl_primitive_desc_t* desc) {
        Attributes attributes(nullptr, 0);
        return dnn.pooling_forward_primitive_desc_create(
            desc, dnn.engine, dnnl_forward_inference, static_cast<dnnl_alg_kind_t>(algorithm), source, result, strides,
            kernel, dilations, before, after, attributes.get());
    });
}

Message mo_eltwise(
    int32_t algorithm, float alpha, float beta, const_dnnl_memory_desc_t source, const_dnnl_memory_desc_t result, Op** made) {
    return make(made, [&](const Runtime& dnn, dnnl_primitive_desc_t* desc) {
        Attributes attributes(nullptr, 0);
        return dnn.eltwise_forward_primitive_desc_create(
            desc, dnn.engine, dnnl_forward_inference, static_cast<dnnl_alg_kind_t>(algorithm), source, result, alpha,
            beta, attributes.get());
    });
}

Message mo_binary(
    int32_t algorithm,
    const_dnnl_memory_desc_t left,
    const_dnnl_memory_desc_t right,
    const_dnnl_memory_desc_t result,
    const Post* posts,
    size_t count,
    Op** made) {
    return make(made, [&](const Runtime& dnn, dnnl_primitive_desc_t* desc) {
        Attributes attributes(posts, count);
        return dnn.binary_primitive_desc_create(
            desc, dnn.engine, static_cast<dnnl_alg_kind_t>(algorithm), left, right, result, attributes.get());
    });
}

Message mo_concat(
    int32_t axis, const const_dnnl_memory_desc_t* sources, int32_t count, const_dnnl_memory_desc_t result, Op** made) {
    return make(made, [&](const Runtime& dnn, dnnl_primitive_desc_t* desc) {
        Attributes attributes(nullptr, 0);
        return dnn.concat_primitive_desc_create(desc, dnn.engine, result, count, axis, sources, attributes.get());
    });
}

Message mo_resampling(
    int32_t algorithm, const_dnnl_memory_desc_t source, const_dnnl_memory_desc_t result, Op** made) {
    return make(made, [&](const Runtime& dnn, dnnl_primitive_desc_t* desc) {
        Attributes attributes(nullptr, 0);
        return dnn.resampling_forward_primitive_desc_create(
            desc, dnn.engine, dnnl_forward_inference, static_cast<dnnl_alg_kind_t>(algorithm), nullptr, source, result,
            attributes.get());
    });
}

Message mo_reorder(const_dnnl_memory_desc_t source, const_dnnl_memory_desc_t result, Op** made) {
    return make(made, [&](const Runtime& dnn, dnnl_primitive_desc_t* desc) {
        Attributes attributes(nullptr, 0);
        return dnn.reorder_primitive_desc_create(desc, source, dnn.engine, result, dnn.engine, attributes.get());
    });
}

void mo_op_free(Op* op) {
    delete op;
}

// The memory that the operator wants for its source (0), weights (1), result (2) and for itself (3).
Message mo_op_desc(const Op* op, int32_t which, dnnl_memory_desc_t* made) {
    static constexpr dnnl_query_t queries[] = {
        dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md, dnnl_query_scratchpad_md};
    return guarded([&] {
        const auto& dnn = runtime();
        dnn.check(dnn.memory_desc_clone(made, dnn.primitive_desc_query_md(op->desc, queries[which], 0)));
    });
}

// The name of its kernel.
const char* mo_op_kernel(const Op* op) {
    const char* name = "";
    runtime().primitive_desc_query(op->desc, dnnl_query_impl_info_str, 0, &name);
    return name;
}

Message mo_plan_new(Plan** made) {
    return guarded([&] { *made = new Plan(); });
}

void mo_plan_free(Plan* plan) {
    delete plan;
}

// Adds a step; the plan owns the operator from now on.
Message mo_plan_add(Plan* plan, Op* op, const Place* places, size_t count) {
    std::unique_ptr<Op> owned(op);
    return guarded([&] {
        const auto& dnn = runtime();
        Step step{std::move(owned), {}};
        for (size_t index = 0; index < count; ++index) {
            const Place& place = places[index];
            dnnl_memory_t memory = nullptr;
            void* handle = place.slot < 0 ? place.fixed : nullptr;
            dnn.check(dnn.memory_create(&memory, place.desc, dnn.engine, handle));
            plan->memories.push_back(memory);
            if (place.slot >= 0) plan->slots.emplace_back(memory, place.slot);
            step.arguments.push_back({place.argument, memory});
        }
        plan->steps.push_back(std::move(step));
    });
}

// Runs the steps, in order, with these pointers; writes the milliseconds that each took to `times` unless that is null.
Message mo_plan_run(const Plan* plan, void* const* pointers, size_t count, double* times, size_t time_count) {
    return guarded([&] {
        const auto& dnn = runtime();
        if (times && time_count != plan->steps.size()) throw std::runtime_error("there is not one time for each step");
        for (auto [memory, slot] : plan->slots) {
            if (slot >= count) throw std::runtime_error("a pointer is missing");
            dnn.check(dnn.memory_set_data_handle(memory, pointers[slot]));
        }
        for (const auto& step : plan->steps) {
            auto start = std::chrono::steady_clock::now();
            dnn.check(dnn.primitive_execute(
                step.op->primitive, dnn.stream, static_cast<int>(step.arguments.size()), step.arguments.data()));
            if (!times) continue;
            dnn.check(dnn.stream_wait(dnn.stream));
            *times++ = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
        }
        dnn.check(dnn.stream_wait(dnn.stream));
    });
}

} // extern "C"
