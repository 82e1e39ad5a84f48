//! Two ranks with a CUDA device each.

use mmcv_distributed::{DataParallel, DataParallelOptions, Group, ReduceOp, Result};
use mmcv_layers::{Builder, Forward, MODELS, Module, ModuleExt};
use mmcv_registry::config;
use serde_json::{Value, json};
use tch::{Cuda, Device, Kind, Tensor};

use super::harness::Job;
use super::network::{difference, state};

/// A batch norm over all ranks, and a layer after it.
fn network(device: Device) -> Box<dyn Module> {
    tch::manual_seed(5);
    let config = config! {
        type: "Sequential",
        modules: [{ type: "SyncBN", num_features: 3 }, { type: "Conv2d", in_channels: 3, out_channels: 2, kernel_size: 3 }],
    };
    let network = Builder::new(&MODELS).model(&config).unwrap();
    network.to_device(device).unwrap();
    network.train(true);
    network
}

/// Four images, of which each of two ranks has two.
fn images(device: Device) -> Tensor {
    Tensor::linspace(-1, 2, 4 * 3 * 25, (Kind::Float, Device::Cpu)).sin().reshape([4, 3, 5, 5]).to_device(device)
}

/// The mean over all images: the ranks' gradients are averaged.
fn loss(output: &Tensor) -> Tensor {
    output.square().mean(Kind::Float)
}

pub(crate) fn rank(group: &Group) -> Result<Value> {
    let device = Device::Cuda(group.rank());
    let mut sum = Tensor::full([5], group.rank() as f64 + 1.0, (Kind::Float, device));
    group.all_reduce(&mut sum, ReduceOp::Sum)?;
    let network = DataParallel::new(group, network(device), &DataParallelOptions::default())?;
    let share = images(device).narrow(0, 2 * group.rank() as i64, 2);
    network.backward(&loss(&network.forward(&share)?))?;
    Ok(json!({ "sum": sum.double_value(&[4]), "state": state(&**network.module()) }))
}

#[test]
fn two_devices_compute_as_one() {
    if Cuda::device_count() < 2 {
        println!("not run: NCCL needs a CUDA device for each of two ranks, and there are {}", Cuda::device_count());
        return;
    }
    let device = Device::Cuda(0);
    let whole = network(device);
    loss(&whole.forward(&images(device)).unwrap()).backward();
    let expected = state(&*whole);
    for value in Job::new("nccl", 2).variable("MMCV_BACKEND", "nccl").run() {
        assert_eq!(value["sum"], 3.0);
        assert!(difference(&value["state"], &expected) < 1e-5, "{value}");
    }
}
