//! [`Model`]: an ONNX file in memory.

use std::collections::HashSet;
use std::path::Path;

use prost::Message;

use crate::error::{Error, ErrorKind, Result};
use crate::proto::{GraphProto, ModelProto};

/// The largest message that protobuf's readers accept.
const MOST_BYTES: usize = (1 << 31) - 1;

/// An ONNX file in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub(crate) proto: ModelProto,
}

impl Model {
    /// The number of nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.proto.graph.as_ref().map_or(0, |graph| graph.node.len())
    }

    /// The number of elements of all initializers.
    #[must_use]
    pub fn parameter_count(&self) -> i64 {
        let Some(graph) = &self.proto.graph else { return 0 };
        graph.initializer.iter().map(|tensor| tensor.dims.iter().product::<i64>()).sum()
    }

    /// The content of the file.
    ///
    /// # Errors
    /// Returns an error if it has 2 GiB or more, which protobuf does not allow.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let size = self.proto.encoded_len();
        if size > MOST_BYTES {
            return Err(Error::unsupported("", format!("the file has {size} bytes, and protobuf allows {MOST_BYTES}")));
        }
        Ok(self.proto.encode_to_vec())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Returns an error if the file is too large or cannot be written.
    pub fn save(&self, file: impl AsRef<Path>) -> Result<()> {
        std::fs::write(file, self.to_bytes()?).map_err(ErrorKind::File)?;
        Ok(())
    }

    /// Returns an error unless each name is given once, before it is read.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.proto.graph {
            Some(graph) => check(graph),
            None => Err(Error::unsupported("", "the file has no graph")),
        }
    }
}

fn check(graph: &GraphProto) -> Result<()> {
    let mut known = HashSet::from([""]);
    let given = graph.input.iter().map(|input| &input.name).chain(graph.initializer.iter().map(|tensor| &tensor.name));
    for name in given.flatten() {
        if !known.insert(name) {
            return Err(Error::unsupported("", format!("two values are called {name}")));
        }
    }
    for node in &graph.node {
        let name = node.name.as_deref().unwrap_or_default();
        for input in &node.input {
            if !known.contains(input.as_str()) {
                return Err(Error::unsupported(name, format!("{input} is read before it is computed")));
            }
        }
        for output in &node.output {
            if !known.insert(output) {
                return Err(Error::unsupported(name, format!("two values are called {output}")));
            }
        }
    }
    for output in graph.output.iter().filter_map(|output| output.name.as_deref()) {
        if !known.contains(output) {
            return Err(Error::unsupported("", format!("the output {output} is not computed")));
        }
    }
    Ok(())
}
