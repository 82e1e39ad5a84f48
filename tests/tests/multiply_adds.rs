//! Multiply-adds are those of MMCV, and what it leaves out is counted in the same way.

use mmcv::layers::call_child;
use mmcv::layers::observe::observe;
use mmcv::prelude::*;
use mmcv::registry::Dict;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

#[derive(Deserialize)]
struct Counted {
    cfg: Config,
    input: Vec<i64>,
    multiply_adds: u64,
}

/// The multiply-adds of one forward pass in evaluation mode.
fn count(cfg: &Config, inputs: &[&[i64]]) -> u64 {
    let module = build_model(cfg).unwrap_or_else(|error| panic!("{cfg}: {error}"));
    module.train(false);
    let inputs: Vec<Tensor> = inputs.iter().map(|shape| Tensor::randn(*shape, (Kind::Float, Device::Cpu))).collect();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let (output, log) = observe(|| tch::no_grad(|| call_child("", &*module, &inputs, &Dict::new())));
    output.unwrap_or_else(|error| panic!("{cfg}: {error}"));
    log.calls.iter().map(|call| call.multiply_adds).sum()
}

#[test]
fn what_mmcv_counts() {
    let counted: Vec<Counted> =
        serde_json::from_str(include_str!("../fixtures/multiply_adds/multiply_adds.json")).unwrap();
    assert!(counted.len() >= 30);
    for Counted { cfg, input, multiply_adds } in counted {
        assert_eq!(count(&cfg, &[&input]), multiply_adds, "{cfg}");
    }
}

#[test]
fn convolutions_and_norms_that_mmcv_leaves_out() {
    let image: &[i64] = &[1, 4, 9, 8];
    for kind in ["ConvWS", "ConvAWS"] {
        let cfg = config! { type: kind, in_channels: 4, out_channels: 8, kernel_size: 3 };
        assert_eq!(count(&cfg, &[image]), 8 * 7 * 6 * (4 * 9 + 1), "{cfg}");
    }
    let adaptive =
        config! { type: "Conv2dAdaptivePadding", in_channels: 4, out_channels: 8, kernel_size: 3, stride: 2 };
    assert_eq!(count(&adaptive, &[image]), 8 * 5 * 4 * (4 * 9 + 1));
    let deconv = config! { type: "deconv3d", in_channels: 4, out_channels: 8, kernel_size: 3 };
    assert_eq!(count(&deconv, &[&[1, 4, 2, 3, 4]]), 4 * 2 * 3 * 4 * 27 * 8 + 8 * 4 * 5 * 6);
    assert_eq!(count(&config! { type: "SyncBN", num_features: 4 }, &[image]), 2 * 4 * 9 * 8);
}

#[test]
fn one_operation_for_each_element() {
    for kind in ["SiLU", "GELU", "HSwish", "HSigmoid", "Sigmoid", "Tanh", "Clamp", "Swish", "RReLU", "Scale"] {
        assert_eq!(count(&config! { type: kind }, &[&[1, 4, 9, 8]]), 4 * 9 * 8, "{kind}");
    }
    assert_eq!(count(&config! { type: "LayerScale", dim: 8 }, &[&[1, 5, 8]]), 5 * 8);
    assert_eq!(count(&config! { type: "DropPath" }, &[&[1, 5, 8]]), 0);
}

#[test]
fn attention() {
    let plain = config! { type: "MultiheadAttention", embed_dims: 8, num_heads: 2 };
    let (length, samples) = (5, 2);
    let output_projection = length * samples * 8 * 8;
    let products = 2 * samples * length * length * 8;
    assert_eq!(count(&plain, &[&[5, 2, 8]]), 3 * length * samples * 8 * 8 + products + output_projection);

    let other_sizes = config! {
        type: "MultiheadAttention", embed_dims: 8, num_heads: 2, kdim: 4, vdim: 6, add_bias_kv: true, add_zero_attn: true
    };
    let (keys, added) = (3, 2);
    let projections = (length * 8 + keys * 4 + keys * 6) * samples * 8;
    let products = 2 * samples * length * (keys + added) * 8;
    let counted = count(&other_sizes, &[&[5, 2, 8], &[3, 2, 4], &[3, 2, 6]]);
    assert_eq!(counted, projections + products + output_projection);
}

