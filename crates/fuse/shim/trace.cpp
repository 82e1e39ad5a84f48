// TorchScript's tracer: which operators a forward pass calls, with which arguments.
#include "shim.h"
#include "watched.h"

#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

namespace tracer = torch::jit::tracer;
using torch::jit::Node;
using torch::jit::Value;

namespace {

// What the Rust side is told of the graph, in order. A value is known by its number.
struct Visitor {
    void* context;
    // A node with its operator, overload, module, and the numbers of its arguments and results.
    void (*node)(void*, const char*, const char*, const char*, const size_t*, size_t, const size_t*, size_t);
    // A value that is a constant.
    void (*constant)(void*, size_t, const Arg*);
    // A constant that is a tensor, which the callee owns.
    void (*tensor)(void*, size_t, at::Tensor*);
    // A value that an operator made of nothing, as it is now.
    void (*created)(void*, size_t, at::Tensor*);
    // A question of the program: its kind, the value (SIZE_MAX: none that is known), its size, the module and the operator.
    void (*asked)(void*, int32_t, size_t, const int64_t*, size_t, const char*, const char*);
    // The numbers of the inputs, and of the outputs.
    void (*ends)(void*, const size_t*, size_t, const size_t*, size_t);
};

void visit_constant(const Visitor& visitor, size_t number, const c10::IValue& value) {
    auto plain = [&](Tag tag, int64_t integer, double real) {
        Arg arg{tag, integer, real, nullptr, 0};
        visitor.constant(visitor.context, number, &arg);
    };
    auto list = [&](Tag tag, const void* data, size_t count) {
        Arg arg{tag, 0, 0.0, data, count};
        visitor.constant(visitor.context, number, &arg);
    };
    if (value.isNone()) {
        plain(Tag::kNone, 0, 0.0);
    } else if (value.isTensor()) {
        visitor.tensor(visitor.context, number, new at::Tensor(value.toTensor()));
    } else if (value.isBool()) {
        plain(Tag::kBool, value.toBool(), 0.0);
    } else if (value.isInt()) {
        plain(Tag::kInt, value.toInt(), 0.0);
    } else if (value.isDouble()) {
        plain(Tag::kDouble, 0, value.toDouble());
    } else if (value.isString()) {
        list(Tag::kString, value.toStringRef().data(), value.toStringRef().size());
    } else if (value.isIntList()) {
        auto numbers = value.toIntVector();
        list(Tag::kInts, numbers.data(), numbers.size());
    } else if (value.isDoubleList()) {
        auto numbers = value.toDoubleVector();
        list(Tag::kDoubles, numbers.data(), numbers.size());
    } else if (value.isBoolList()) {
        auto bools = value.toBoolList().vec();
        std::vector<int64_t> numbers(bools.begin(), bools.end());
        list(Tag::kBools, numbers.data(), numbers.size());
    } else if (value.isDevice()) {
        auto device = value.toDevice().str();
        list(Tag::kDevice, device.data(), device.size());
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

void visit(const Visitor& visitor, torch::jit::Graph& graph) {
    for (Node* node : graph.nodes()) {
        TORCH_CHECK(node->blocks().empty(), node->kind().toQualString(), " has blocks");
        if (node->kind() == torch::jit::prim::Constant) {
            visit_constant(visitor, node->output()->unique(), *torch::jit::toIValue(node->output()));
            continue;
        }
        const auto* schema = node->maybeSchema();
        auto inputs = numbers(node->inputs());
        auto outputs = numbers(node->outputs());
        visitor.node(
            visitor.context,
            node->kind().toQualString(),
            schema ? schema->overload_name().c_str() : "",
            node->scopeName().c_str(),
            inputs.data(),
            inputs.size(),
            outputs.data(),
            outputs.size());
    }
    auto inputs = numbers(graph.inputs());
    auto outputs = numbers(graph.outputs());
    visitor.ends(visitor.context, inputs.data(), inputs.size(), outputs.data(), outputs.size());
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

extern "C" {

void mf_free_message(Message message) {
    free_message(message);
}

// Starts to trace on this thread; the tensors become the inputs of the graph, in order. `push` is given, for each of the first
// `inputs` of them, a tensor that stands for it and notes what is asked of it.
Message mf_trace_begin(
    at::Tensor* const* tensors, size_t count, size_t inputs, void* context, void (*push)(void*, at::Tensor*)) {
    return guarded([&] {
        TORCH_CHECK(!tracer::isTracing(), "a forward pass is being traced already");
        TORCH_CHECK(inputs <= count, "there are ", count, " tensors and not ", inputs);
        tracer::setWarn(quiet);
        auto state = std::make_shared<tracer::TracingState>();
        for (size_t index = 0; index < count; ++index) {
            auto* value = state->graph->addInput();
            value->setType(c10::TensorType::get());
            state->setValue(*tensors[index], value);
        }
        noting = at::addThreadLocalCallback(
            at::RecordFunctionCallback(nullptr, &note_created).needsOutputs(true).scopes({at::RecordScope::FUNCTION}));
        start_watching();
        tracer::setTracingState(state);
        for (size_t index = 0; index < inputs; ++index) push(context, new at::Tensor(watched(*tensors[index])));
    });
}

// Whether the next questions on this thread are noted.
void mf_trace_pause(bool paused) {
    pause_watching(paused);
}

// Notes that a part of the tensor's size was asked for; returns false where it depends on no input.
bool mf_trace_part(const at::Tensor* tensor) {
    return note_part(*tensor);
}

// Opens a module's scope; does nothing where nothing is traced.
Message mf_trace_enter(const char* module, size_t length) {
    return guarded([&] {
        if (!tracer::isTracing()) return;
        auto& graph = tracer::getTracingState()->graph;
        auto name = c10::Symbol::fromQualString("scope::" + std::string(module, length));
        graph->set_current_scope(graph->current_scope()->push(name));
    });
}

// Closes it.
Message mf_trace_leave() {
    return guarded([&] {
        if (!tracer::isTracing()) return;
        auto& graph = tracer::getTracingState()->graph;
        graph->set_current_scope(graph->current_scope()->parent());
    });
}

// Ends the trace and shows the graph whose outputs are these tensors.
Message mf_trace_end(at::Tensor* const* outputs, size_t count, const Visitor* visitor) {
    return guarded([&] {
        auto state = tracer::getTracingState();
        TORCH_CHECK(state, "nothing is being traced");
        for (size_t index = 0; index < count; ++index) {
            state->graph->registerOutput(state->getOutput(unwatched(*outputs[index]), index));
        }
        std::vector<std::pair<size_t, at::Tensor>> made;
        for (const auto& tensor : created) {
            if (state->hasValue(tensor)) made.emplace_back(state->getValue(tensor)->unique(), tensor);
        }
        tracer::setTracingState(nullptr);
        auto questions = stop();
        visit(*visitor, *state->graph);
        for (const auto& question : questions) {
            visitor->asked(
                visitor->context, question.kind, question.value.value_or(SIZE_MAX), question.size.data(),
                question.size.size(), question.module.c_str(), question.operation.c_str());
        }
        for (const auto& [number, tensor] : made) visitor->created(visitor->context, number, new at::Tensor(tensor));
    });
}

// Ends the trace, whatever has happened.
void mf_trace_abandon() {
    free_message(guarded([] {
        stop();
        tracer::abandon();
    }));
}

} // extern "C"
