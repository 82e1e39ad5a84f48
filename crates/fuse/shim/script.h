// TorchScript files.
#pragma once

#include "call.h"

#include <map>
#include <unordered_map>

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

namespace mmcv_fuse {

// A module of TorchScript whose `forward` is made of calls. Values have numbers that the caller chooses.
class Script {
public:
    Script();
    // The next input of `forward`.
    void input(size_t value);
    // A parameter or buffer with a dotted name.
    void tensor(size_t value, rust::Str name, const at::Tensor& tensor, bool is_parameter);
    // A call, whose tensors are numbers of values.
    void node(const Call& call, rust::Slice<const size_t> outputs);
    // Ends `forward`, which returns one tensor or a tuple, and writes the file.
    void save(rust::Slice<const size_t> outputs, bool single, rust::Str file);

private:
    struct Place {
        torch::jit::Module module;
        torch::jit::Value* value;
        std::map<std::string, Place> children;
    };

    torch::jit::Value* at(size_t value) const;
    void bind(size_t value, torch::jit::Value* node);
    Place& child(Place& parent, const std::string& name);

    std::shared_ptr<torch::jit::Graph> graph_;
    Place root_;
    std::unordered_map<size_t, torch::jit::Value*> values_;
};

std::unique_ptr<Script> new_script();

} // namespace mmcv_fuse
