//! What is noted of forward passes.

use mmcv::layers::call_child;
use mmcv::layers::observe::observe;
use mmcv::prelude::*;
use mmcv::registry::Dict;
use std::time::Duration;
use tch::{Device, Kind, Tensor};

#[test]
fn every_moment_counts_for_one_module() {
    let conv =
        config! { type: "ConvModule", in_channels: 3, out_channels: 8, kernel_size: 3, norm_cfg: { type: "BN" } };
    let module = build_model(&config! { type: "Sequential", modules: [conv, { type: "Tanh" }] }).unwrap();
    let input = Tensor::randn([1, 3, 32, 32], (Kind::Float, Device::Cpu));
    let (output, log) = observe(|| call_child("", &*module, &[&input], &Dict::new()));
    output.unwrap();
    let names: Vec<&str> = log.calls.iter().map(|call| call.module.as_str()).collect();
    assert_eq!(names, ["", "0", "0.conv", "0.bn", "0.activate", "1"]);
    let own: Duration = log.calls.iter().map(|call| call.own_time).sum();
    assert_eq!(own, log.calls[0].time);
    assert!(log.calls.iter().all(|call| call.own_time > Duration::ZERO && call.own_time <= call.time), "{log:?}");
    assert_eq!(log.calls[2].own_time, log.calls[2].time, "a convolution has no children");
}
