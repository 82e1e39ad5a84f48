//! [`Model`]: an ONNX file in memory.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::encode;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::{GraphProto, ModelProto, StringStringEntryProto, TensorProto, ValueInfoProto};

/// The largest message that protobuf's readers accept.
const MOST_BYTES: usize = (1 << 31) - 1;

/// An ONNX file in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Without its graph.
    pub(crate) header: ModelProto,
    /// Without its initializers.
    pub(crate) graph: GraphProto,
    pub(crate) initializers: Vec<TensorProto>,
}

impl Model {
    /// The number of nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.graph.node.len()
    }

    /// The number of elements of all initializers.
    #[must_use]
    pub fn parameter_count(&self) -> i64 {
        self.initializers.iter().map(|tensor| tensor.dims.iter().product::<i64>()).sum()
    }

    /// The sizes of the outputs; `None` for an axis that is free.
    #[must_use]
    pub fn output_shapes(&self) -> Vec<Vec<Option<i64>>> {
        self.graph.output.iter().map(sizes).collect()
    }

    /// Notes something in the file, such as class names. A key that the file has already gets the new value.
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        for entry in &mut self.header.metadata_props {
            if entry.key.as_deref() == Some(key) {
                entry.value = Some(value.to_owned());
                return;
            }
        }
        let entry = StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.to_owned()) };
        self.header.metadata_props.push(entry);
    }

    /// Whether the file would have 2 GiB or more, which protobuf does not allow, so that weights need a file of their own.
    #[must_use]
    pub fn needs_external_data(&self) -> bool {
        encode::encoded_len(&self.header, &self.graph, &self.initializers) > MOST_BYTES
    }

    /// The content of the file.
    ///
    /// # Errors
    /// Returns an error if it [needs external data](Self::needs_external_data).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Returns an error if it [needs external data](Self::needs_external_data), or cannot be written.
    pub fn write(&self, output: &mut impl Write) -> Result<()> {
        if self.needs_external_data() {
            let what = "the file has more than 2 GiB, which protobuf does not allow: write its weights to a file of their own, as \
                        external data";
            return Err(Error::unsupported("", what));
        }
        Ok(encode::write(&self.header, &self.graph, &self.initializers, output).map_err(ErrorKind::File)?)
    }

    /// Writes the file, and its tensors of 1 KiB and more to `data`, from which runtimes read them: at `location`, a path relative to
    /// the folder of the file, with `/` between its parts.
    ///
    /// # Errors
    /// Returns an error if `location` is empty, absolute, or leaves the folder, or if something cannot be written.
    pub fn write_external(&self, location: &str, output: &mut impl Write, data: &mut impl Write) -> Result<()> {
        let is_relative = location.split('/').all(|part| !matches!(part, "" | "." | "..")) && !location.contains('\\');
        if !is_relative {
            let expected = "expected a relative path below the folder of the ONNX file".to_owned();
            return Err(ErrorKind::Option { name: "location", value: format!("{location:?}"), expected }.into());
        }
        let small = encode::write_data(&self.initializers, location, data).map_err(ErrorKind::File)?;
        Ok(encode::write(&self.header, &self.graph, &small, output).map_err(ErrorKind::File)?)
    }

    /// Writes the file; if it [needs external data](Self::needs_external_data), with its weights in a file beside it, whose name is
    /// longer by `.data`.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    pub fn save(&self, file: impl AsRef<Path>) -> Result<()> {
        let file = file.as_ref();
        let mut output = create(file)?;
        if self.needs_external_data() {
            let location = data_name(file)?;
            let mut data = create(&file.with_file_name(&location))?;
            self.write_external(&location, &mut output, &mut data)?;
            data.flush().map_err(ErrorKind::File)?;
        } else {
            self.write(&mut output)?;
        }
        Ok(output.flush().map_err(ErrorKind::File)?)
    }

    /// Returns an error unless each name is given once, before it is read.
    pub(crate) fn check(&self) -> Result<()> {
        let mut known = HashSet::from([""]);
        let inputs = self.graph.input.iter().map(|input| &input.name);
        let initializers = self.initializers.iter().map(|tensor| &tensor.name);
        for name in inputs.chain(initializers).flatten() {
            if !known.insert(name) {
                return Err(Error::unsupported("", format!("two values are called {name}")));
            }
        }
        check_nodes(&self.graph, known)
    }
}

/// The name of the file with the weights, beside `file`.
///
/// # Errors
/// Returns an error if the name of `file` is not UTF-8.
pub fn data_name(file: &Path) -> Result<String> {
    match file.file_name().and_then(std::ffi::OsStr::to_str) {
        Some(name) => Ok(format!("{name}.data")),
        None => {
            let expected = "expected a name in UTF-8, since the ONNX file has that of its weights".to_owned();
            Err(ErrorKind::Option { name: "file", value: file.display().to_string(), expected }.into())
        }
    }
}

fn create(file: &Path) -> Result<BufWriter<File>> {
    Ok(BufWriter::with_capacity(1 << 20, File::create(file).map_err(ErrorKind::File)?))
}

fn sizes(value: &ValueInfoProto) -> Vec<Option<i64>> {
    let Some(tensor) = value.r#type.as_ref().and_then(|value| value.tensor_type.as_ref()) else { return Vec::new() };
    let Some(shape) = &tensor.shape else { return Vec::new() };
    shape.dim.iter().map(|dimension| dimension.dim_value).collect()
}

fn check_nodes<'a>(graph: &'a GraphProto, mut known: HashSet<&'a str>) -> Result<()> {
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
