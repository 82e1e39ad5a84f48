// Operators by their names, through the dispatcher.
#include "shim.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

namespace {

// A call whose arguments are known but for the tensors.
struct Call {
    c10::OperatorHandle op;
    std::vector<c10::IValue> arguments;
    // Where a tensor is put: position of the argument, and index of the tensor.
    std::vector<std::pair<size_t, int64_t>> tensors;
    // The same for lists of tensors.
    std::vector<std::pair<size_t, std::vector<int64_t>>> lists;
};

c10::IValue fixed(const Arg& arg) {
    const auto* integers = static_cast<const int64_t*>(arg.data);
    const auto* reals = static_cast<const double*>(arg.data);
    switch (arg.tag) {
        case Tag::kInt:
            return arg.integer;
        case Tag::kDouble:
            return arg.real;
        case Tag::kBool:
            return arg.integer != 0;
        case Tag::kString:
            return std::string(static_cast<const char*>(arg.data), arg.count);
        case Tag::kInts:
            return c10::IValue(std::vector<int64_t>(integers, integers + arg.count));
        case Tag::kDoubles:
            return c10::IValue(std::vector<double>(reals, reals + arg.count));
        case Tag::kBools: {
            c10::List<bool> bools;
            for (size_t index = 0; index < arg.count; ++index) bools.push_back(integers[index] != 0);
            return bools;
        }
        case Tag::kDevice:
            return c10::Device(std::string(static_cast<const char*>(arg.data), arg.count));
        default:
            return {};
    }
}

// An empty list has no type of its own: it takes that of the schema.
c10::IValue typed(c10::IValue value, const c10::Argument& wanted) {
    auto type = wanted.type();
    if (auto optional = type->cast<c10::OptionalType>(); optional && !value.isNone()) type = optional->getElementType();
    if (auto list = type->cast<c10::ListType>(); list && (value.isIntList() || value.isDoubleList())) {
        auto element = list->getElementType()->kind();
        if (element == c10::TypeKind::OptionalType) {
            c10::impl::GenericList numbers(list->getElementType());
            for (const c10::IValue& number : value.toListRef()) numbers.push_back(number);
            return numbers;
        }
        if (!value.isIntList()) return value;
        auto numbers = value.toIntVector();
        if (element == c10::TypeKind::FloatType) return std::vector<double>(numbers.begin(), numbers.end());
        if (element == c10::TypeKind::BoolType && numbers.empty()) return c10::List<bool>();
    }
    if (type->kind() == c10::TypeKind::FloatType && value.isInt()) return static_cast<double>(value.toInt());
    return value;
}

// The tensors that are given for one call.
struct Given {
    at::Tensor* const* tensors;
    size_t count;

    const at::Tensor& at(int64_t index) const {
        TORCH_CHECK(index >= 0 && static_cast<size_t>(index) < count, "there is no tensor ", index, " among ", count);
        return *tensors[index];
    }
};

c10::IValue tensor_list(const c10::Argument& wanted, const std::vector<int64_t>& indices, const Given& given) {
    auto type = wanted.type()->cast<c10::ListType>();
    TORCH_CHECK(type, wanted.name(), " is no list");
    auto element = type->getElementType();
    if (element->kind() == c10::TypeKind::OptionalType) {
        c10::List<std::optional<at::Tensor>> list;
        for (auto index : indices) list.push_back(index < 0 ? std::nullopt : std::make_optional(given.at(index)));
        return list;
    }
    c10::List<at::Tensor> list;
    for (auto index : indices) list.push_back(index < 0 ? at::Tensor() : given.at(index));
    return list;
}

std::optional<c10::OperatorHandle> find(const char* name, const char* overload) {
    return c10::Dispatcher::singleton().findSchema({name, overload});
}

} // namespace

extern "C" {

// Whether this libtorch has the operator with a kernel for the device: 0 is the CPU, 1 is CUDA.
bool mf_has_operator(const char* name, const char* overload, int32_t device) {
    auto op = find(name, overload);
    auto key = device == 0 ? c10::DispatchKey::CPU : c10::DispatchKey::CUDA;
    return op && (op->hasKernelForDispatchKey(key) || op->hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd));
}

// Whether this libtorch knows the operator.
bool mf_has_schema(const char* name, const char* overload) {
    return find(name, overload).has_value();
}

// Whether the operator draws random numbers.
bool mf_is_random(const char* name, const char* overload) {
    auto op = find(name, overload);
    return op && op->hasTag(at::Tag::nondeterministic_seeded);
}

// The address of the tensor's memory; 0 where it has none.
size_t mf_storage(const at::Tensor* tensor) {
    if (!tensor->defined() || !tensor->has_storage()) return 0;
    return reinterpret_cast<size_t>(tensor->storage().unsafeGetStorageImpl());
}

// Prepares a call and checks its arguments against the operator's schema.
Message mf_call_new(const char* name, const char* overload, const Arg* args, size_t count, Call** made) {
    return guarded([&] {
        auto op = find(name, overload);
        TORCH_CHECK(op, "this libtorch has no operator ", name, ".", overload);
        const auto& wanted = op->schema().arguments();
        TORCH_CHECK(wanted.size() == count, name, " takes ", wanted.size(), " arguments, not ", count);
        auto call = std::make_unique<Call>(Call{*op, {}, {}, {}});
        for (size_t index = 0; index < count; ++index) {
            const Arg& arg = args[index];
            call->arguments.push_back(typed(fixed(arg), wanted[index]));
            if (arg.tag == Tag::kTensor) {
                call->tensors.emplace_back(index, arg.integer);
            } else if (arg.tag == Tag::kTensors) {
                const auto* indices = static_cast<const int64_t*>(arg.data);
                call->lists.emplace_back(index, std::vector<int64_t>(indices, indices + arg.count));
            } else {
                auto type = call->arguments.back().type();
                TORCH_CHECK(
                    type->isSubtypeOf(*wanted[index].type()),
                    name, " takes ", wanted[index].type()->str(), " as ", wanted[index].name(), ", not ", type->str());
            }
        }
        *made = call.release();
    });
}

void mf_call_free(Call* call) {
    delete call;
}

// Calls the operator without autograd. `push` is given each tensor that results, which it owns.
Message mf_call_run(
    const Call* call, at::Tensor* const* tensors, size_t count, void* context, void (*push)(void*, at::Tensor*)) {
    return guarded([&] {
        at::AutoDispatchBelowADInplaceOrView no_autograd;
        Given given{tensors, count};
        auto stack = call->arguments;
        for (auto [position, index] : call->tensors) stack[position] = given.at(index);
        for (const auto& [position, indices] : call->lists) {
            stack[position] = tensor_list(call->op.schema().arguments()[position], indices, given);
        }
        call->op.callBoxed(stack);
        for (const auto& result : stack) {
            if (result.isTensor()) {
                push(context, new at::Tensor(result.toTensor()));
            } else if (result.isTensorList()) {
                for (const at::Tensor& tensor : result.toTensorVector()) push(context, new at::Tensor(tensor));
            } else {
                TORCH_CHECK(false, call->op.schema().name(), " gives no tensor");
            }
        }
    });
}

} // extern "C"
