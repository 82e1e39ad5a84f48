//! [`Exporter`]: from operators of libtorch to nodes of ONNX.

use std::collections::HashMap;

use mmcv_fuse::graph::{Trace, ValueId};
use tch::{Kind, Tensor};

use crate::builder::{Attribute, Builder, Name, data_type};
use crate::dims::{Axis, Candidate, Dim};
use crate::error::{Error, Result};
use crate::operator::Operator;
use crate::operators;
use crate::options::{OnnxOptions, Precision};
use crate::translation::Translations;

/// Writes the nodes of a graph.
#[derive(Debug)]
pub(crate) struct Exporter<'a> {
    pub(crate) builder: Builder,
    pub(crate) opset: i64,
    precision: Precision,
    pub(crate) translations: &'a Translations,
    /// The same module with inputs of different sizes, if sizes are free.
    traces: &'a [Trace],
    /// The names of the module's tensors by their memory.
    state: HashMap<(usize, Vec<i64>), String>,
    names: HashMap<ValueId, Name>,
    dims: HashMap<Dim, Name>,
}

impl<'a> Exporter<'a> {
    pub(crate) fn new(traces: &'a [Trace], state: &[(String, Tensor)], options: &'a OnnxOptions) -> Self {
        let mut names = HashMap::new();
        for (name, tensor) in state {
            names.entry((tensor.data_ptr() as usize, tensor.size())).or_insert_with(|| name.clone());
        }
        Self {
            builder: Builder::default(),
            opset: options.opset,
            precision: options.precision,
            translations: &options.translations,
            traces,
            state: names,
            names: HashMap::new(),
            dims: HashMap::new(),
        }
    }

    /// Gives a value of the graph a name.
    pub(crate) fn bind(&mut self, value: ValueId, name: Name) {
        self.names.insert(value, name);
    }

    /// Translates all operators.
    pub(crate) fn run(&mut self) -> Result<()> {
        let Some((first, others)) = self.traces.split_first() else { return Ok(()) };
        for (index, node) in first.graph.nodes.iter().enumerate() {
            let others = others.iter().filter_map(|trace| trace.graph.nodes.get(index)).collect();
            self.builder.module.clone_from(&node.module);
            let operator = Operator { node, others };
            let outputs = operators::translate(self, &operator).map_err(|mut error| {
                if error.module.is_empty() {
                    error.module.clone_from(&node.module);
                }
                error
            })?;
            for (value, name) in node.outputs.iter().zip(outputs) {
                self.bind(*value, name);
            }
        }
        Ok(())
    }

    /// The name of a value.
    pub(crate) fn name(&mut self, value: ValueId) -> Result<Name> {
        if let Some(name) = self.names.get(&value) {
            return Ok(name.clone());
        }
        let Some(constant) = self.constant(value)? else {
            return Err(Error::unsupported(&self.builder.module, "a value is not known"));
        };
        let known = self.state.get(&(constant.data_ptr() as usize, constant.size()));
        let wanted = match known {
            Some(name) => name.clone(),
            None => format!("{}/constant", self.builder.module),
        };
        let name = self.initializer(&wanted, &constant)?;
        self.bind(value, name.clone());
        Ok(name)
    }

    /// An initializer in the type that is computed in.
    fn initializer(&mut self, wanted: &str, constant: &Tensor) -> Result<Name> {
        let kind = self.precision.of(constant.kind());
        if kind == constant.kind() {
            return self.builder.initializer(wanted, constant);
        }
        let converted = constant.f_to_kind(kind)?;
        if !converted.f_isfinite()?.f_equal(&constant.f_isfinite()?)? {
            return Err(Error::unsupported("", format!("{wanted} has numbers that are too large for float16")));
        }
        self.builder.initializer(wanted, &converted)
    }

    /// The constant that the value is, which has to be the same in all traces; `None` if it is none.
    pub(crate) fn constant(&self, value: ValueId) -> Result<Option<Tensor>> {
        let Some((first, others)) = self.traces.split_first() else { return Ok(None) };
        let Some(constant) = first.graph.constants.get(&value) else { return Ok(None) };
        for other in others {
            let same = match other.graph.constants.get(&value) {
                Some(other) if other.data_ptr() == constant.data_ptr() => other.size() == constant.size(),
                Some(other) => other.size() == constant.size() && other.f_equal(constant)?,
                None => false,
            };
            if !same {
                return Err(Error::dynamic(
                    &self.builder.module,
                    "what it adds or multiplies with depends on the size of the input",
                ));
            }
        }
        Ok(Some(constant.shallow_clone()))
    }

    /// The name of the tensor that is argument `index`, a parameter of the operator's module. If it was computed, as by folding a batch
    /// norm, it is called `role` of that module.
    pub(crate) fn parameter(&mut self, operator: &Operator<'_>, index: usize, role: &str) -> Result<Name> {
        let value = operator.value(index)?;
        if !self.names.contains_key(&value)
            && let Some(constant) = self.constant(value)?
            && !self.state.contains_key(&(constant.data_ptr() as usize, constant.size()))
        {
            let module = &operator.node.module;
            let wanted = if module.is_empty() { role.to_owned() } else { format!("{module}.{role}") };
            let name = self.initializer(&wanted, &constant)?;
            self.bind(value, name);
        }
        self.name(value)
    }

