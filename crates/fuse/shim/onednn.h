// oneDNN's primitives: descriptions of memory, operators, and plans that run them.
#pragma once

#include "shim.h"

#include <utility>
#include <vector>

#include <oneapi/dnnl/dnnl.h>

namespace mmcv_fuse {

// Defined by the bridge.
enum class Algorithm : uint8_t;
enum class Type : uint8_t;
struct Argument;
struct DescRef;
struct Eltwise;
struct Sum;
struct Window;

// The shape, type and layout of memory.
class Desc {
public:
    // Owns the description.
    explicit Desc(dnnl_memory_desc_t desc) : desc_(desc) {}
    ~Desc();
    Desc(const Desc&) = delete;
    Desc& operator=(const Desc&) = delete;
    // A part of this memory, without copying: `shape` elements from `offsets` on.
    std::shared_ptr<Desc> part(rust::Slice<const int64_t> shape, rust::Slice<const int64_t> offsets) const;
    bool equals(const Desc& other) const;
    // In bytes.
    size_t size() const;
    Type type() const;
    const_dnnl_memory_desc_t get() const {
        return desc_;
    }

private:
    dnnl_memory_desc_t desc_;
};

// Any layout: an operator that is made for it chooses one.
std::shared_ptr<Desc> any_desc(rust::Slice<const int64_t> shape, Type type);
// Channels in blocks of the size of a vector register.
std::shared_ptr<Desc> blocked_desc(rust::Slice<const int64_t> shape, Type type);
// The channels of a block in `blocked_desc`.
size_t block_size();
// Whether the processor multiplies matrices of bfloat16 and of integers in registers of their own (AMX).
bool multiplies_tiles();
std::shared_ptr<Desc> strided_desc(rust::Slice<const int64_t> shape, rust::Slice<const int64_t> strides, Type type);

// What an operator does besides its own work: scales and zero points of integers, and what is done with the result before it is
// written.
class Attributes {
public:
    Attributes();
    ~Attributes();
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    void eltwise(Eltwise eltwise);
    // Adds what was in the memory of the result.
    void sum(Sum sum);
    // A binary operation with other memory.
    void binary(Algorithm algorithm, const Desc& operand);
    // The argument has a scale; or one for each position along its first axis or axes, if `mask` is not 0.
    void scale(Argument argument, int32_t mask);
    // The argument has a zero point.
    void zero_point(Argument argument);
    const_dnnl_primitive_attr_t get() const;
    // The arguments with scales or a zero point, as oneDNN's numbers, and the axes along which there is one for each position.
    const std::vector<std::pair<int, int>>& masks() const {
        return masks_;
    }

private:
    std::vector<std::pair<int, int>> masks_;
    dnnl_primitive_attr_t attr_ = nullptr;
    dnnl_post_ops_t posts_ = nullptr;
};

std::unique_ptr<Attributes> new_attributes();

// A primitive and its description.
class Op {
public:
    Op() = default;
    ~Op();
    Op(const Op&) = delete;
    Op& operator=(const Op&) = delete;
    // The memory that it wants for an argument.
    std::shared_ptr<Desc> wants(Argument argument) const;
    // The name of its kernel.
    rust::String kernel() const;

private:
    friend class Plan;
    template <typename Describe>
    friend std::unique_ptr<Op> make(const char* name, const Attributes& attributes, Describe describe);
    // Throws if it has no such argument.
    const_dnnl_memory_desc_t memory(Argument argument) const;

    std::vector<std::pair<int, int>> masks_;
    dnnl_primitive_desc_t desc_ = nullptr;
    dnnl_primitive_t primitive_ = nullptr;
};

// `bias` is empty if there is none.
std::unique_ptr<Op> convolution(
    bool transposed, const Desc& source, const Desc& weights, rust::Slice<const DescRef> bias, const Desc& result,
    const Window& window, const Attributes& attributes);
std::unique_ptr<Op> inner_product(
    const Desc& source, const Desc& weights, rust::Slice<const DescRef> bias, const Desc& result, const Attributes& attributes);
std::unique_ptr<Op> pooling(
    Algorithm algorithm, const Desc& source, const Desc& result, rust::Slice<const int64_t> kernel, const Window& window);
std::unique_ptr<Op> elementwise(Eltwise eltwise, const Desc& source, const Desc& result);
std::unique_ptr<Op> binary(
    Algorithm algorithm, const Desc& left, const Desc& right, const Desc& result, const Attributes& attributes);
std::unique_ptr<Op> concatenation(int32_t axis, rust::Slice<const DescRef> sources);
std::unique_ptr<Op> resampling(Algorithm algorithm, const Desc& source, const Desc& result);
std::unique_ptr<Op> reorder(const Desc& source, const Desc& result, const Attributes& attributes);

// Operators in order, with their memory.
class Plan {
public:
    Plan() = default;
    ~Plan();
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;
    // Adds an operator, whose arguments follow.
    void step(std::unique_ptr<Op> op);
    // The last operator has this argument in the memory of a contiguous tensor, from a byte on. The plan keeps the tensor.
    void fixed(Argument argument, const at::Tensor& memory, size_t offset);
    // The last operator has these scales (float32) or this zero point (int32). The plan keeps the tensor.
    void attribute(Argument argument, const at::Tensor& values);
    // The last operator has this argument in the tensor with this index among those of each run.
    void slot(Argument argument, size_t slot);
    // Runs the operators from `first` to before `last`. Writes the milliseconds that each took to `times` unless that is empty.
    void run(size_t first, size_t last, rust::Slice<const TensorRef> tensors, rust::Slice<double> times);

private:
    struct Step {
        std::unique_ptr<Op> op;
        std::vector<dnnl_exec_arg_t> arguments;
        bool lacks_scratchpad;
        // How many scales and zero points are not given yet.
        size_t missing;
    };
    struct Slot {
        dnnl_memory_t memory;
        size_t index;
        size_t size;
    };
    // Returns the memory of the argument, and the bytes that it needs.
    std::pair<dnnl_memory_t, size_t> add(Argument argument);

    std::vector<Step> steps_;
    std::vector<dnnl_memory_t> memories_;
    std::vector<Slot> slots_;
    std::vector<at::Tensor> tensors_;
};

std::unique_ptr<Plan> new_plan();

// The version of oneDNN, as major * 10000 + minor * 100 + patch.
uint32_t onednn_version();

// Throws if the file is not the one from which libtorch was loaded.
void check_libtorch_file(rust::Str path);

} // namespace mmcv_fuse
