//! Which nodes of a graph oneDNN runs together: as many in a row as it can, activations and additions as parts of others.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::ops::{self, Kernel, Operator};
use super::unit::{After, Unit};
use crate::graph::{Graph, Shapes, ValueId};

/// Nodes that follow each other.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) nodes: Range<usize>,
    pub(crate) units: Vec<Unit>,
    /// What the nodes read from others.
    pub(crate) inputs: Vec<ValueId>,
    /// What others read from the nodes.
    pub(crate) outputs: Vec<ValueId>,
}

/// A kernel, its output, and its node.
type Found = (Box<dyn Kernel>, ValueId, usize);

/// The parts of the graph for oneDNN, without the nodes in `refused`.
pub(crate) fn parts(operators: &[Operator], graph: &Graph, shapes: &Shapes, refused: &HashSet<usize>) -> Vec<Part> {
    let uses = graph.uses();
    let mut parts = Vec::new();
    let mut start = 0;
    while start < graph.nodes.len() {
        let mut kernels: Vec<Found> = Vec::new();
        let mut end = start;
        for (index, node) in graph.nodes.iter().enumerate().skip(start) {
            if refused.contains(&index) {
                break;
            }
            let Some(found) = ops::recognize(operators, graph, node, shapes) else { break };
            for (kernel, output) in found {
                kernels.push((kernel, output, index));
            }
            end = index + 1;
        }
        // Layouts are changed at the borders, which only heavy operators pay for.
        if kernels.iter().any(|(kernel, ..)| kernel.is_heavy()) {
            parts.push(part(graph, start..end, merge(kernels, &uses, shapes)));
        }
        start = end.max(start + 1);
    }
    parts
}

fn part(graph: &Graph, nodes: Range<usize>, units: Vec<Unit>) -> Part {
    let written: HashSet<ValueId> = units.iter().map(|unit| unit.output).collect();
    let mut inputs = Vec::new();
    for value in units.iter().flat_map(Unit::inputs) {
        if !written.contains(&value) && !graph.is_constant(value) && !inputs.contains(&value) {
            inputs.push(value);
        }
    }
    let mut read: HashSet<ValueId> = graph.outputs.iter().copied().collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        if !nodes.contains(&index) {
            read.extend(node.inputs());
        }
    }
    let mut outputs: Vec<ValueId> = units.iter().map(|unit| unit.output).collect();
    outputs.retain(|value| read.contains(value));
    Part { nodes, units, inputs, outputs }
}

/// Lets convolutions and the like do what is done with their results alone; they then run where that stood.
fn merge(kernels: Vec<Found>, uses: &HashMap<ValueId, usize>, shapes: &Shapes) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for (kernel, output, node) in kernels {
        match absorber(&mut units, &*kernel, output, uses, shapes) {
            Some((unit, after)) => {
                match after {
                    After::Quantize(affine) => unit.affine = Some(affine),
                    after => unit.after.push(after),
                }
                unit.output = output;
                unit.node = node;
            }
            None => units.push(Unit { kernel, after: Vec::new(), affine: None, output, first: node, node }),
        }
    }
    units.sort_by_key(|unit| unit.node);
    units
}

/// The unit that can do what `kernel` does, and what that is for it.
fn absorber<'a>(
    units: &'a mut [Unit],
    kernel: &dyn Kernel,
    output: ValueId,
    uses: &HashMap<ValueId, usize>,
    shapes: &Shapes,
) -> Option<(&'a mut Unit, After)> {
    let shape = shapes.get(&output)?;
    for unit in units.iter_mut().rev() {
        // The smaller operand of a sum cannot take it.
        if uses.get(&unit.output) != Some(&1) || shapes.get(&unit.output) != Some(shape) {
            continue;
        }
        if let Some(after) = kernel.as_after(unit.output)
            && unit.has_room_for(&after)
        {
            return Some((unit, after));
        }
    }
    None
}
