//! Rewritten modules give the numbers of those that they were made from.

use mmcv::fuse::{Backend, FuseOptions, Precision, fuse, fuse_call};
use mmcv::layers::{Output, Result};
use mmcv::prelude::*;
use mmcv_tests::device;
use proptest::prelude::*;
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
fn difference(module: &dyn Forward, other: &dyn Forward, shape: [i64; 4]) -> f64 {
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
fn a_clone_of_a_fused_module_is_the_same() {
    let module = trained(dict! { norm_cfg: { type: "BN" } });
    let fused = fuse(&module, &[1, 4, 9, 9], &FuseOptions::default()).unwrap();
    let again = fused.clone();
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

/// Its forward pass is given by a function.
struct Written(fn(&Tensor) -> Result<Vec<Tensor>>);

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written")
    }
}

impl Forward for Written {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Output::Tensors((self.0)(input)?).single()
    }

    fn call(&self, inputs: &[&Tensor], _: &Dict) -> Result<Output> {
        (self.0)(inputs[0]).map(Output::Tensors)
    }
}

impl Module for Written {
    fn class(&self) -> &'static [&'static str] {
        &["Written"]
    }
}

/// What a module changes in place, others see: through views, through the input, as outputs.
#[test]
fn changes_in_place_are_seen_where_they_were() {
    type Forward = fn(&Tensor) -> Result<Vec<Tensor>>;
    let modules: [Forward; 5] = [
        |x| {
            let y = x.f_mul_scalar(2.0)?;
            let view = y.f_narrow(1, 0, 2)?;
            let before = view.f_sum(None)?;
            let _ = y.shallow_clone().f_relu_()?;
            Ok(vec![before, view, y])
        },
        |x| {
            let y = x.f_mul_scalar(2.0)?;
            let _ = y.f_narrow(1, 1, 2)?.f_add_scalar_(3.0)?;
            Ok(vec![y.f_relu()?])
        },
        |x| Ok(vec![x.shallow_clone().f_relu_()?, x.f_neg()?]),
        |x| {
            let zeros = x.f_zeros_like()?;
            zeros.f_narrow(0, 0, 1)?.f_copy_(&x.f_narrow(0, 0, 1)?)?;
            Ok(vec![zeros])
        },
        |x| {
            let parts = x.f_chunk(2, 1)?;
            Ok(vec![Tensor::f_cat(&[parts[1].f_relu()?, parts[0].shallow_clone()], 1)?, x.f_max_dim(1, true)?.1])
        },
    ];
    for (index, function) in modules.into_iter().enumerate() {
        let module = Written(function);
        let input = Tensor::randn([2, 4, 5, 5], (Kind::Float, Device::Cpu)).to_device(device().unwrap());
        let fused = fuse_call(&module, &[&input], &dict! {}, &FuseOptions::default()).unwrap();
        let kept = input.copy();
        for _ in 0..2 {
            let found = fused.call(&[&input], &dict! {}).unwrap().into_vec();
            assert_eq!(input, kept, "module {index} changes its input");
            assert_eq!(found, function(&input.copy()).unwrap(), "module {index}");
        }
    }
}

#[test]
fn what_depends_on_the_size_is_for_that_size() {
    let module = Written(|x| Ok(vec![x.f_reshape([-1, x.size()[2] * 2])?]));
    let input = Tensor::randn([2, 4, 6, 6], (Kind::Float, Device::Cpu)).to_device(device().unwrap());
    let fused = fuse_call(&module, &[&input], &dict! {}, &FuseOptions::default()).unwrap();
    let error = fused.call(&[&input.narrow(2, 0, 4)], &dict! {}).unwrap_err();
    assert!(error.to_string().contains("for inputs of shape [[2, 4, 6, 6]] alone, got [[2, 4, 4, 6]]"), "{error}");
}

#[test]
fn stages_of_a_backbone_and_other_sizes() {
    let backbone = build_model(&config! { type: "MobileNetV2", widen_factor: 0.25, out_indices: [1, 4, 7] }).unwrap();
    backbone.train(false);
    backbone.to_device(device().unwrap()).unwrap();
    let fused = fuse(&*backbone, &[1, 3, 64, 64], &FuseOptions::default()).unwrap();
    for shape in [[1, 3, 64, 64], [2, 3, 96, 64], [1, 3, 64, 64]] {
        let input = Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_device(device().unwrap());
        let expected = tch::no_grad(|| backbone.call(&[&input], &dict! {})).unwrap().into_vec();
        let found = fused.call(&[&input], &dict! {}).unwrap().into_vec();
        assert_eq!(found.len(), 3);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.allclose(expected, 1e-4, 1e-4, false), "{shape:?}");
        }
    }
}

