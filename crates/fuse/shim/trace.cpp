#include "trace.h"

#include "watched.h"

#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include "mmcv-fuse/src/bridge.rs.h"

namespace tracer = torch::jit::tracer;
using torch::jit::Node;
using torch::jit::Value;

namespace mmcv_fuse {

namespace {

template <typename List>
auto slice(const List& list) {
    return rust::Slice<const typename List::value_type>(list.data(), list.size());
}

void show_constant(GraphBuilder& builder, size_t number, const c10::IValue& value) {
    if (value.isNone()) {
        builder.none(number);
    } else if (value.isTensor()) {
        builder.tensor(number, std::make_unique<at::Tensor>(value.toTensor()));
    } else if (value.isBool()) {
        builder.boolean(number, value.toBool());
    } else if (value.isInt()) {
        builder.integer(number, value.toInt());
    } else if (value.isDouble()) {
        builder.real(number, value.toDouble());
    } else if (value.isString()) {
        builder.string(number, str(value.toStringRef()));
    } else if (value.isIntList()) {
        builder.integers(number, slice(value.toIntVector()));
    } else if (value.isDoubleList()) {
        builder.reals(number, slice(value.toDoubleVector()));
    } else if (value.isBoolList()) {
        rust::Vec<bool> bools;
        for (bool flag : value.toBoolList()) bools.push_back(flag);
        builder.booleans(number, {bools.data(), bools.size()});
    } else if (value.isDevice()) {
        builder.device(number, str(value.toDevice().str()));
    } else {
        TORCH_CHECK(false, "a constant of the type ", value.tagKind(), " cannot be rewritten");
    }
}

template <typename Values>
std::vector<size_t> numbers(const Values& values) {
    std::vector<size_t> found;
    for (const Value* value : values) found.push_back(value->unique());
    return found;
}

// The size of a value, if the tracer saw it.
void show_size(GraphBuilder& builder, const Value* value) {
    auto type = value->type()->cast<c10::TensorType>();
    if (!type) return;
    if (auto sizes = type->sizes().concrete_sizes()) builder.size(value->unique(), slice(*sizes));
}

void show(GraphBuilder& builder, torch::jit::Graph& graph) {
    for (Node* node : graph.nodes()) {
        TORCH_CHECK(node->blocks().empty(), node->kind().toQualString(), " has blocks");
        if (node->kind() == torch::jit::prim::Constant) {
            show_constant(builder, node->output()->unique(), *torch::jit::toIValue(node->output()));
            continue;
        }
        const auto* schema = node->maybeSchema();
        std::string overload = schema ? schema->overload_name() : "";
        std::string op = node->kind().toQualString();
        builder.node(
            str(op), str(overload), str(node->scopeName()), slice(numbers(node->inputs())), slice(numbers(node->outputs())));
        for (const Value* output : node->outputs()) show_size(builder, output);
    }
    builder.ends(slice(numbers(graph.inputs())), slice(numbers(graph.outputs())));
}

void quiet(const std::string&) {}

// Tensors that operators make of nothing while a trace goes on: a program may write into their memory without an operator,
// as tch does for `Tensor::from_slice`, which the tracer does not see.
thread_local std::vector<at::Tensor> created;
thread_local std::optional<at::CallbackHandle> noting;

void note_created(const at::RecordFunction& function, at::ObserverContext*) {
    std::string_view name = function.name();
    if (name != "aten::zeros" && name != "aten::empty") return;
    for (const auto& output : function.outputs()) {
        if (output.isTensor()) created.push_back(output.toTensor());
    }
}

std::vector<Question> stop() {
    if (noting) at::removeCallback(*noting);
    noting.reset();
    created.clear();
    return stop_watching();
}

} // namespace

void trace_begin(rust::Slice<const TensorRef> tensors, size_t inputs, Tensors& standing) {
    TORCH_CHECK(!tracer::isTracing(), "a forward pass is being traced already");
    TORCH_CHECK(inputs <= tensors.size(), "there are ", tensors.size(), " tensors and not ", inputs);
    tracer::setWarn(quiet);
    auto state = std::make_shared<tracer::TracingState>();
    for (const auto& [tensor] : tensors) {
        auto* value = state->graph->addInput();
        value->setType(c10::TensorType::get());
        state->setValue(tensor, value);
    }
    noting = at::addThreadLocalCallback(
        at::RecordFunctionCallback(nullptr, &note_created).needsOutputs(true).scopes({at::RecordScope::FUNCTION}));
    start_watching();
    tracer::setTracingState(state);
    for (size_t index = 0; index < inputs; ++index) {
        standing.push(std::make_unique<at::Tensor>(watched(tensors[index].tensor)));
    }
}

void trace_pause(bool paused) {
    pause_watching(paused);
}

bool trace_part(const at::Tensor& tensor) {
    return note_part(tensor);
}

void trace_enter(rust::Str module) {
    if (!tracer::isTracing()) return;
    auto& graph = tracer::getTracingState()->graph;
    auto name = c10::Symbol::fromQualString("scope::" + text(module));
    graph->set_current_scope(graph->current_scope()->push(name));
}

void trace_leave() {
    if (!tracer::isTracing()) return;
    auto& graph = tracer::getTracingState()->graph;
    graph->set_current_scope(graph->current_scope()->parent());
}

void trace_end(rust::Slice<const TensorRef> outputs, GraphBuilder& builder) {
    auto state = tracer::getTracingState();
    TORCH_CHECK(state, "nothing is being traced");
    for (size_t index = 0; index < outputs.size(); ++index) {
        state->graph->registerOutput(state->getOutput(unwatched(outputs[index].tensor), index));
    }
    std::vector<std::pair<size_t, at::Tensor>> made;
    for (const auto& tensor : created) {
        if (state->hasValue(tensor)) made.emplace_back(state->getValue(tensor)->unique(), tensor);
    }
    tracer::setTracingState(nullptr);
    auto questions = stop();
    show(builder, *state->graph);
    for (const auto& question : questions) {
        builder.asked({
            question.kind, question.value.has_value(), question.value.value_or(0), slice(question.size),
            str(question.module), str(question.operation)});
    }
    for (const auto& [number, tensor] : made) builder.created(number, std::make_unique<at::Tensor>(tensor));
}

void trace_abandon() noexcept {
    try {
        stop();
        tracer::abandon();
    } catch (...) {
    }
}

} // namespace mmcv_fuse
