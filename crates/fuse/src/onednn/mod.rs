//! oneDNN without what libtorch does around each call: primitives are made once, layouts are the kernels' own from end to
//! end, weights are reordered once, and all intermediate results lie in one arena.

mod arena;
mod compile;
mod ffi;
mod lower;
mod program;
mod region;
mod unit;

use std::collections::{HashMap, HashSet};

use crate::error::Result;
use crate::graph::{Arg, Graph, Node};
use crate::options::Dtype;

pub(crate) use ffi::Eltwise;
pub(crate) use program::{Region, Weights};
pub(crate) use unit::{Shapes, algorithm, eltwise, shape_of};

/// `DNNL_ARG_*`.
mod argument {
    pub(super) const SOURCE: i32 = 1;
    pub(super) const SOURCE_1: i32 = 2;
    pub(super) const RESULT: i32 = 17;
    pub(super) const WEIGHTS: i32 = 33;
    pub(super) const BIAS: i32 = 41;
    pub(super) const SCRATCHPAD: i32 = 80;
    pub(super) const MULTIPLE_SOURCE: i32 = 1024;
    pub(super) const POST_OP: i32 = 32768;
}

/// The operator that stands in a graph for a region.
pub(crate) const REGION: &str = "mmcv::onednn";

/// The version of the oneDNN that can be used; the error says why there is none.
///
/// # Errors
/// Where this libtorch has none whose functions can be found.
pub fn onednn_version() -> Result<String> {
    let version = ffi::version()?;
    Ok(format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100))
}

/// The graph with regions in place of the nodes that oneDNN runs, and the regions by the values that they give first.
pub(crate) fn regions(
    graph: &Graph,
    shapes: &Shapes,
    dtype: Dtype,
    weights: &mut Weights,
) -> Result<(Graph, HashMap<usize, Region>)> {
    let mut refused = HashSet::new();
    'again: loop {
        let parts = region::parts(graph, shapes, &refused);
        let mut compiled = Vec::new();
        for part in parts {
            match compile::compile(graph, shapes, &part, dtype, weights) {
                Ok(region) => compiled.push((part, region)),
                Err(refusal) => {
                    log::debug!("oneDNN: node {}: {}", refusal.node, refusal.error);
                    refused.insert(refusal.node);
                    continue 'again;
                }
            }
        }
        return Ok(replace(graph, compiled));
    }
}

fn replace(graph: &Graph, compiled: Vec<(region::Part, Region)>) -> (Graph, HashMap<usize, Region>) {
    let mut replaced = graph.clone();
    replaced.nodes = Vec::new();
    let mut regions = HashMap::new();
    let mut next = 0;
    for (part, region) in compiled {
        replaced.nodes.extend(graph.nodes.get(next..part.nodes.start).into_iter().flatten().cloned());
        next = part.nodes.end;
        regions.insert(replaced.nodes.len(), region);
        replaced.nodes.push(Node {
            op: REGION.to_owned(),
            overload: String::new(),
            args: part.inputs.iter().map(|value| Arg::Value(*value)).collect(),
            outputs: part.outputs.clone(),
            module: String::new(),
        });
    }
    replaced.nodes.extend(graph.nodes.get(next..).into_iter().flatten().cloned());
    (replaced, regions)
}
