//! [`Points`]: which operators work with integers, and which values these are.

use std::collections::{HashMap, HashSet};

use crate::convolution::Convolution;
use crate::graph::{Graph, Node, Shapes, ValueId};
use tch::Kind;

/// An operator that works with integers.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// Its position among the nodes.
    pub(crate) node: usize,
    pub(crate) input: ValueId,
    pub(crate) weight: ValueId,
    pub(crate) bias: Option<ValueId>,
    pub(crate) output: ValueId,
}

/// Which operators work with integers, and which values these are.
#[derive(Debug, Default)]
pub(crate) struct Points {
    /// In order.
    pub(crate) layers: Vec<Layer>,
    /// The values in 8 bits; those of one list share what their integers stand for.
    pub(crate) groups: Vec<Vec<ValueId>>,
}

impl Points {
    /// The points of a graph, without the layers at `excluded` nodes.
    pub(crate) fn of(graph: &Graph, shapes: &Shapes, excluded: &HashSet<usize>) -> Self {
        let producers = graph.producers();
        let mut finder = Finder { graph, shapes, producers, groups: Vec::new() };
        let mut layers = Vec::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            if let Some(layer) = layer(graph, shapes, index, node)
                && !excluded.contains(&index)
            {
                finder.add_origins(layer.input);
                layers.push(layer);
            }
        }
        finder.add_summands(&layers);
        Self { layers, groups: finder.groups }
    }
}

/// The node as a layer, if its weight is constant.
fn layer(graph: &Graph, shapes: &Shapes, index: usize, node: &Node) -> Option<Layer> {
    let (input, weight, bias) = match Convolution::from_node(node) {
        Some(convolution) if convolution.transposed => return None,
        Some(convolution) => (convolution.input, convolution.weight, convolution.bias),
        None if node.name() == "linear" => (node.value(0)?, node.value(1)?, node.value(2)),
        None => return None,
    };
    let (input_shape, Kind::Float) = shapes.get(&input)? else { return None };
    let rank_fits = if node.name() == "linear" { input_shape.len() == 2 } else { input_shape.len() > 2 };
    let is_constant = graph.is_constant(weight) && bias.is_none_or(|bias| graph.is_constant(bias));
    if !rank_fits || graph.is_constant(input) || !is_constant {
        return None;
    }
    Some(Layer { node: index, input, weight, bias, output: node.output()? })
}

struct Finder<'a> {
    graph: &'a Graph,
    shapes: &'a Shapes,
    producers: HashMap<ValueId, usize>,
    groups: Vec<Vec<ValueId>>,
}

impl Finder<'_> {
    fn producer(&self, value: ValueId) -> Option<&Node> {
        self.graph.nodes.get(*self.producers.get(&value)?)
    }

    /// Where the numbers of `value` come from: operators which only move or choose numbers are looked through.
    fn origins(&self, value: ValueId, origins: &mut Vec<ValueId>) {
        match self.producer(value) {
            Some(node) if moves_numbers(node) => {
                for input in node.inputs() {
                    self.origins(input, origins);
                }
            }
            _ if self.graph.is_constant(value) || origins.contains(&value) => {}
            _ => origins.push(value),
        }
    }

    /// Makes the origins of `value` integers that share what they stand for.
    fn add_origins(&mut self, value: ValueId) {
        let mut group = Vec::new();
        self.origins(value, &mut group);
        if group.iter().any(|value| !matches!(self.shapes.get(value), Some((_, Kind::Float)))) {
            return;
        }
        let mut apart = Vec::with_capacity(self.groups.len() + 1);
        for other in std::mem::take(&mut self.groups) {
            if other.iter().any(|value| group.contains(value)) {
                group.extend(other);
            } else {
                apart.push(other);
            }
        }
        group.sort_unstable();
        group.dedup();
        if !group.is_empty() {
            apart.push(group);
        }
        self.groups = apart;
    }

    fn has(&self, value: ValueId) -> bool {
        self.groups.iter().any(|group| group.contains(&value))
    }

    /// Makes integers of what layers add to their results before they write these as integers.
    fn add_summands(&mut self, layers: &[Layer]) {
        let uses = self.graph.uses();
        let outputs: HashSet<ValueId> = layers.iter().map(|layer| layer.output).collect();
        for node in &self.graph.nodes {
            let (Some(left), Some(right), Some(output)) = (node.value(0), node.value(1), node.output()) else {
                continue;
            };
            let same_shape = self.shapes.get(&left) == self.shapes.get(&right);
            if node.name() != "add"
                || node.number(2) != Some(1.0)
                || !same_shape
                || !self.becomes_integers(output, &uses)
            {
                continue;
            }
            let computed = |value| outputs.contains(&value) && uses.get(&value) == Some(&1);
            let later = self.producers.get(&left) < self.producers.get(&right);
            // The last layer adds what the other one computed.
            let summand = match (computed(left), computed(right)) {
                (true, true) => {
                    if later {
                        left
                    } else {
                        right
                    }
                }
                (true, false) => right,
                (false, true) => left,
                (false, false) => continue,
            };
            self.add_origins(summand);
        }
    }

    /// Whether the value, or what activations make of it, is among the integers.
    fn becomes_integers(&self, mut value: ValueId, uses: &HashMap<ValueId, usize>) -> bool {
        while !self.has(value) {
            let reader = self.graph.nodes.iter().find(|node| node.inputs().any(|input| input == value));
            match reader {
                Some(node) if uses.get(&value) == Some(&1) && crate::onednn::eltwise(node).is_some() => {
                    let Some(output) = node.output() else { return false };
                    value = output;
                }
                _ => return false,
            }
        }
        true
    }
}

/// Whether the results are numbers that were there before.
fn moves_numbers(node: &Node) -> bool {
    matches!(
        node.name(),
        "max_pool2d"
            | "flatten"
            | "view"
            | "reshape"
            | "squeeze"
            | "unsqueeze"
            | "contiguous"
            | "slice"
            | "narrow"
            | "chunk"
            | "split"
            | "split_with_sizes"
            | "upsample_nearest2d"
            | "cat"
    )
}
