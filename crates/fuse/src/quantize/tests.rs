//! Networks in 8 bits, compared with libtorch's operators and rounded values, and with 32 bits.
#![allow(clippy::unwrap_used)]

use mmcv_bricks::conv_module;
use mmcv_layers::{Builder, Forward, MODELS, Module, ModuleExt};
use mmcv_registry::{Config, Dict, config, dict};
use tch::{Device, Kind, Tensor};

use super::{Calibration, CalibrationOptions, Quantization, RangeMethod};
use crate::error::ErrorKind;
use crate::fused::{Fused, fuse};
use crate::options::{Backend, FuseOptions};

const F32: (Kind, Device) = (Kind::Float, Device::Cpu);

fn quantized(module: &dyn Module, images: &Tensor, options: CalibrationOptions) -> Quantization {
    let mut calibration = Calibration::new(module, &images.size(), options).unwrap();
    calibration.observe(images).unwrap();
    calibration.finish().unwrap()
}

fn fused(module: &dyn Module, shape: &[i64], quantization: &Quantization, backend: Backend) -> Fused {
    let options = FuseOptions { quantization: Some(quantization.clone().into()), backend, ..FuseOptions::default() };
    fuse(module, shape, &options).unwrap()
}

/// The largest difference, as a share of the largest number.
fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    (found - expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[])
}

/// The root of the mean square difference, as a share of the root of the mean square.
fn mean_difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let size = |tensor: &Tensor| tensor.square().mean(Kind::Double).double_value(&[]).sqrt();
    size(&(found - expected)) / size(expected)
}

/// A layer alone has the same integers as libtorch's operators, but for a number of the input that lies between two of them: each
/// difference is one step of the input at most.
#[test]
fn a_layer_returns_what_its_integers_say() {
    tch::manual_seed(1);
    for (inputs, outputs, kernel, groups) in [
        (16, 32, 1, 1),
        (16, 33, 3, 1),
        (3, 8, 3, 1),
        (3, 32, 7, 1),
        (32, 32, 3, 32),
        (97, 97, 3, 97),
        (32, 48, 3, 4),
        (5, 7, 3, 1),
        (1, 1, 1, 1),
        (130, 64, 1, 1),
        (66, 64, 5, 2),
    ] {
        for stride in [1, 2] {
            let options = dict! {
                padding: kernel / 2, groups: groups, stride: stride, norm_cfg: { type: "BN" }, act_cfg: None::<Dict>
            };
            let module = conv_module(inputs, outputs, kernel, options).unwrap();
            module.train(false);
            let images = Tensor::randn([2, inputs, 13, 11], F32) + 0.5;
            let quantization = quantized(&module, &images, CalibrationOptions::default());
            let found = fused(&module, &images.size(), &quantization, Backend::OneDnn).forward(&images).unwrap();
            let plain = fused(&module, &images.size(), &quantization, Backend::Libtorch).forward(&images).unwrap();
            let text = format!("{inputs} {outputs} {kernel} {groups} {stride}");
            assert!(difference(&found, &plain) < 6e-3, "{text}: {}", difference(&found, &plain));
            assert!(mean_difference(&found, &plain) < 1e-3, "{text}: {}", mean_difference(&found, &plain));
            let exact = module.forward(&images).unwrap();
            assert!(mean_difference(&found, &exact) < 0.04, "{text}: {}", mean_difference(&found, &exact));
        }
    }
}

/// Sums of two products in 16 bits, as processors without VNNI have them, do not overflow for the largest integers.
#[test]
fn the_largest_integers_do_not_overflow() {
    for (inputs, kernel) in [(64, 1), (64, 3), (6, 3), (3, 3), (17, 1)] {
        let options = dict! { bias: true, act_cfg: None::<Dict> };
        let module = conv_module(inputs, 32, kernel, options).unwrap();
        module.train(false);
        for (_, weight) in module.named_parameters() {
            let _ = tch::no_grad(|| weight.shallow_clone().fill_(1.0));
        }
        let images = Tensor::ones([1, inputs, 8, 8], F32);
        let quantization = quantized(&module, &images, CalibrationOptions::default());
        let found = fused(&module, &images.size(), &quantization, Backend::OneDnn).forward(&images).unwrap();
        assert!(difference(&found, &module.forward(&images).unwrap()) < 0.01, "{inputs} {kernel}");
    }
}

fn network() -> Box<dyn Module> {
    let block = config! { type: "ConvModule", in_channels: 16, out_channels: 16, kernel_size: 3, padding: 1, norm_cfg: { type: "BN" } };
    let first = config! { type: "ConvModule", in_channels: 3, out_channels: 16, kernel_size: 3, padding: 1, act_cfg: { type: "HSwish" } };
    let up = config! { type: "nearest", scale_factor: 2 };
    let layers =
        vec![first, config! { type: "MaxPool2d", kernel_size: 3, stride: 2, padding: 1 }, block.clone(), up, block];
    let network = Builder::new(&mmcv_bricks::MODELS).model(&Config::List(layers)).unwrap();
    network.train(false);
    network
}

