#include "script.h"

#include <fstream>

#include <torch/csrc/jit/ir/constants.h>

#include "mmcv-fuse/src/bridge.rs.h"

namespace mmcv_fuse {

namespace {

using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Value;

// A module with a type of its own in the same file.
Module fresh(const std::shared_ptr<torch::jit::CompilationUnit>& unit) {
    return Module(c10::QualifiedName("__torch__.Module"), unit, /*shouldMangle=*/true);
}

} // namespace

Script::Script()
    : graph_(std::make_shared<Graph>()),
      root_{fresh(std::make_shared<torch::jit::CompilationUnit>()), graph_->addInput("self"), {}} {
    root_.value->setType(root_.module._ivalue()->type());
}

Value* Script::at(size_t value) const {
    auto found = values_.find(value);
    TORCH_CHECK(found != values_.end(), "value ", value, " is not known");
    return found->second;
}

void Script::bind(size_t value, Value* node) {
    TORCH_CHECK(values_.emplace(value, node).second, "value ", value, " is known already");
}

Script::Place& Script::child(Place& parent, const std::string& name) {
    auto found = parent.children.find(name);
    if (found != parent.children.end()) return found->second;
    TORCH_CHECK(!parent.module.hasattr(name), name, " is both a tensor and a module");
    auto module = fresh(parent.module._ivalue()->compilation_unit());
    parent.module.register_module(name, module);
    auto* value = graph_->insertGetAttr(parent.value, name);
    return parent.children.emplace(name, Place{module, value, {}}).first->second;
}

void Script::input(size_t value) {
    auto* input = graph_->addInput();
    input->setType(c10::TensorType::get());
    input->setDebugName(graph_->inputs().size() == 2 ? "input" : "input" + std::to_string(graph_->inputs().size() - 1));
    bind(value, input);
}

void Script::tensor(size_t value, rust::Str name, const at::Tensor& tensor, bool is_parameter) {
    Place* place = &root_;
    auto rest = text(name);
    for (auto dot = rest.find('.'); dot != std::string::npos; dot = rest.find('.')) {
        place = &child(*place, rest.substr(0, dot));
        rest = rest.substr(dot + 1);
    }
    TORCH_CHECK(!rest.empty() && !place->module.hasattr(rest), "two tensors are called ", text(name));
    place->module.register_parameter(rest, tensor.detach(), /*is_buffer=*/!is_parameter);
    bind(value, graph_->insertGetAttr(place->value, rest));
}

void Script::node(const Call& call, rust::Slice<const size_t> outputs) {
    const auto& schema = call.schema();
    TORCH_CHECK(call.arguments().size() == schema.arguments().size(), schema.name(), " lacks arguments");
    std::vector<Value*> inputs;
    for (const auto& constant : call.arguments()) {
        inputs.push_back(constant.isNone() ? nullptr : graph_->insertConstant(constant));
    }
    for (auto [position, index] : call.tensors()) inputs[position] = at(index);
    for (const auto& [position, indices] : call.lists()) {
        std::vector<Value*> elements;
        for (auto index : indices) {
            elements.push_back(index < 0 ? graph_->insertConstant(c10::IValue()) : at(static_cast<size_t>(index)));
        }
        auto type = schema.arguments()[position].type()->cast<c10::ListType>();
        TORCH_CHECK(type, schema.arguments()[position].name(), " is no list");
        inputs[position] = graph_->insertNode(graph_->createList(type->getElementType(), elements))->output();
    }
    for (auto& input : inputs) {
        if (!input) input = graph_->insertConstant(c10::IValue());
    }
    auto* node = graph_->create(c10::Symbol::fromQualString(schema.name()), inputs, 0);
    for (const auto& result : schema.returns()) node->addOutput()->setType(result.type());
    graph_->insertNode(node);
    auto results = node->outputs();
    if (results.size() == 1 && results[0]->type()->kind() == c10::TypeKind::ListType) {
        results = graph_->insertNode(graph_->createListUnpack(results[0], outputs.size()))->outputs();
    }
    TORCH_CHECK(results.size() == outputs.size(), schema.name(), " returns ", results.size(), " tensors");
    for (size_t index = 0; index < outputs.size(); ++index) bind(outputs[index], results[index]);
}

void Script::save(rust::Slice<const size_t> outputs, bool single, rust::Str file) {
    std::vector<Value*> results;
    for (auto output : outputs) results.push_back(at(output));
    if (single) {
        TORCH_CHECK(results.size() == 1, "a forward pass returns ", results.size(), " tensors and not one");
        graph_->registerOutput(results[0]);
    } else {
        graph_->registerOutput(graph_->insertNode(graph_->createTuple(results))->output());
    }
    graph_->lint();
    auto type = root_.module.type();
    auto name = c10::QualifiedName(*type->name(), "forward");
    auto* function = root_.module._ivalue()->compilation_unit()->create_function(name, graph_);
    type->addMethod(function);
    // Written to a stream, so that the archive does not have the name of the file inside.
    std::ofstream stream(text(file), std::ios::binary | std::ios::trunc);
    root_.module.save(stream);
    stream.close();
    TORCH_CHECK(stream, "cannot write ", text(file));
}

std::unique_ptr<Script> new_script() {
    return std::make_unique<Script>();
}

} // namespace mmcv_fuse
