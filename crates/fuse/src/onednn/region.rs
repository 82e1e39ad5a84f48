//! Which nodes of a graph oneDNN runs together: as many in a row as it can, activations and additions as parts of others.

use std::collections::{HashMap, HashSet};

use super::unit::{self, After, Kernel, Shapes, Unit};
use crate::graph::{Graph, ValueId};

/// Nodes that follow each other.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) nodes: std::ops::Range<usize>,
    pub(super) units: Vec<Unit>,
    /// What the nodes read of what others give.
    pub(super) inputs: Vec<ValueId>,
    /// What others read of what the nodes give.
    pub(super) outputs: Vec<ValueId>,
}

/// The parts of the graph for oneDNN, without the nodes in `refused`.
pub(super) fn parts(graph: &Graph, shapes: &Shapes, refused: &HashSet<usize>) -> Vec<Part> {
    let uses = graph.uses();
    let mut parts = Vec::new();
    let mut start = 0;
    while start < graph.nodes.len() {
        let mut kernels = Vec::new();
        for (index, node) in graph.nodes.iter().enumerate().skip(start) {
            let found = if refused.contains(&index) { None } else { unit::kernels(graph, node, shapes) };
            let Some(found) = found else { break };
            kernels.extend(found.into_iter().map(|(kernel, output)| (kernel, output, index)));
        }
        let end = kernels.last().map_or(start, |(.., index)| index + 1);
        // Layouts are changed at the borders, which only heavy operators pay for.
        let heavy = kernels.iter().any(|(kernel, ..)| matches!(kernel, Kernel::Convolution(_) | Kernel::Linear(..)));
        if heavy {
            parts.push(part(graph, start..end, kernels, &uses, shapes));
        }
        start = end.max(start + 1);
    }
    parts
}

fn part(
    graph: &Graph,
    nodes: std::ops::Range<usize>,
    kernels: Vec<(Kernel, ValueId, usize)>,
    uses: &HashMap<ValueId, usize>,
    shapes: &Shapes,
) -> Part {
    let units = merge(kernels, uses, shapes);
    let given: HashSet<ValueId> = units.iter().map(|unit| unit.output).collect();
    let mut inputs = Vec::new();
    for value in units.iter().flat_map(Unit::inputs) {
        if !given.contains(&value) && !graph.constants.contains_key(&value) && !inputs.contains(&value) {
            inputs.push(value);
        }
    }
    let others = graph.nodes.iter().enumerate().filter(|(index, _)| !nodes.contains(index));
    let read: HashSet<ValueId> =
        others.flat_map(|(_, node)| node.inputs()).chain(graph.outputs.iter().copied()).collect();
    let outputs = units.iter().map(|unit| unit.output).filter(|value| read.contains(value)).collect();
    Part { nodes, units, inputs, outputs }
}

/// Lets convolutions and the like do what is done with their results alone; they then run where that stood.
fn merge(kernels: Vec<(Kernel, ValueId, usize)>, uses: &HashMap<ValueId, usize>, shapes: &Shapes) -> Vec<Unit> {
    let as_large = |one: ValueId, other: ValueId| shapes.get(&one).is_some() && shapes.get(&one) == shapes.get(&other);
    let mut units: Vec<Unit> = Vec::new();
    for (kernel, output, node) in kernels {
        let absorbed = units.iter_mut().rev().find_map(|unit| {
            // The smaller operand of a sum cannot take it.
            let alone = unit.kernel.takes_more() && uses.get(&unit.output) == Some(&1) && as_large(unit.output, output);
            let after = after(&kernel, unit.output).filter(|_| alone)?;
            room_for(unit, &after).then_some((unit, after))
        });
        match absorbed {
            Some((unit, after)) => {
                unit.after.push(after);
                unit.output = output;
                unit.node = node;
            }
            None => units.push(Unit { kernel, after: Vec::new(), output, first: node, node }),
        }
    }
    units.sort_by_key(|unit| unit.node);
    units
}

/// What `kernel` does with `value`, where that can be part of the operator that gives it.
fn after(kernel: &Kernel, value: ValueId) -> Option<After> {
    match kernel {
        Kernel::Eltwise(input, eltwise) if *input == value => Some(After::Eltwise(*eltwise)),
        Kernel::Binary(algorithm, left, right) if *left == value && *right != value => {
            Some(After::Binary(*algorithm, *right))
        }
        Kernel::Binary(algorithm, left, right) if *right == value && *left != value => {
            Some(After::Binary(*algorithm, *left))
        }
        _ => None,
    }
}

/// At most one other operand and two operations on each element: what all kernels can do.
fn room_for(unit: &Unit, after: &After) -> bool {
    let binaries = unit.after.iter().filter(|after| matches!(after, After::Binary(..))).count();
    match after {
        After::Binary(..) => binaries == 0 && !matches!(unit.kernel, Kernel::Binary(..) | Kernel::Linear(..)),
        After::Eltwise(_) => unit.after.len() - binaries < 2,
    }
}
