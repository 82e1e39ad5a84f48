//! Rewritten modules give the numbers of those that they were made from.

use mmcv::fuse::{FuseOptions, fuse};
use mmcv::prelude::*;
use mmcv_tests::device;
use tch::{Device, Kind, Tensor};

fn trained(options: Dict) -> ConvModule {
    tch::manual_seed(0);
    let module = conv_module(4, 6, 3, options).unwrap();
    for _ in 0..3 {
        let _ = module.forward(&(Tensor::randn([2, 4, 9, 9], (Kind::Float, Device::Cpu)) * 2 + 1)).unwrap();
    }
    module.train(false);
    module.to_device(device().unwrap()).unwrap();
    module
}

/// The largest difference, relative and absolute.
fn difference(module: &dyn Module, other: &dyn Module, shape: [i64; 4]) -> f64 {
    let input = Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_device(device().unwrap());
    let expected = tch::no_grad(|| module.forward(&input.copy())).unwrap();
    let difference = (other.forward(&input).unwrap() - &expected).abs();
    (difference / (expected.abs() + 1)).max().double_value(&[])
}

/// mmcv's `fuse_conv_bn` gives other numbers for the second, and fails for the third.
#[test]
fn a_folded_batch_norm_changes_no_number() {
    for options in [
        dict! { norm_cfg: { type: "BN" } },
        dict! { norm_cfg: { type: "BN" }, order: ["norm", "conv", "act"] },
        dict! { norm_cfg: { type: "BN", affine: false }, bias: true, stride: 2, groups: 2, act_cfg: null },
        dict! { norm_cfg: { type: "SyncBN" }, padding: 1, padding_mode: "reflect", order: ["act", "conv", "norm"] },
        dict! { norm_cfg: { type: "BN" }, conv_cfg: { type: "ConvWS" }, with_spectral_norm: false },
        dict! { norm_cfg: { type: "BN", track_running_stats: false } },
        dict! { norm_cfg: { type: "GN", num_groups: 2 }, with_spectral_norm: true },
        dict! { norm_cfg: { type: "BN" }, efficient_conv_bn_eval: true },
    ] {
        let text = format!("{options:?}");
        let module = trained(options);
        let fused = fuse(&module, &[1, 4, 9, 9], &FuseOptions::default()).unwrap();
        for shape in [[1, 4, 9, 9], [3, 4, 12, 10]] {
            let difference = difference(&module, &fused, shape);
            assert!(difference < 1e-4, "{text}, {shape:?}: {difference}");
        }
    }
}

#[test]
fn later_changes_of_the_module_have_no_effect() {
    let module = trained(dict! { norm_cfg: { type: "BN" } });
    let fused = fuse(&module, &[1, 4, 9, 9], &FuseOptions::default()).unwrap();
    let input = Tensor::randn([1, 4, 9, 9], (Kind::Float, Device::Cpu)).to_device(device().unwrap());
    let before = fused.forward(&input).unwrap();
    tch::no_grad(|| module.named_parameters().iter().for_each(|(_, tensor)| drop(tensor.shallow_clone().zero_())));
    assert_eq!(before, fused.forward(&input).unwrap());
    assert_eq!(module.forward(&input).unwrap().abs().max().double_value(&[]), 0.0);
}

#[test]
fn fusing_twice_is_fusing_once() {
    let module = trained(dict! { norm_cfg: { type: "BN" } });
    let fused = fuse(&module, &[1, 4, 9, 9], &FuseOptions::default()).unwrap();
    let again = fuse(&fused, &[1, 4, 9, 9], &FuseOptions::default()).unwrap();
    assert_eq!(difference(&fused, &again, [1, 4, 9, 9]), 0.0);
}

#[test]
fn training_mode_is_refused() {
    let module = trained(dict! { norm_cfg: { type: "BN" } });
    module.train(true);
    let error = fuse(&module, &[1, 4, 9, 9], &FuseOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "bn: it is in training mode; call train(false) before");
}

#[test]
fn what_the_module_refuses_is_an_error() {
    let error = fuse(&trained(dict! {}), &[1, 5, 9, 9], &FuseOptions::default()).unwrap_err();
    assert!(error.to_string().contains("in_channels"), "{error}");
}