/// With one picture, parts of the channels lie in a row already; with two they do not.
#[test]
fn parts_of_the_channels_are_one_region_for_any_number_of_pictures() {
    tch::manual_seed(0);
    let config =
        config! { type: "Res2Net", depth: 50, base_channels: 16, stem_channels: 16, scales: 4, base_width: 26 };
    let network = build_model(&config).unwrap();
    network.train(false);
    for batch in [1, 2] {
        let shape = [batch, 3, 64, 64];
        let fused = fuse(&*network, &shape, &FuseOptions::default()).unwrap();
        assert!(difference(&*network, &fused, shape) < 1e-4);
        let summary = fused.summary();
        assert!(!summary.contains("oneDNN") || !summary.contains("libtorch"), "{batch}: {summary}");
    }
}

#[test]
fn a_difference_names_the_first_module_that_differs() {
    let module = trained(dict! { norm_cfg: { type: "BN" } });
    let mut options = FuseOptions::default();
    options.tolerance = Some(0.0);
    options.precision = Precision::Bf16;
    match fuse(&module, &[1, 4, 9, 9], &options) {
        Err(error) => assert!(error.to_string().starts_with("conv: the fused form differs"), "{error}"),
        Ok(fused) => assert!(!fused.summary().contains("oneDNN"), "bfloat16 cannot give the same numbers"),
    }
}

#[test]
fn the_libtorch_backend_and_bfloat16() {
    let module = trained(dict! { norm_cfg: { type: "BN" } });
    let mut options = FuseOptions::default();
    options.backend = Backend::Libtorch;
    let fused = fuse(&module, &[1, 4, 9, 9], &options).unwrap();
    assert!(!fused.summary().contains("oneDNN"), "{}", fused.summary());
    assert!(difference(&module, &fused, [1, 4, 9, 9]) < 1e-4);
    if device().unwrap() == Device::Cpu {
        let input = Tensor::zeros([1, 4, 9, 9], (Kind::Float, Device::Cpu));
        let operators: Vec<String> =
            fused.profile(&[&input]).unwrap().into_iter().map(|timing| timing.operator).collect();
        assert_eq!(operators, ["aten::contiguous", "mkldnn::_convolution_pointwise"]);
    }
    options = FuseOptions::default();
    options.precision = Precision::Bf16;
    let fused = fuse(&module, &[1, 4, 9, 9], &options).unwrap();
    assert_eq!(
        fused.forward(&Tensor::zeros([1, 4, 9, 9], (Kind::Float, device().unwrap()))).unwrap().kind(),
        Kind::Float
    );
    let difference = difference(&module, &fused, [1, 4, 9, 9]);
    assert!(difference < 0.05, "{difference}");
    // What cannot run in bfloat16 is not silently in 32 bits.
    let summary = fused.summary();
    let says = summary.contains("1 of 1 convolutions and linear layers in f32 instead of bf16");
    assert!(difference > 1e-5 || says, "{difference}, {summary}");
}

