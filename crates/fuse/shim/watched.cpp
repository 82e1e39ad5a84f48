#include "watched.h"

#include <set>

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/library.h>

namespace mmcv_fuse {

namespace {

// libtorch has this key for tensors that stand for others; it uses the key in its tests only.
constexpr auto kKey = c10::DispatchKey::TESTING_ONLY_GenericWrapper;

void note(QuestionKind kind, const at::Tensor& tensor, std::string operation);

// Stands for another tensor. Operators get that one, so that only the program around them asks this one.
class Watched : public c10::TensorImpl {
public:
    explicit Watched(at::Tensor inner)
        : TensorImpl(c10::DispatchKeySet(kKey), inner.dtype(), inner.device()), inner_(std::move(inner)) {
        set_custom_sizes_strides(SizesStridesPolicy::CustomSizes);
    }
    const at::Tensor& inner() const {
        return inner_;
    }
    // Lets programs read the elements, as for any tensor.
    void open() {
        if (!inner_.has_storage()) return;
        set_storage_keep_dtype(inner_.storage());
        set_storage_offset(inner_.storage_offset());
    }
    c10::IntArrayRef sizes_custom() const override {
        note(QuestionKind::Size, inner_, "");
        return inner_.sizes();
    }
    c10::IntArrayRef strides_custom() const override {
        note(QuestionKind::Size, inner_, "");
        return inner_.strides();
    }
    int64_t numel_custom() const override {
        note(QuestionKind::Size, inner_, "");
        return inner_.numel();
    }
    int64_t dim_custom() const override {
        note(QuestionKind::Rank, inner_, "");
        return inner_.dim();
    }
    int64_t storage_offset_custom() const override {
        note(QuestionKind::Size, inner_, "");
        return inner_.storage_offset();
    }
    c10::SymIntArrayRef sym_sizes_custom() const override {
        note(QuestionKind::Size, inner_, "");
        return inner_.sym_sizes();
    }
    c10::SymIntArrayRef sym_strides_custom() const override {
        note(QuestionKind::Size, inner_, "");
        return inner_.sym_strides();
    }
    c10::SymInt sym_numel_custom() const override {
        note(QuestionKind::Size, inner_, "");
        return inner_.sym_numel();
    }
    c10::SymInt sym_storage_offset_custom() const override {
        note(QuestionKind::Size, inner_, "");
        return inner_.sym_storage_offset();
    }
    // The order in memory is never revealed: `contiguous` is then always an operator, which copies only if it has to.
    c10::SymBool sym_is_contiguous_custom(at::MemoryFormat) const override {
        return false;
    }
    bool is_strides_like_custom(at::MemoryFormat) const override {
        return false;
    }
    c10::SymBool sym_is_non_overlapping_and_dense_custom() const override {
        return false;
    }

private:
    at::Tensor inner_;
};

struct Watching {
    bool active = false;
    bool paused = false;
    std::vector<Question> questions;
    // What was noted already: a graph's value has one size.
    std::set<std::pair<QuestionKind, size_t>> known;
    std::vector<c10::weak_intrusive_ptr<c10::TensorImpl>> made;
};

thread_local Watching watching;

void note(QuestionKind kind, const at::Tensor& tensor, std::string operation) {
    if (!watching.active || watching.paused || !torch::jit::tracer::isTracing()) return;
    const auto& state = torch::jit::tracer::getTracingState();
    std::optional<size_t> value;
    if (tensor.defined() && state->hasValue(tensor)) value = state->getValue(tensor)->unique();
    if (kind < QuestionKind::Part && value && !watching.known.emplace(kind, *value).second) return;
    auto size = tensor.defined() ? tensor.sizes().vec() : std::vector<int64_t>();
    auto module = state->graph->current_scope()->namesFromRoot();
    watching.questions.push_back({kind, value, std::move(size), std::move(module), std::move(operation)});
}

const Watched* as_watched(const at::Tensor& tensor) {
    if (!tensor.defined() || !tensor.unsafeGetTensorImpl()->key_set().has(kKey)) return nullptr;
    return dynamic_cast<const Watched*>(tensor.unsafeGetTensorImpl());
}

c10::IValue unwatched_value(const c10::IValue& value, bool& found) {
    auto plain = [&](const at::Tensor& tensor) {
        found |= as_watched(tensor) != nullptr;
        return unwatched(tensor);
    };
    if (value.isTensor()) return plain(value.toTensor());
    if (value.isTensorList()) {
        c10::List<at::Tensor> list;
        for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(plain(tensor));
        return list;
    }
    if (value.isOptionalTensorList()) {
        c10::List<std::optional<at::Tensor>> list;
        for (const auto& tensor : value.toOptionalTensorVector()) {
            list.push_back(tensor ? std::make_optional(plain(*tensor)) : std::nullopt);
        }
        return list;
    }
    return value;
}

c10::IValue watched_value(const c10::IValue& value) {
    if (value.isTensor()) return watched(value.toTensor());
    if (value.isTensorList()) {
        c10::List<at::Tensor> list;
        for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(watched(tensor));
        return list;
    }
    return value;
}

// Whether what the operator returns reveals nothing but types and devices.
bool reveals_nothing(const std::string& name) {
    static const std::set<std::string> names = {
        "aten::is_floating_point", "aten::is_complex", "aten::is_signed", "aten::is_inference", "aten::is_leaf",
        "aten::is_conj", "aten::is_neg", "aten::is_pinned", "aten::retains_grad", "aten::output_nr", "aten::_version",
        "aten::can_cast", "aten::result_type", "aten::promote_types", "aten::_has_compatible_shallow_copy_type"};
    return names.count(name) > 0;
}

// Runs every operator that gets a watched tensor, on the tensors that these stand for.
void pass_on(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
    const auto& schema = op.schema();
    size_t first = stack->size() - schema.arguments().size();
    bool found = false;
    at::Tensor example;
    for (size_t index = first; index < stack->size(); ++index) {
        (*stack)[index] = unwatched_value((*stack)[index], found);
        if (!example.defined() && (*stack)[index].isTensor()) example = (*stack)[index].toTensor();
    }
    auto state = torch::jit::tracer::getTracingState();
    try {
        op.callBoxed(stack);
    } catch (...) {
        // The tracer stops while an operator runs, and goes on only after one that did not fail.
        if (watching.active && state) torch::jit::tracer::setTracingState(state);
        note(QuestionKind::Refused, example, schema.name());
        throw;
    }
    size_t results = stack->size() - schema.returns().size();
    for (size_t index = results; index < stack->size(); ++index) {
        auto& result = (*stack)[index];
        bool tensors = result.isTensor() || result.isTensorList() || result.isNone();
        if (!tensors && !reveals_nothing(schema.name())) note(QuestionKind::Values, example, schema.name());
        if (found && watching.active) result = watched_value(result);
    }
}

void register_once() {
    static const auto* library = [] {
        auto* made = new torch::Library(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__);
        made->fallback(torch::CppFunction::makeFromBoxedFunction<&pass_on>());
        return made;
    }();
    (void)library;
}

} // namespace

void start_watching() {
    register_once();
    stop_watching();
    watching.active = true;
}

std::vector<Question> stop_watching() {
    for (const auto& weak : watching.made) {
        if (auto left = weak.lock()) static_cast<Watched*>(left.get())->open();
    }
    auto questions = std::move(watching.questions);
    watching = Watching();
    return questions;
}

void pause_watching(bool paused) {
    watching.paused = paused;
}

bool note_part(const at::Tensor& tensor) {
    const auto* found = as_watched(tensor);
    if (found) note(QuestionKind::Part, found->inner(), "");
    return found && watching.active && !watching.paused;
}

at::Tensor watched(const at::Tensor& tensor) {
    if (!tensor.defined() || as_watched(tensor)) return tensor;
    auto made = c10::make_intrusive<Watched>(tensor);
    watching.made.emplace_back(c10::intrusive_ptr<c10::TensorImpl>(made));
    return at::Tensor(std::move(made));
}

at::Tensor unwatched(const at::Tensor& tensor) {
    const auto* found = as_watched(tensor);
    return found ? found->inner() : tensor;
}

} // namespace mmcv_fuse