/// Several layers with activations, pooling and other sizes, for all methods; the file has the weights.
#[test]
fn a_network_is_close_to_32_bits_and_comes_back_from_its_file() {
    tch::manual_seed(2);
    let network = network();
    let images = Tensor::randn([2, 3, 32, 32], F32);
    let exact = network.forward(&images).unwrap();
    for method in [RangeMethod::Mse, RangeMethod::MinMax, RangeMethod::Entropy, RangeMethod::Percentile(99.9)] {
        let options = CalibrationOptions { method, ..CalibrationOptions::default() };
        let quantization = quantized(&*network, &images, options);
        assert_eq!(quantization.layers().len(), 3);
        let bytes = quantization.to_bytes().unwrap();
        assert!(bytes == quantization.to_bytes().unwrap(), "the same network has the same file");
        let read = Quantization::from_bytes(&bytes).unwrap();
        assert_eq!(read, quantization);
        tch::manual_seed(3);
        let untrained = self::network();
        let found = fused(&*untrained, &images.size(), &read, Backend::Auto);
        let output = found.forward(&images).unwrap();
        let limit = if method == RangeMethod::Entropy { 0.3 } else { 0.1 };
        assert!(mean_difference(&output, &exact) < limit, "{method:?}: {}", mean_difference(&output, &exact));
        // Another size is prepared from the integers.
        let larger = Tensor::randn([1, 3, 48, 40], F32);
        let exact = network.forward(&larger).unwrap();
        assert!(mean_difference(&found.forward(&larger).unwrap(), &exact) < limit * 1.5, "{method:?}");
        let broken = &larger * f64::NAN;
        assert_eq!(found.forward(&broken).unwrap().isfinite().any().int64_value(&[]), 0);
    }
}

#[test]
fn layers_can_stay_in_32_bits() {
    let network = network();
    let images = Tensor::randn([2, 3, 32, 32], F32);
    let mut calibration = Calibration::new(&*network, &images.size(), CalibrationOptions::default()).unwrap();
    assert!(calibration.finish().unwrap_err().to_string().contains("no image was observed"));
    calibration.observe(&images).unwrap();
    assert_eq!(calibration.finish_without(&[0, 2]).unwrap().layers().len(), 1);
    let exact = calibration.finish_without(&[0, 1, 2]).unwrap();
    let output = fused(&*network, &images.size(), &exact, Backend::Auto).forward(&images).unwrap();
    assert!(difference(&output, &network.forward(&images).unwrap()) < 1e-4);
}

#[test]
fn files_that_do_not_fit_are_errors() {
    let network = network();
    let images = Tensor::randn([1, 3, 16, 16], F32);
    let quantization = quantized(&*network, &images, CalibrationOptions::default());
    let bytes = quantization.to_bytes().unwrap();
    let message = |bytes: &[u8]| Quantization::from_bytes(bytes).unwrap_err().to_string();
    assert!(message(b"no file").contains("no safetensors file"));
    assert!(message(&bytes[..bytes.len() - 1]).contains("no safetensors file"));
    let position = bytes.windows(9).position(|window| window == b"mmcv-int8").unwrap();
    let mut foreign = bytes.clone();
    foreign[position] = b'x';
    assert!(message(&foreign).contains("mmcv quantize"), "{}", message(&foreign));

    let convolution = config! { type: "Conv2d", in_channels: 3, out_channels: 16, kernel_size: 3 };
    let another = Builder::new(&MODELS).model(&convolution).unwrap();
    another.train(false);
    let options = FuseOptions { quantization: Some(quantization.into()), ..FuseOptions::default() };
    let error = fuse(&*another, &[1, 3, 16, 16], &options).unwrap_err();
    assert!(matches!(*error.kind, ErrorKind::Quantization(_)), "{error}");
    assert!(error.to_string().contains("another network"), "{error}");

    let without_layers = Builder::new(&MODELS).model(&config! { type: "ReLU" }).unwrap();
    without_layers.train(false);
    let error = Calibration::new(&*without_layers, &[1, 3, 16, 16], CalibrationOptions::default()).unwrap_err();
    assert!(error.to_string().contains("no convolution"), "{error}");
}

/// A changed or cut file is an error, or a network with other numbers, and never a panic.
#[test]
fn a_changed_file_never_panics() {
    let network = network();
    let images = Tensor::randn([1, 3, 16, 16], F32);
    let bytes = quantized(&*network, &images, CalibrationOptions::default()).to_bytes().unwrap();
    for length in (0..bytes.len()).step_by(211) {
        assert!(Quantization::from_bytes(&bytes[..length]).is_err());
    }
    let mut read = 0;
    for position in (0..bytes.len()).step_by(53) {
        let mut changed = bytes.clone();
        changed[position] ^= 0x15;
        let Ok(quantization) = Quantization::from_bytes(&changed) else { continue };
        read += 1;
        let options = FuseOptions { quantization: Some(quantization.into()), ..FuseOptions::default() };
        if let Ok(fused) = fuse(&*network, &images.size(), &options) {
            assert_eq!(fused.forward(&images).unwrap().size(), network.forward(&images).unwrap().size());
        }
    }
    assert!(read > 20, "{read} files");
}