#[test]
fn non_local() {
    let (pixels, image): (u64, &[i64]) = (30, &[1, 4, 6, 5]);
    // 4 channels, 2 inside; all convolutions are pointwise and have a bias.
    let (inner, outer) = (2 * pixels * (4 + 1), 4 * pixels * (2 + 1));
    for mode in ["embedded_gaussian", "dot_product"] {
        let cfg = config! { type: "NonLocal2d", in_channels: 4, mode: mode };
        assert_eq!(count(&cfg, &[image]), 3 * inner + outer + 2 * pixels * pixels * 2, "{cfg}");
    }
    let cfg = config! { type: "NonLocal2d", in_channels: 4, mode: "concatenation" };
    let (project, activation) = (pixels * pixels * 4, pixels * pixels);
    assert_eq!(count(&cfg, &[image]), 3 * inner + outer + project + activation + pixels * pixels * 2);

    let cfg = config! { type: "NonLocal2d", in_channels: 4, mode: "gaussian", sub_sample: true };
    let (pools, attended) = (2 * pixels + 4 * pixels, 3 * 2);
    assert_eq!(count(&cfg, &[image]), inner + outer + pools + pixels * attended * (4 + 2));
}

#[test]
fn context() {
    let bottleneck = 2 * (4 + 1) + 2 * 2 + 2 + 4 * (2 + 1);
    let cfg = config! { type: "ContextBlock", in_channels: 4, ratio: 0.5 };
    let (mask, product) = (30 * (4 + 1), 4 * 30);
    assert_eq!(count(&cfg, &[&[1, 4, 6, 5]]), mask + product + bottleneck);
    let cfg = config! { type: "ContextBlock", in_channels: 4, ratio: 0.5, pooling_type: "avg" };
    assert_eq!(count(&cfg, &[&[1, 4, 6, 5]]), 4 * 30 + bottleneck);
}

#[test]
fn generalized_attention() {
    let cfg = |terms: &str| {
        config! { type: "GeneralizedAttention", in_channels: 4, num_heads: 2, attention_type: terms }
    };
    // 6 x 4 pixels; keys and values are every second one: 3 x 2. Embeddings of positions have 2 elements.
    let (pixels, attended) = (24, 6);
    let sampling = 4 * pixels;
    let convolutions = 4 * pixels * 4 + 2 * 4 * attended * 4 + 4 * pixels * (4 + 1);
    let embeddings = (4 * 2 + 6 * 3) * 2 * 4;
    let terms = 4 * pixels * attended + 4 * pixels * (3 + 2);
    let values = 4 * pixels * attended;
    assert_eq!(count(&cfg("1111"), &[&[1, 4, 6, 4]]), sampling + convolutions + embeddings + terms + values);

    // The key alone: one row of weights for all pixels.
    let convolutions = 2 * 4 * attended * 4 + 4 * (4 + 1);
    assert_eq!(count(&cfg("0010"), &[&[1, 4, 6, 4]]), sampling + convolutions + 4 * attended + 4 * attended);

    // The position alone, on 4 x 4 pixels with 2 x 2 keys.
    let (pixels, attended) = (16, 4);
    let convolutions = 4 * attended * 4 + 4 * pixels * (4 + 1);
    let embeddings = 2 * (4 * 2) * 2 * 4;
    let term = 4 * (4 * 2 + 4 * 2);
    let counted = count(&cfg("0001"), &[&[1, 4, 4, 4]]);
    assert_eq!(counted, 4 * pixels + convolutions + embeddings + term + 4 * pixels * attended);
}