    /// The name of the value, converted to this type.
    pub(crate) fn converted(&mut self, value: ValueId, kind: Kind) -> Result<Name> {
        let name = self.name(value)?;
        self.cast(&name, self.kind(value), kind)
    }

    /// Adds a node whose first input is argument 0, which is given a batch axis if it has none beside channels and so many other axes.
    /// Returns the names of its outputs.
    pub(crate) fn batched(
        &mut self,
        operator: &Operator<'_>,
        (name, outputs): (&str, usize),
        (axes, parameters): (usize, &[Name]),
        attributes: &[(&str, Attribute)],
    ) -> Result<Vec<Name>> {
        let (value, mut input) = (operator.value(0)?, self.input(operator, 0)?);
        let has_batch = self.shape(value).len() > axes + 1;
        if !has_batch {
            input = self.unsqueezed(&input, &[0])?;
        }
        let inputs: Vec<&str> = [&input].into_iter().chain(parameters).map(String::as_str).collect();
        let mut names = self.builder.nodes(name, &inputs, outputs, attributes);
        if !has_batch {
            for name in &mut names {
                *name = self.squeezed(name, &[0])?;
            }
        }
        Ok(names)
    }

    /// The name of the tensor that is argument `index`.
    pub(crate) fn input(&mut self, operator: &Operator<'_>, index: usize) -> Result<Name> {
        self.name(operator.value(index)?)
    }

    /// The size in the first trace.
    pub(crate) fn shape(&self, value: ValueId) -> Vec<i64> {
        self.sizes(value).into_iter().next().unwrap_or_default()
    }

    /// The position of an axis, which counts from the end if it is negative.
    pub(crate) fn position(&self, value: ValueId, axis: i64) -> usize {
        usize::try_from(if axis < 0 { axis + self.rank(value) } else { axis }).unwrap_or_default()
    }

    pub(crate) fn rank(&self, value: ValueId) -> i64 {
        self.shape(value).len() as i64
    }

    pub(crate) fn kind(&self, value: ValueId) -> Kind {
        self.precision.of(self.module_kind(value))
    }

    /// The type in the module.
    pub(crate) fn module_kind(&self, value: ValueId) -> Kind {
        match self.traces.first().and_then(|trace| trace.shapes.get(&value)) {
            Some((_, kind)) => *kind,
            None => Kind::Float,
        }
    }

    /// `name`, of type `from`, in another type.
    pub(crate) fn cast(&mut self, name: &str, from: Kind, kind: Kind) -> Result<Name> {
        if from == kind {
            return Ok(name.to_owned());
        }
        let to = Attribute::Int(i64::from(i32::from(data_type(kind)?)));
        Ok(self.builder.node("Cast", &[name], &[("to", to)]))
    }

    /// The sizes in all traces.
    pub(crate) fn sizes(&self, value: ValueId) -> Vec<Vec<i64>> {
        let shape = |trace: &Trace| trace.shapes.get(&value).map(|(shape, _)| shape.clone()).unwrap_or_default();
        self.traces.iter().map(shape).collect()
    }

    /// Whether anything reads the value.
    pub(crate) fn is_read(&self, value: ValueId) -> bool {
        self.traces.first().is_some_and(|trace| trace.graph.uses().contains_key(&value))
    }

    /// The size of an axis; an error if it is free.
    pub(crate) fn fixed_size(&self, value: ValueId, axis: usize) -> Result<i64> {
        let sizes: Vec<i64> = self.sizes(value).iter().map(|shape| shape.get(axis).copied().unwrap_or(1)).collect();
        match sizes.split_first() {
            Some((first, others)) if others.iter().all(|size| size == first) => Ok(*first),
            _ => Err(Error::dynamic(&self.builder.module, format!("it needs a fixed size of axis {axis}"))),
        }
    }

    /// The axes of these values and of the inputs that are not the same in all traces, with their sizes.
    fn candidates(&self, values: &[ValueId]) -> Vec<Candidate> {
        let inputs = self.traces.first().map(|trace| trace.graph.inputs.clone()).unwrap_or_default();
        let mut candidates = Vec::new();
        for value in inputs.iter().chain(values) {
            let sizes = self.sizes(*value);
            for axis in 0..sizes.first().map_or(0, Vec::len) {
                let sizes: Vec<i64> = sizes.iter().map(|shape| shape.get(axis).copied().unwrap_or_default()).collect();
                if sizes.iter().any(|size| Some(size) != sizes.first()) {
                    candidates.push((Axis { value: *value, axis }, sizes));
                }
            }
        }
        candidates
    }

