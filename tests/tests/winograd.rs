//! Convolutions of 3 x 3 by Winograd's algorithm give the module's numbers.

use mmcv::fuse::{Error, FuseOptions, Fused, WinogradUse, fuse};
use mmcv::prelude::*;
use mmcv_tests::device;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

fn fused(module: &dyn Module, shape: [i64; 4], winograd: WinogradUse) -> std::result::Result<Fused, Error> {
    let mut options = FuseOptions::default();
    options.winograd = winograd;
    fuse(module, &shape, &options)
}

/// The kernels of the convolutions of a fused module.
fn kernels(fused: &Fused, shape: [i64; 4]) -> Vec<String> {
    let input = Tensor::randn(shape, (Kind::Float, Device::Cpu));
    let mut kernels = Vec::new();
    for timing in fused.profile(&[&input]).unwrap() {
        if timing.operator == "convolution" {
            kernels.push(timing.kernel);
        }
    }
    kernels
}

/// The largest difference from the module in 64 bits, as a share of the largest output.
fn error(module: &dyn Module, fused: &Fused, shape: [i64; 4]) -> f64 {
    let input = Tensor::randn(shape, (Kind::Float, Device::Cpu));
    let found = fused.forward(&input).unwrap();
    module.to_kind(Kind::Double).unwrap();
    let exact = tch::no_grad(|| module.forward(&input.to_kind(Kind::Double))).unwrap();
    module.to_kind(Kind::Float).unwrap();
    ((found - &exact).abs().max() / exact.abs().max()).double_value(&[])
}

/// A network of three convolutions with a shortcut around the last.
fn network(channels: (i64, i64), padding: i64, dilation: i64, activation: &str) -> Box<dyn Module> {
    tch::manual_seed(1);
    let module = |inputs, outputs| {
        let act = if activation == "none" {
            Config::Null
        } else {
            config! { type: activation }
        };
        config! { type: "ConvModule", in_channels: inputs, out_channels: outputs, kernel_size: 3, padding: padding,
        dilation: dilation, norm_cfg: { type: "BN" }, act_cfg: act }
    };
    let layers = vec![module(channels.0, channels.1), module(channels.1, channels.1), module(channels.1, channels.0)];
    let network = Builder::new(&mmcv::MODELS).model(&Config::List(layers)).unwrap();
    network.train(false);
    network.to_device(device().unwrap()).unwrap();
    network
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]
    #[test]
    fn networks_of_any_size(
        batch in 1_i64..6,
        channels in (5_i64..40, 1_i64..70),
        size in (9_i64..30, 9_i64..30),
        padding in 0_i64..3,
        dilation in 1_i64..3,
        activation in 0_usize..4,
    ) {
        let activation = ["ReLU", "ReLU6", "LeakyReLU", "none"][activation];
        let padding = padding * dilation;
        let network = network(channels, padding, dilation, activation);
        let grown = 2 * (padding - dilation);
        prop_assume!(size.0 + 3 * grown > 0 && size.1 + 3 * grown > 0);
        let shape = [batch, channels.0, size.0, size.1];
        let fused = fused(&*network, shape, WinogradUse::Always).unwrap();
        let found = error(&*network, &fused, shape);
        prop_assert!(found < 1e-4, "{found:e}");
    }
}

/// A module that adds its input, or what an earlier convolution returned, to the output of a convolution.
#[test]
fn shortcuts_and_activations_are_part_of_the_convolution() {
    if device().unwrap() != Device::Cpu {
        return;
    }
    tch::manual_seed(2);
    let block = config! { type: "ResNet", depth: 18, num_stages: 1, out_indices: [0], strides: [1], dilations: [1] };
    let network = Builder::new(&mmcv::MODELS).model(&block).unwrap();
    network.train(false);
    let shape = [2, 3, 210, 174];
    for (winograd, expected) in [(WinogradUse::Always, 4), (WinogradUse::Auto, 4), (WinogradUse::Never, 0)] {
        let fused = fused(&*network, shape, winograd).unwrap();
        let kernels = kernels(&fused, shape);
        let found = kernels.iter().filter(|kernel| kernel.starts_with("winograd")).count();
        let has_vectors = !kernels.iter().any(|kernel| kernel.ends_with(":portable"));
        if winograd != WinogradUse::Auto || has_vectors && std::env::var_os("MMCV_ISA").is_none() {
            assert_eq!(found, expected, "{winograd:?}: {kernels:?}");
        }
        let found = error(&*network, &fused, shape);
        assert!(found < 2e-5, "{winograd:?}: {found:e}");
    }
}

/// What cannot be computed so stays direct.
#[test]
fn other_convolutions_stay_direct() {
    if device().unwrap() != Device::Cpu {
        return;
    }
    for options in [
        dict! { stride: 2, padding: 1 },
        dict! { groups: 2, padding: 1 },
        dict! { dilation: 2, padding: 1 },
        dict! { padding: [1, 0] },
        dict! { padding: 1, act_cfg: { type: "Tanh" } },
    ] {
        let text = format!("{options:?}");
        let module = conv_module(32, 32, 3, options).unwrap();
        module.train(false);
        let shape = [1, 32, 20, 20];
        let fused = fused(&module, shape, WinogradUse::Always).unwrap();
        let kernels = kernels(&fused, shape);
        assert!(!kernels.iter().any(|kernel| kernel.starts_with("winograd")), "{text}: {kernels:?}");
    }
}

/// Other sizes are prepared as the first one, and share the weights.
#[test]
fn other_sizes() {
    let network = network((24, 40), 1, 1, "ReLU");
    let fused = fused(&*network, [1, 24, 20, 20], WinogradUse::Always).unwrap();
    for shape in [[1, 24, 20, 20], [3, 24, 7, 5], [2, 24, 64, 33], [1, 24, 3, 3], [1, 24, 1, 1]] {
        let found = error(&*network, &fused, shape);
        assert!(found < 1e-4, "{shape:?}: {found:e}");
    }
}

/// Numbers that a stricter tolerance refuses: computed directly, unless Winograd's algorithm was asked for.
#[test]
fn what_the_self_check_refuses_is_computed_directly() {
    if device().unwrap() != Device::Cpu {
        return;
    }
    tch::manual_seed(3);
    let module = conv_module(64, 64, 3, dict! { padding: 1, act_cfg: null }).unwrap();
    module.train(false);
    let shape = [1, 64, 56, 56];
    let usual = fuse(&module, &shape, &FuseOptions::default()).unwrap();
    if !kernels(&usual, shape).iter().any(|kernel| kernel.starts_with("winograd")) {
        eprintln!("did not run: this processor, or MMCV_ISA, leaves all convolutions direct");
        return;
    }
    let mut options = FuseOptions::default();
    options.winograd = WinogradUse::Always;
    let mut tolerance = 1e-5;
    let refused = loop {
        options.tolerance = Some(tolerance);
        match fuse(&module, &shape, &options) {
            Ok(_) => tolerance /= 1.5,
            Err(error) => break error,
        }
    };
    assert!(refused.to_string().contains("differs from the module"), "{refused}");
    options.winograd = WinogradUse::Auto;
    let fused = fuse(&module, &shape, &options).unwrap();
    assert!(fused.summary().contains("computed directly"), "{}", fused.summary());
    assert!(!kernels(&fused, shape).iter().any(|kernel| kernel.starts_with("winograd")));
}
