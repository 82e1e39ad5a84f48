//! Rewritten modules give the numbers of those that they were made from.

use mmcv::fuse::FoldedConvModule;
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

#[test]
fn a_folded_batch_norm_changes_no_number() {
    for options in [
        dict! { norm_cfg: { type: "BN" } },
        dict! { norm_cfg: { type: "BN", affine: false }, bias: true, stride: 2, groups: 2, act_cfg: null },
        dict! { norm_cfg: { type: "SyncBN" }, padding: 1, padding_mode: "reflect", order: ["act", "conv", "norm"], inplace: false },
    ] {
        let module = trained(options);
        let input = Tensor::randn([1, 4, 9, 9], (Kind::Float, Device::Cpu)).to_device(device().unwrap());
        let expected = tch::no_grad(|| module.forward(&input)).unwrap();
        let found = FoldedConvModule::new(module).unwrap().forward(&input).unwrap();
        let difference = (found - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-5, "{difference}");
    }
}

#[test]
fn what_cannot_be_folded_is_refused() {
    for options in [
        dict! {},
        dict! { norm_cfg: { type: "GN", num_groups: 2 } },
        dict! { norm_cfg: { type: "BN" }, conv_cfg: { type: "ConvWS" } },
        dict! { norm_cfg: { type: "BN", track_running_stats: false } },
        dict! { norm_cfg: { type: "BN" }, order: ["norm", "conv", "act"] },
    ] {
        let error = FoldedConvModule::new(trained(options)).unwrap_err();
        assert!(error.to_string().contains("nothing to fold"), "{error}");
    }
}
