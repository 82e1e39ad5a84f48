//! oneDNN without what libtorch does around each call: primitives are made once, layouts are the kernels' own from end to
//! end, weights are reordered once, and all intermediate results lie in one arena.

mod arena;
mod compile;
mod desc;
mod ops;
mod partition;
mod region;
mod scales;
mod unit;
mod weights;
mod winograd;

use std::collections::{HashMap, HashSet};

use crate::bridge;
use crate::error::Result;
use crate::graph::{Arg, Graph, Node, Shapes};
use crate::options::FuseOptions;

pub(crate) use desc::packed_strides;
pub(crate) use ops::elementwise::eltwise;
pub(crate) use region::Region;
pub(crate) use weights::{Packed, Weights};

use ops::{OPERATORS, Operator};

/// The operator that stands in a graph for a region.
pub(crate) const REGION: &str = "mmcv::onednn";

/// The version of the oneDNN that can be used; the error says why there is none.
///
/// # Errors
/// Returns an error if the functions of oneDNN cannot be found in this libtorch.
pub fn onednn_version() -> Result<String> {
    let version = bridge::onednn_version()?;
    Ok(format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100))
}

/// The graph with regions in place of the nodes that oneDNN runs, and the regions by the position of their nodes.
pub(crate) fn regions(
    graph: &Graph,
    shapes: &Shapes,
    options: &FuseOptions,
    weights: &mut Weights,
) -> (Graph, HashMap<usize, Region>) {
    regions_of(OPERATORS, graph, shapes, options, weights)
}

/// [`regions`] with these operators.
fn regions_of(
    operators: &[Operator],
    graph: &Graph,
    shapes: &Shapes,
    options: &FuseOptions,
    weights: &mut Weights,
) -> (Graph, HashMap<usize, Region>) {
    let mut refused = HashSet::new();
    'again: loop {
        let parts = partition::parts(operators, graph, shapes, &refused);
        let mut compiled = Vec::with_capacity(parts.len());
        for part in parts {
            match compile::compile(graph, shapes, &part, options, weights) {
                Ok(region) => compiled.push((part, region)),
                Err(refusal) => {
                    log::debug!("oneDNN: node {}: {}", refusal.node, refusal.error);
                    refused.insert(refusal.node);
                    continue 'again;
                }
            }
        }
        return replace(graph, compiled);
    }
}

fn replace(graph: &Graph, compiled: Vec<(partition::Part, Region)>) -> (Graph, HashMap<usize, Region>) {
    let mut replaced = graph.clone();
    replaced.nodes = Vec::new();
    let mut regions = HashMap::new();
    let mut next = 0;
    for (part, region) in compiled {
        replaced.nodes.extend_from_slice(graph.nodes.get(next..part.nodes.start).unwrap_or_default());
        next = part.nodes.end;
        regions.insert(replaced.nodes.len(), region);
        let args = part.inputs.iter().map(|value| Arg::Value(*value)).collect();
        replaced.nodes.push(Node::new(REGION, "", args, part.outputs));
    }
    replaced.nodes.extend_from_slice(graph.nodes.get(next..).unwrap_or_default());
    (replaced, regions)
}
