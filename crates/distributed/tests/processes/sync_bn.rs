//! SyncBN on several ranks against batch norm of the joined input.

use mmcv_distributed::{Group, Result};
use mmcv_layers::norm::{BatchNorm, BatchNormConfig, BatchNormKind};
use mmcv_layers::{Forward, ModuleExt};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::harness::Job;
use super::network::{difference, numbers, state};

/// An input of all ranks together, and how it is shared out.
struct Case {
    name: &'static str,
    size: &'static [i64],
    shares: [i64; 4],
    kind: Kind,
    channels_last: bool,
    affine: bool,
    bias: bool,
    momentum: Option<f64>,
    mean: f64,
    /// The largest difference allowed.
    tolerance: f64,
}

const CASE: Case = Case {
    name: "4-d",
    size: &[12, 5, 4, 3],
    shares: [3, 3, 3, 3],
    kind: Kind::Double,
    channels_last: false,
    affine: true,
    bias: true,
    momentum: Some(0.1),
    mean: 0.5,
    tolerance: 1e-12,
};

const CASES: [Case; 12] = [
    CASE,
    Case { name: "unequal and empty", shares: [7, 0, 4, 1], ..CASE },
    Case { name: "2-d", size: &[12, 5], shares: [1, 1, 1, 9], ..CASE },
    Case { name: "3-d", size: &[12, 5, 7], ..CASE },
    Case { name: "5-d", size: &[12, 5, 2, 3, 2], ..CASE },
    Case { name: "channels last", channels_last: true, ..CASE },
    Case { name: "no weights", affine: false, shares: [6, 0, 0, 6], ..CASE },
    Case { name: "no bias", bias: false, ..CASE },
    Case { name: "cumulative", momentum: None, ..CASE },
    Case { name: "float", kind: Kind::Float, tolerance: 2e-6, ..CASE },
    Case { name: "float, far from 0", kind: Kind::Float, mean: 100.0, tolerance: 2e-5, ..CASE },
    Case { name: "bfloat16", kind: Kind::BFloat16, tolerance: 2e-2, ..CASE },
];

impl Case {
    fn layer(&self) -> BatchNorm {
        let config = BatchNormConfig::new().with_num_features(5).with_affine(self.affine);
        let layer =
            BatchNorm::new(BatchNormKind::Sync, &config.with_bias(self.bias).with_momentum(self.momentum)).unwrap();
        tch::manual_seed(7);
        let _guard = tch::no_grad_guard();
        for (_, mut parameter) in layer.named_parameters() {
            let _ = parameter.uniform_(0.5, 1.5);
        }
        // Parameters of half precision inputs stay in float32, as under autocast.
        if self.kind == Kind::Double {
            layer.to_kind(Kind::Double).unwrap();
        }
        layer
    }

    /// Output, gradients and state after two steps with these images of each.
    fn run(&self, layer: &BatchNorm, start: i64, length: i64) -> Result<Value> {
        let mut values = Vec::new();
        for step in 0..2 {
            tch::manual_seed(step);
            let random = || Tensor::randn(self.size, (Kind::Double, tch::Device::Cpu));
            let input = (random() * 2.0 + self.mean).to_kind(self.kind).narrow(0, start, length);
            let input = if self.channels_last { mmcv_layers::channels_last(&input)? } else { input };
            let input = input.detach().set_requires_grad(true);
            let output = layer.forward(&input)?;
            assert_eq!(output.kind(), self.kind);
            assert_eq!(output.stride(), input.stride(), "{}", self.name);
            let upstream = random().to_kind(self.kind).narrow(0, start, length);
            (&output * upstream).to_kind(Kind::Double).sum(Kind::Double).f_backward()?;
            values.push(json!({ "output": numbers(&output), "input": numbers(&input.grad()) }));
        }
        Ok(json!({ "values": values, "state": state(layer) }))
    }
}

pub(crate) fn rank(group: &Group) -> Result<Value> {
    let mut outputs = Vec::new();
    for case in &CASES {
        let start: i64 = case.shares[..group.rank()].iter().sum();
        outputs.push(case.run(&case.layer(), start, case.shares[group.rank()])?);
    }
    Ok(json!(outputs))
}

/// The numbers of all ranks one after the other.
fn join(parts: &[&Value]) -> Value {
    json!(parts.iter().flat_map(|part| part.as_array().unwrap().clone()).collect::<Vec<_>>())
}

#[test]
fn statistics_are_those_of_all_ranks() {
    let ranks = Job::new("sync_bn", 4).run();
    for (number, case) in CASES.iter().enumerate() {
        let layer = case.layer();
        let whole = case.run(&layer, 0, 12).unwrap();
        let mut largest = 0.0f64;
        for step in 0..2 {
            for what in ["output", "input"] {
                let parts: Vec<&Value> = ranks.iter().map(|rank| &rank[number]["values"][step][what]).collect();
                let wanted = json!({ "x": whole["values"][step][what] });
                largest = largest.max(difference(&json!({ "x": join(&parts) }), &wanted));
            }
        }
        // Gradients of weights are those of each share: their sum is that of the whole.
        let mut joined = ranks[0][number]["state"].clone();
        for (name, values) in joined.as_object_mut().unwrap() {
            for rank in ranks.iter().skip(1).filter(|_| name.ends_with(".grad")) {
                for (value, more) in
                    values.as_array_mut().unwrap().iter_mut().zip(rank[number]["state"][name].as_array().unwrap())
                {
                    *value = json!(value.as_f64().unwrap() + more.as_f64().unwrap());
                }
            }
        }
        largest = largest.max(difference(&joined, &whole["state"]));
        println!("{}: {largest:.2e}", case.name);
        assert!(largest <= case.tolerance, "{}: {largest:.2e}", case.name);
    }
}

pub(crate) fn mismatch(group: &Group) -> Result<Value> {
    let channels = if group.rank() == 1 { 4 } else { 8 };
    let layer = BatchNorm::new(BatchNormKind::Sync, &BatchNormConfig::new().with_num_features(channels))?;
    let mut texts = vec![layer.forward(&Tensor::ones([2, channels], tch::kind::FLOAT_CPU)).unwrap_err().to_string()];
    // One value over all ranks.
    let layer = BatchNorm::new(BatchNormKind::Sync, &BatchNormConfig::new().with_num_features(3))?;
    let share = i64::from(group.rank() == 0);
    texts.push(layer.forward(&Tensor::ones([share, 3], tch::kind::FLOAT_CPU)).unwrap_err().to_string());
    Ok(json!(texts))
}

#[test]
fn other_layers_are_an_error() {
    for (rank, texts) in Job::new("sync_bn_mismatch", 2).run().iter().enumerate() {
        let text = texts[0].as_str().unwrap();
        assert!(text.contains("8 channels") && text.contains("4 channels"), "rank {rank}: {text}");
        assert!(texts[1].as_str().unwrap().contains("more than 1 value per channel"), "{texts}");
    }
}
