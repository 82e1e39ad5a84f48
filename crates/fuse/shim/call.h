// Operators by their names, through the dispatcher.
#pragma once

#include "shim.h"

#include <utility>
#include <vector>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

namespace mmcv_fuse {

// A call whose arguments are known except for the tensors. Arguments are pushed in the order of the operator's schema and checked
// against it.
class Call {
public:
    Call(c10::OperatorHandle op, size_t count);
    void push_none();
    void push_int(int64_t value);
    void push_double(double value);
    void push_bool(bool value);
    void push_string(rust::Str value);
    void push_device(rust::Str value);
    void push_ints(rust::Slice<const int64_t> values);
    void push_doubles(rust::Slice<const double> values);
    void push_bools(rust::Slice<const bool> values);
    // The tensor with this index among those of `run`.
    void push_tensor(size_t index);
    // The same for a list; -1 stands for none.
    void push_tensors(rust::Slice<const int64_t> indices);
    // Calls the operator without autograd, and pushes the tensors that it returns to `results`.
    void run(rust::Slice<const TensorRef> tensors, Tensors& results) const;

    // What was pushed, for other parts of the shim.
    const c10::FunctionSchema& schema() const { return op_.schema(); }
    const std::vector<c10::IValue>& arguments() const { return arguments_; }
    const std::vector<std::pair<size_t, size_t>>& tensors() const { return tensors_; }
    const std::vector<std::pair<size_t, std::vector<int64_t>>>& lists() const { return lists_; }

private:
    const c10::Argument& next() const;
    void push(c10::IValue value);

    c10::OperatorHandle op_;
    std::vector<c10::IValue> arguments_;
    // Position of the argument, and index of the tensor.
    std::vector<std::pair<size_t, size_t>> tensors_;
    // The same for lists of tensors.
    std::vector<std::pair<size_t, std::vector<int64_t>>> lists_;
};

// Throws if this libtorch lacks the operator, or if it takes another number of arguments.
std::unique_ptr<Call> new_call(rust::Str name, rust::Str overload, size_t count);

// Whether this libtorch has the operator, with a kernel for the CPU or for CUDA.
bool has_operator(rust::Str name, rust::Str overload, bool cuda);

// Whether this libtorch knows the operator.
bool has_schema(rust::Str name, rust::Str overload);

// Whether the operator draws random numbers.
bool is_random(rust::Str name, rust::Str overload);

} // namespace mmcv_fuse
