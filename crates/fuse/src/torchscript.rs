//! [`save_torchscript`]: a module as a TorchScript file.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use mmcv_layers::{Module, ModuleExt, join_path};
use mmcv_registry::Dict;
use tch::Tensor;

use crate::bridge::{native, new_script};
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Trace, TraceOptions, ValueId, trace};

/// Writes `module`, in evaluation mode (`train(false)`), as a TorchScript file, which `torch.jit.load`, `tch::CModule` and libtorch's
/// C++ API read: its operators for `inputs`, as libtorch's tracer notes them, without autograd.
///
/// Parameters and buffers keep the names of the state dict. Computed ones, such as those of folded batch norms, have the name of the
/// weight or bias that they replace. A forward pass with several outputs returns a tuple.
///
/// The file is for inputs of the shapes of `inputs`: other ones may work, but a size that the module asks for is a constant in it.
///
/// # Errors
/// Returns an error under the same conditions as [`trace`], and if `file` is not UTF-8 or cannot be written.
pub fn save_torchscript(
    module: &dyn Module,
    inputs: &[&Tensor],
    arguments: &Dict,
    options: TraceOptions,
    file: &Path,
) -> Result<()> {
    let _guard = tch::no_grad_guard();
    let inputs = inputs.iter().map(|input| input.f_detach()?.f_contiguous()).collect::<Result<Vec<_>, _>>();
    let traced = trace(module, &inputs.map_err(ErrorKind::Torch)?, arguments, options)?;
    let Some(path) = file.to_str() else {
        return Err(Error::input("a path in UTF-8", file.display()));
    };
    write(&traced, &tensors(module, &traced), path)
}

/// A constant of the graph.
struct NamedTensor<'a> {
    value: ValueId,
    name: String,
    tensor: &'a Tensor,
    is_parameter: bool,
}

/// The constants in the order in which operators read them.
fn tensors<'a>(module: &dyn Module, traced: &'a Trace) -> Vec<NamedTensor<'a>> {
    let key = |tensor: &Tensor| (tensor.data_ptr() as usize, tensor.size());
    let mut known = HashMap::new();
    for (state, is_parameter) in [(module.named_parameters(), true), (module.named_buffers(), false)] {
        for (name, tensor) in state {
            known.entry(key(&tensor)).or_insert((name, is_parameter));
        }
    }
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut used: HashSet<String> = HashSet::new();
    let graph = &traced.graph;
    let read = graph.nodes.iter().flat_map(|node| node.inputs().map(move |value| (value, Some(node))));
    for (value, node) in read.chain(graph.outputs.iter().map(|value| (*value, None))) {
        let Some(tensor) = graph.constants.get(&value) else { continue };
        if !seen.insert(value) {
            continue;
        }
        let (wanted, is_parameter) = match (known.get(&key(tensor)), node) {
            (Some((name, is_parameter)), _) => (name.clone(), *is_parameter),
            (None, Some(node)) => {
                let role = match node.args.iter().position(|arg| arg.values().any(|read| read == value)) {
                    Some(1) if node.name().contains("convolution") => "weight",
                    Some(2) if node.name().contains("convolution") => "bias",
                    _ => "constant",
                };
                (join_path(&node.module, role), role != "constant")
            }
            (None, None) => ("constant".to_owned(), false),
        };
        found.push(NamedTensor { value, name: unique(&mut used, wanted), tensor, is_parameter });
    }
    found
}

/// A name that no tensor has yet.
fn unique(used: &mut HashSet<String>, wanted: String) -> String {
    let mut name = wanted.clone();
    let mut number = 1;
    while !used.insert(name.clone()) {
        number += 1;
        name = format!("{wanted}_{number}");
    }
    name
}

fn write(traced: &Trace, tensors: &[NamedTensor<'_>], path: &str) -> Result<()> {
    let failed = |error: cxx::Exception| Error::native("", &error);
    let mut script = new_script().map_err(failed)?;
    let graph = &traced.graph;
    for value in &graph.inputs {
        script.pin_mut().input(*value).map_err(failed)?;
    }
    for NamedTensor { value, name, tensor, is_parameter } in tensors {
        script.pin_mut().tensor(*value, name, native(tensor), *is_parameter).map_err(failed)?;
    }
    for node in &graph.nodes {
        let call = Call::new(&node.op, &node.overload, &node.args)?;
        script.pin_mut().node(call.native(), &node.outputs).map_err(|error| Error::native(&node.op, &error))?;
    }
    script.pin_mut().save(&graph.outputs, traced.single, path).map_err(failed)
}