    /// What gives these sizes, one list for each trace.
    pub(crate) fn explain(&self, sizes: &[Vec<i64>], values: &[ValueId]) -> Result<Vec<Dim>> {
        let candidates = self.candidates(values);
        let mut dims = Vec::new();
        for position in 0..sizes.first().map_or(0, Vec::len) {
            let sizes: Vec<i64> = sizes.iter().map(|sizes| sizes.get(position).copied().unwrap_or_default()).collect();
            match Dim::find(&sizes, &candidates) {
                Some(dim) => dims.push(dim),
                None => {
                    let what = format!("it computes a size in a way that is not recognized: {sizes:?}");
                    return Err(Error::dynamic(&self.builder.module, what));
                }
            }
        }
        Ok(dims)
    }

    /// The integers of argument `index`, which may depend on sizes.
    pub(crate) fn dims(&self, operator: &Operator<'_>, index: usize, values: &[ValueId]) -> Result<Vec<Dim>> {
        let mut sizes = Vec::new();
        for node in [operator.node].into_iter().chain(operator.others.iter().copied()) {
            sizes.push(node.ints(index).ok_or_else(|| operator.dynamic(index))?);
        }
        self.explain(&sizes, values)
    }

    /// A list of these sizes, as a tensor of integers.
    pub(crate) fn list(&mut self, dims: &[Dim]) -> Result<Name> {
        let mut fixed = Vec::new();
        for dim in dims {
            if let Dim::Fixed(size) = dim {
                fixed.push(*size);
            }
        }
        if fixed.len() == dims.len() {
            return self.builder.ints(&fixed);
        }
        let mut parts = Vec::new();
        for dim in dims {
            parts.push(self.dim(dim)?);
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        Ok(self.builder.node("Concat", &parts, &[("axis", Attribute::Int(0))]))
    }

    /// A size as a tensor with one integer.
    fn dim(&mut self, dim: &Dim) -> Result<Name> {
        if let Some(name) = self.dims.get(dim) {
            return Ok(name.clone());
        }
        let name = match dim {
            Dim::Fixed(size) => return self.builder.ints(&[*size]),
            Dim::Scaled { axis, add, times, by } => {
                let value = self.name(axis.value)?;
                let shape = self.builder.node("Shape", &[&value], &[]);
                let index = self.builder.ints(&[axis.axis as i64])?;
                let mut size = self.builder.node("Gather", &[&shape, &index], &[]);
                for (operator, number, nothing) in [("Add", *add, 0), ("Mul", *times, 1), ("Div", *by, 1)] {
                    if number != nothing {
                        let number = self.builder.ints(&[number])?;
                        size = self.builder.node(operator, &[&size, &number], &[]);
                    }
                }
                size
            }
            Dim::Product(left, right) => {
                let [left, right] = [left, right].map(|axis| Dim::Scaled { axis: *axis, add: 0, times: 1, by: 1 });
                let (left, right) = (self.dim(&left)?, self.dim(&right)?);
                self.builder.node("Mul", &[&left, &right], &[])
            }
        };
        self.dims.insert(dim.clone(), name.clone());
        Ok(name)
    }

    /// `name`, which has the shape of `value`, with these sizes.
    pub(crate) fn reshape(&mut self, name: &str, value: ValueId, sizes: &[Vec<i64>]) -> Result<Name> {
        // A size of 0 means that the size stays, unless it may be 0.
        if sizes.iter().flatten().any(|size| *size == 0) {
            if self.opset < 14 {
                return Err(Error::unsupported(&self.builder.module, "a tensor without elements needs opset 14"));
            }
            let dims = self.explain(sizes, &[value])?;
            let target = self.list(&dims)?;
            return Ok(self.builder.node("Reshape", &[name, &target], &[("allowzero", Attribute::Int(1))]));
        }
        let target = self.target(value, sizes)?;
        Ok(self.builder.node("Reshape", &[name, &target], &[]))
    }

    /// The target of a reshape of `value` to these sizes.
    fn target(&mut self, value: ValueId, sizes: &[Vec<i64>]) -> Result<Name> {
        let from = self.sizes(value);
        let mut target = Vec::new();
        let mut open = Vec::new();
        for position in 0..sizes.first().map_or(0, Vec::len) {
            let new: Vec<Option<&i64>> = sizes.iter().map(|shape| shape.get(position)).collect();
            let old: Vec<Option<&i64>> = from.iter().map(|shape| shape.get(position)).collect();
            let first = sizes.first().and_then(|shape| shape.get(position)).copied().unwrap_or_default();
            if new.iter().all(|size| *size == Some(&first)) {
                target.push(first);
            } else if new == old {
                target.push(0);
            } else {
                open.push(position);
                target.push(-1);
            }
        }
        if open.len() < 2 {
            return self.builder.ints(&target);
        }
        let mut dims = self.explain(sizes, &[value])?;
        for (dim, size) in dims.iter_mut().zip(&target) {
            if *size == 0 {
                *dim = Dim::Fixed(0);
            }
        }
        self.list(&dims)
    }
}
