//! A small network, and comparisons of its tensors.

use mmcv_layers::conv::{Conv2d, ConvConfig};
use mmcv_layers::norm::BatchNormConfig;
use mmcv_layers::norm::{BatchNorm, SyncBatchNorm};
use mmcv_layers::{Forward, Layer, LayerConfig, Linear, LinearConfig, Module, ModuleExt, Result};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// Two convolutions with norms, and a linear layer; `extra` and `never` are for tests of unused parameters.
#[derive(Debug, Module)]
pub(crate) struct Network {
    #[module(child)]
    conv1: <Conv2d as Layer>::Module,
    #[module(child)]
    bn1: BatchNorm,
    #[module(child)]
    conv2: <Conv2d as Layer>::Module,
    #[module(child)]
    bn2: BatchNorm,
    #[module(child)]
    fc: Linear,
    #[module(child)]
    pub(crate) extra: Linear,
    #[module(child)]
    pub(crate) never: Linear,
}

impl Network {
    pub(crate) fn new(seed: i64, kind: Kind) -> Self {
        tch::manual_seed(seed);
        let norm = BatchNormConfig::new().with_num_features(6);
        let network = Self {
            conv1: ConvConfig::new(3, 6, 3).build_as::<Conv2d>().unwrap(),
            bn1: norm.build_as::<SyncBatchNorm>().unwrap(),
            conv2: ConvConfig::new(6, 6, 3).build_as::<Conv2d>().unwrap(),
            bn2: norm.build_as::<SyncBatchNorm>().unwrap(),
            fc: LinearConfig::new(6, 5).build().unwrap(),
            extra: LinearConfig::new(5, 5).build().unwrap(),
            never: LinearConfig::new(2, 2).build().unwrap(),
        };
        network.to_kind(kind).unwrap();
        network
    }

    /// Without those that plain training does not use.
    pub(crate) fn freeze_unused(&self) {
        self.extra.requires_grad(false).unwrap();
        self.never.requires_grad(false).unwrap();
    }
}

impl Forward for Network {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let hidden = self.run_child(&self.bn1, &self.run_child(&self.conv1, input)?)?.f_silu()?;
        let hidden = self.run_child(&self.bn2, &self.run_child(&self.conv2, &hidden)?)?.f_silu()?;
        self.run_child(&self.fc, &hidden.f_mean_dim([2i64, 3].as_slice(), false, None)?)
    }
}

/// All tensors and gradients by name, as lists of numbers.
pub(crate) fn state(module: &dyn Module) -> Value {
    let mut state = serde_json::Map::new();
    for (name, tensor) in module.state_dict() {
        state.insert(name, numbers(&tensor));
    }
    for (name, tensor) in module.named_parameters() {
        let gradient = tensor.grad();
        if gradient.defined() {
            state.insert(format!("{name}.grad"), numbers(&gradient));
        }
    }
    Value::Object(state)
}

pub(crate) fn numbers(tensor: &Tensor) -> Value {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double).reshape([-1]);
    json!(Vec::<f64>::try_from(flat).unwrap())
}

/// The largest difference between two states, relative to 1 and to the value.
pub(crate) fn difference(left: &Value, right: &Value) -> f64 {
    let (left, right) = (left.as_object().unwrap(), right.as_object().unwrap());
    let names = |state: &serde_json::Map<String, Value>| {
        let mut names: Vec<_> = state.keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(left), names(right));
    let mut largest = 0.0f64;
    for (name, values) in left {
        let (values, others) = (values.as_array().unwrap(), right[name].as_array().unwrap());
        assert_eq!(values.len(), others.len(), "{name}");
        for (value, other) in values.iter().zip(others) {
            let (value, other) = (value.as_f64().unwrap(), other.as_f64().unwrap());
            largest = largest.max((value - other).abs() / other.abs().max(1.0));
        }
    }
    largest
}
