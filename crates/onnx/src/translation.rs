//! [`Translations`]: what operators without a translation of this crate are in ONNX.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tch::{Kind, Tensor};

use crate::builder::Attribute;
use crate::error::{Error, Result};
use crate::exporter::Exporter;
use crate::operator::Operator;

/// What is registered for an operator.
pub(crate) type Translate = dyn Fn(&mut Translator<'_, '_>) -> Result<Vec<String>> + Send + Sync;

/// Translations of operators by their names, such as `aten::cumsum`.
#[derive(Clone, Default)]
pub(crate) struct Translations(HashMap<String, Arc<Translate>>);

impl Translations {
    pub(crate) fn insert(&mut self, operator: &str, translate: Arc<Translate>) {
        self.0.insert(operator.to_owned(), translate);
    }

    pub(crate) fn get(&self, operator: &str) -> Option<Arc<Translate>> {
        self.0.get(operator).cloned()
    }
}

impl fmt::Debug for Translations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&String> = self.0.keys().collect();
        names.sort();
        f.debug_list().entries(names).finish()
    }
}

/// A call of an operator that becomes nodes of ONNX. Values are known by their names in the file.
///
/// Arguments are those of the operator's schema, counted from 0, as libtorch's `native_functions.yaml` lists them.
#[derive(Debug)]
pub struct Translator<'a, 'b> {
    pub(crate) exporter: &'a mut Exporter<'b>,
    pub(crate) operator: &'a Operator<'a>,
}

impl Translator<'_, '_> {
    /// The operator, such as `aten::cumsum`.
    #[must_use]
    pub fn operator(&self) -> &str {
        &self.operator.node.op
    }

    /// The overload, such as `dim` of `aten::max.dim`; empty for the operator's only form.
    #[must_use]
    pub fn overload(&self) -> &str {
        &self.operator.node.overload
    }

    /// The module whose forward pass calls the operator: `layer1.0.conv1`; empty for the one that is exported.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.operator.node.module
    }

    /// The version of ONNX's operators.
    #[must_use]
    pub fn opset(&self) -> i64 {
        self.exporter.opset
    }

    /// Whether argument `index` is given and not `None`.
    #[must_use]
    pub fn has(&self, index: usize) -> bool {
        self.operator.has(index)
    }

    /// The name of the tensor that is argument `index`.
    ///
    /// # Errors
    /// Returns an error if the argument is no tensor.
    pub fn tensor(&mut self, index: usize) -> Result<String> {
        self.exporter.input(self.operator, index)
    }

    /// The names of the tensors in the list that is argument `index`.
    ///
    /// # Errors
    /// Returns an error if the argument is no list of tensors.
    pub fn tensors(&mut self, index: usize) -> Result<Vec<String>> {
        let values = self.operator.values(index)?;
        values.into_iter().map(|value| self.exporter.name(value)).collect()
    }

    /// The shape of the tensor that is argument `index`, for the example input.
    ///
    /// # Errors
    /// Returns an error if the argument is no tensor.
    pub fn shape(&self, index: usize) -> Result<Vec<i64>> {
        Ok(self.exporter.shape(self.operator.value(index)?))
    }

    /// The type, in the file, of the tensor that is argument `index`.
    ///
    /// # Errors
    /// Returns an error if the argument is no tensor.
    pub fn kind(&self, index: usize) -> Result<Kind> {
        Ok(self.exporter.kind(self.operator.value(index)?))
    }

    /// The integer that is argument `index`.
    ///
    /// # Errors
    /// Returns an error if the argument is none, or depends on a size that is free.
    pub fn int(&self, index: usize) -> Result<i64> {
        self.operator.int(index)
    }

    /// The integers of argument `index`; one integer counts as a list.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`int`](Self::int).
    pub fn ints(&self, index: usize) -> Result<Vec<i64>> {
        self.operator.ints(index)
    }

    /// The number that is argument `index`.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`int`](Self::int).
    pub fn number(&self, index: usize) -> Result<f64> {
        self.operator.number(index)
    }

    /// Whether argument `index` is true.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`int`](Self::int).
    pub fn bool(&self, index: usize) -> Result<bool> {
        self.operator.bool(index)
    }

    /// Adds a constant to the file; returns its name.
    ///
    /// # Errors
    /// Returns an error if ONNX has no such type.
    pub fn constant(&mut self, tensor: &Tensor) -> Result<String> {
        self.exporter.builder.constant(tensor)
    }

    /// Adds a node of an operator of ONNX with one output; returns the name of the output. An input that is left out has an empty name.
    pub fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> String {
        self.exporter.builder.node(operator, inputs, attributes)
    }

    /// Like [`node`](Self::node), with several outputs.
    pub fn nodes(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: usize,
        attributes: &[(&str, Attribute)],
    ) -> Vec<String> {
        self.exporter.builder.nodes(operator, inputs, outputs, attributes)
    }

    /// Like [`nodes`](Self::nodes), for an operator of another domain than ONNX's, such as `com.microsoft`, in this version.
    pub fn nodes_of_domain(
        &mut self,
        (domain, version): (&str, i64),
        operator: &str,
        inputs: &[&str],
        outputs: usize,
        attributes: &[(&str, Attribute)],
    ) -> Vec<String> {
        let names = self.exporter.builder.nodes(operator, inputs, outputs, attributes);
        self.exporter.builder.set_domain(domain, version);
        names
    }

    /// An error that says that the operator cannot be translated `what`, such as "with another axis than 1".
    #[must_use]
    pub fn unsupported(&self, what: &str) -> Error {
        self.operator.unsupported(what)
    }
}
