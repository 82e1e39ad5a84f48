#include "call.h"

#include <ATen/core/LegacyTypeDispatch.h>

#include "mmcv-fuse/src/bridge.rs.h"

namespace mmcv_fuse {

namespace {

using Given = rust::Slice<const TensorRef>;

// An empty list has no type: it takes that of the schema.
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

const at::Tensor& tensor_at(const Given& tensors, size_t index) {
    TORCH_CHECK(index < tensors.size(), "there is no tensor ", index, " among ", tensors.size());
    return tensors[index].tensor;
}

template <typename Element>
c10::List<Element> listed(const Given& tensors, const std::vector<int64_t>& indices) {
    c10::List<Element> list;
    for (auto index : indices) {
        list.push_back(index < 0 ? Element() : Element(tensor_at(tensors, static_cast<size_t>(index))));
    }
    return list;
}

c10::IValue tensor_list(const c10::Argument& wanted, const std::vector<int64_t>& indices, const Given& tensors) {
    auto type = wanted.type()->cast<c10::ListType>();
    TORCH_CHECK(type, wanted.name(), " is no list");
    if (type->getElementType()->kind() == c10::TypeKind::OptionalType) {
        return listed<std::optional<at::Tensor>>(tensors, indices);
    }
    return listed<at::Tensor>(tensors, indices);
}

std::optional<c10::OperatorHandle> find(rust::Str name, rust::Str overload) {
    return c10::Dispatcher::singleton().findSchema({text(name), text(overload)});
}

} // namespace

Call::Call(c10::OperatorHandle op, size_t count) : op_(std::move(op)) {
    size_t wanted = op_.schema().arguments().size();
    TORCH_CHECK(wanted == count, op_.schema().name(), " takes ", wanted, " arguments, not ", count);
}

const c10::Argument& Call::next() const {
    const auto& arguments = op_.schema().arguments();
    TORCH_CHECK(arguments_.size() < arguments.size(), op_.schema().name(), " takes no more arguments");
    return arguments[arguments_.size()];
}

void Call::push(c10::IValue value) {
    const auto& wanted = next();
    value = typed(std::move(value), wanted);
    auto type = value.type();
    TORCH_CHECK(
        type->isSubtypeOf(*wanted.type()),
        op_.schema().name(), " takes ", wanted.type()->str(), " as ", wanted.name(), ", not ", type->str());
    arguments_.push_back(std::move(value));
}

void Call::push_none() {
    push({});
}

void Call::push_int(int64_t value) {
    push(value);
}

void Call::push_double(double value) {
    push(value);
}

void Call::push_bool(bool value) {
    push(value);
}

void Call::push_string(rust::Str value) {
    push(text(value));
}

void Call::push_device(rust::Str value) {
    push(c10::Device(text(value)));
}

void Call::push_ints(rust::Slice<const int64_t> values) {
    push(std::vector<int64_t>(values.begin(), values.end()));
}

void Call::push_doubles(rust::Slice<const double> values) {
    push(std::vector<double>(values.begin(), values.end()));
}

void Call::push_bools(rust::Slice<const bool> values) {
    c10::List<bool> bools;
    for (bool value : values) bools.push_back(value);
    push(bools);
}

void Call::push_tensor(size_t index) {
    next();
    tensors_.emplace_back(arguments_.size(), index);
    arguments_.emplace_back();
}

void Call::push_tensors(rust::Slice<const int64_t> indices) {
    next();
    lists_.emplace_back(arguments_.size(), std::vector<int64_t>(indices.begin(), indices.end()));
    arguments_.emplace_back();
}

void Call::run(rust::Slice<const TensorRef> tensors, Tensors& results) const {
    const auto& schema = op_.schema();
    TORCH_CHECK(arguments_.size() == schema.arguments().size(), schema.name(), " lacks arguments");
    at::AutoDispatchBelowADInplaceOrView no_autograd;
    auto stack = arguments_;
    for (auto [position, index] : tensors_) stack[position] = tensor_at(tensors, index);
    for (const auto& [position, indices] : lists_) {
        stack[position] = tensor_list(schema.arguments()[position], indices, tensors);
    }
    op_.callBoxed(stack);
    for (const auto& result : stack) {
        if (result.isTensor()) {
            results.push(std::make_unique<at::Tensor>(result.toTensor()));
        } else if (result.isTensorList()) {
            for (const at::Tensor& tensor : result.toTensorVector()) results.push(std::make_unique<at::Tensor>(tensor));
        } else {
            TORCH_CHECK(false, schema.name(), " returns something other than tensors");
        }
    }
}

std::unique_ptr<Call> new_call(rust::Str name, rust::Str overload, size_t count) {
    auto op = find(name, overload);
    TORCH_CHECK(op, "this libtorch has no operator ", text(name), ".", text(overload));
    return std::make_unique<Call>(*op, count);
}

bool has_operator(rust::Str name, rust::Str overload, bool cuda) {
    auto op = find(name, overload);
    auto key = cuda ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU;
    return op && (op->hasKernelForDispatchKey(key) || op->hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd));
}

bool has_schema(rust::Str name, rust::Str overload) {
    return find(name, overload).has_value();
}

bool is_random(rust::Str name, rust::Str overload) {
    auto op = find(name, overload);
    return op && op->hasTag(at::Tag::nondeterministic_seeded);
}

} // namespace mmcv_fuse
