//! The names of tensors are those of the reference, and checkpoints of other libraries are loaded as a whole.

use mmcv::checkpoint::load_state_dict;
use mmcv::layers::{Module, init};
use mmcv::prelude::*;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

/// Scores are large, and their rounding errors grow with the depth of the network.
const TOLERANCE: f64 = 1e-4;

/// A network of a library: see `tests/fixtures/keys/generate.py`.
#[derive(Deserialize)]
struct Network {
    library: String,
    name: String,
    config: Config,
    keys: Vec<(String, Vec<i64>)>,
    size: Option<i64>,
    scores: Option<Vec<f64>>,
}

fn networks() -> Vec<Network> {
    let networks: Vec<Network> = serde_json::from_str(include_str!("../fixtures/keys/keys.json")).unwrap();
    assert!(networks.len() >= 10);
    networks
}

/// After so many numbers [`units`] would begin again.
const PERIOD: i64 = 1009;

/// Numbers from 0 to 1 without an apparent order.
fn units(index: i64) -> Tensor {
    let numbers = Tensor::arange(PERIOD, (Kind::Int64, Device::Cpu)) * 7919 + index * 104_729;
    numbers.remainder(PERIOD).to_kind(Kind::Double) / PERIOD
}

fn repeated(numbers: &Tensor, shape: &[i64]) -> Tensor {
    let count: i64 = shape.iter().product();
    numbers.repeat([count / PERIOD + 1]).narrow(0, 0, count).reshape(shape)
}

/// The weights as the script computes them.
fn filled(index: i64, name: &str, shape: &[i64]) -> Tensor {
    let numbers = units(index);
    let numbers = if kind(name) == Kind::Int64 {
        numbers.zeros_like()
    } else if let [outputs, _, ..] = *shape {
        (numbers - 0.5) * 2 * (6.0 / (shape.iter().product::<i64>() / outputs) as f64).sqrt()
    } else if name.ends_with("weight") || name.ends_with("running_var") {
        numbers + 0.5
    } else {
        (numbers - 0.5) * 0.2
    };
    repeated(&numbers.to_kind(kind(name)), shape)
}

fn kind(name: &str) -> Kind {
    if name.ends_with("num_batches_tracked") { Kind::Int64 } else { Kind::Float }
}

fn build(network: &Network) -> Box<dyn Module> {
    // Random values would be most of the time.
    init::without_draws(|| build_model(&network.config)).unwrap_or_else(|error| panic!("{}: {error}", network.name))
}

#[test]
fn names_shapes_and_order_are_the_references() {
    for network in networks().iter().filter(|network| network.library == "mmpretrain") {
        let own: Vec<_> = build(network).state_dict().into_iter().map(|(name, tensor)| (name, tensor.size())).collect();
        assert_eq!(own, network.keys, "{}", network.name);
    }
}

#[test]
fn dialects_are_found_and_loaded_as_a_whole() {
    for network in networks().iter().filter(|network| network.library != "mmpretrain") {
        let module = build(network);
        let state: Vec<_> =
            (0..).zip(&network.keys).map(|(index, (name, shape))| (name.clone(), filled(index, name, shape))).collect();
        let report = load_state_dict(&*module, &state, &LoadOptions::default())
            .unwrap_or_else(|error| panic!("{}: {error}", network.name));
        assert!(report.is_complete() && report.of_head.is_empty(), "{}: {report}", network.name);
        assert_eq!(report.total(), network.keys.len(), "{}: {report}", network.name);
        // Where the backbone's own names are those of the library, that is what is found first.
        let layout = report.layout.unwrap_or_default();
        let known = layout.contains(&network.library) || layout == "dialect backbone";
        assert!(layout.is_empty() || known, "{}: {layout}", network.name);
        if let (Some(size), Some(expected)) = (network.size, &network.scores) {
            module.train(false);
            let picture = repeated(&(units(1).to_kind(Kind::Float) - 0.5), &[1, 3, size, size]);
            let scores = tch::no_grad(|| module.forward(&picture)).unwrap();
            let expected = Tensor::from_slice(expected);
            let found = scores.get(0).narrow(0, 0, expected.size()[0]).to_kind(Kind::Double);
            let difference = (found - &expected).abs().max().double_value(&[]);
            let scale = expected.abs().max().double_value(&[]);
            assert!(difference <= TOLERANCE * scale, "{}: {difference} of {scale}", network.name);
        }
    }
}