/// The options of a random ConvModule and the shape of its input.
fn conv_modules() -> impl Strategy<Value = (Dict, Vec<i64>)> {
    let types = prop::sample::select(vec![
        ("Conv2d", 2),
        ("Conv2d", 2),
        ("Conv1d", 1),
        ("Conv3d", 3),
        ("ConvWS", 2),
        ("ConvAWS", 2),
        ("Conv2dAdaptivePadding", 2),
        ("deconv", 2),
        ("deconv3d", 3),
    ]);
    let orders = Just(["conv", "norm", "act"]).prop_shuffle();
    let activations = prop::sample::select(vec![
        "ReLU",
        "ReLU6",
        "LeakyReLU",
        "SiLU",
        "Swish",
        "HSwish",
        "HSigmoid",
        "GELU",
        "Sigmoid",
        "Tanh",
        "ELU",
        "PReLU",
        "",
    ]);
    let norms = prop::sample::select(vec!["BN", "BN", "BN", "SyncBN", "GN", "IN", ""]);
    let paddings = prop::sample::select(vec!["zeros", "zeros", "zeros", "reflect", "replicate", "circular"]);
    let numbers = (1..4i64, 1..3i64, 0..3i64, 1..3i64, 1..4i64, 5..12i64);
    let flags = proptest::array::uniform5(any::<bool>());
    (types, orders, activations, norms, paddings, numbers, flags).prop_map(
        |((conv, axes), order, activation, norm, padding_mode, numbers, flags)| {
            let (kernel, stride, padding, dilation, groups, size) = numbers;
            let [bias, affine, spectral, inplace, two_images] = flags;
            let (inputs, outputs) = (4 * groups, 6 * groups);
            let mut options = dict! {
                in_channels: inputs, out_channels: outputs, kernel_size: kernel, stride: stride, padding: padding,
                dilation: dilation, groups: groups, conv_cfg: { type: conv }, order: order.to_vec(), inplace: inplace,
                with_spectral_norm: spectral, padding_mode: padding_mode, act_cfg: null,
            };
            if bias {
                options.insert("bias", true);
            }
            if !activation.is_empty() {
                options.insert("act_cfg", config! { type: activation });
            }
            match norm {
                "" => {}
                "GN" => drop(options.insert("norm_cfg", config! { type: "GN", num_groups: 2 })),
                "BN" | "IN" => {
                    drop(options.insert("norm_cfg", config! { type: (format!("{norm}{axes}d")), affine: affine }));
                }
                _ => drop(options.insert("norm_cfg", config! { type: norm, affine: affine })),
            }
            let spatial = vec![size; axes];
            (options, [&[1 + i64::from(two_images), inputs][..], &spatial].concat())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Or the module cannot be built, or does not take the input.
    #[test]
    fn any_conv_module_gives_the_same_numbers((options, shape) in conv_modules()) {
        let Ok(module) = build_model(&config_of("ConvModule", options)) else { return Ok(()) };
        module.to_device(device().unwrap()).unwrap();
        let input = Tensor::randn(&shape, (Kind::Float, Device::Cpu)).to_device(device().unwrap());
        for _ in 0..2 {
            let _ = module.forward(&(&input * 2 + 1));
        }
        module.train(false);
        let Ok(expected) = tch::no_grad(|| module.forward(&input.copy())) else { return Ok(()) };
        for backend in [Backend::Auto, Backend::Libtorch] {
            let mut options = FuseOptions::default();
            options.backend = backend;
            let found = fuse(&*module, &shape, &options).unwrap().forward(&input).unwrap();
            prop_assert!(found.allclose(&expected, 1e-4, 1e-4, true), "{}", (found - &expected).abs().max());
        }
    }
}

fn config_of(name: &str, mut options: Dict) -> Config {
    options.insert("type", name);
    Config::Dict(options)
}

/// Networks of random layers, also on maps of one element, with branches that are added or concatenated.
fn networks() -> impl Strategy<Value = (Vec<(usize, i64)>, i64, i64)> {
    (prop::collection::vec((0..9usize, 0..4i64), 2..8), 1..10i64, 1..20i64)
}

#[derive(Debug)]
struct Random {
    layers: Vec<(usize, Box<dyn Module>)>,
}

impl Random {
    fn new(layers: &[(usize, i64)], mut channels: i64) -> Self {
        let built = layers.iter().map(|(kind, number)| {
            let to = 4 * number + 3;
            let cfg = match kind {
                0 => config! { type: "ConvModule", in_channels: channels, out_channels: to, kernel_size: 1, norm_cfg: { type: "BN" } },
                1 => config! { type: "ConvModule", in_channels: channels, out_channels: to, kernel_size: 3, padding: 1, act_cfg: { type: "SiLU" } },
                2 => config! { type: "ConvModule", in_channels: channels, out_channels: channels, kernel_size: 3, padding: 1, stride: 2, groups: channels },
                3 => config! { type: "nearest", scale_factor: 2 },
                4 => config! { type: "bilinear", scale_factor: 2 },
                5 => config! { type: "MaxPool2d", kernel_size: 3, stride: 2, padding: 1, ceil_mode: (number % 2 == 0) },
                6 => config! { type: "GN", num_channels: channels, num_groups: 1 },
                _ => config! { type: "ReLU" },
            };
            if *kind < 2 {
                channels = to;
            } else if *kind == 7 {
                channels *= 2;
            }
            (*kind, build_model(&cfg).unwrap())
        });
        Self { layers: built.collect() }
    }
}

impl Forward for Random {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = input.shallow_clone();
        for (kind, layer) in &self.layers {
            output = match kind {
                7 => {
                    let half = (output.size()[1] / 2).max(1);
                    let parts =
                        [output.f_narrow(1, 0, half)?, output.f_narrow(1, half - 1, output.size()[1] - half + 1)?];
                    let changed = [parts[1].f_relu()?, parts[0].f_mul_scalar(2.0)?, output.shallow_clone()];
                    Tensor::f_cat(&changed, 1)?.f_narrow(1, 0, 2 * output.size()[1])?
                }
                8 => {
                    layer.forward(&output)?.f_add(&output)?.f_add(&output.f_mean_dim(&[2i64, 3][..], true, None)?)?
                }
                _ => layer.forward(&output)?,
            };
        }
        Ok(output)
    }
}

impl Module for Random {
    fn class(&self) -> &'static [&'static str] {
        &["Random"]
    }

    fn parts<'a>(&'a self, parts: &mut mmcv::layers::Parts<'a>) {
        for (index, (_, layer)) in self.layers.iter().enumerate() {
            parts.child(index.to_string(), &**layer);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_network_gives_the_same_numbers((layers, size, channels) in networks()) {
        tch::manual_seed(0);
        let module = Random::new(&layers, channels);
        module.train(false);
        module.to_device(device().unwrap()).unwrap();
        let input = Tensor::randn([2, channels, size, size], (Kind::Float, Device::Cpu)).to_device(device().unwrap());
        let Ok(expected) = tch::no_grad(|| module.forward(&input.copy())) else { return Ok(()) };
        for backend in [Backend::Auto, Backend::Libtorch] {
            let mut options = FuseOptions::default();
            options.backend = backend;
            let found = fuse(&module, &[2, channels, size, size], &options).unwrap().forward(&input).unwrap();
            prop_assert!(found.allclose(&expected, 1e-4, 1e-4, true), "{}", (found - &expected).abs().max());
        }
    }
}
