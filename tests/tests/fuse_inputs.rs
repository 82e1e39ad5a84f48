//! Fused forms on inputs that are broken, of other kinds, or impossible.

use mmcv::fuse::{Backend, FuseOptions, fuse, fuse_call};
use mmcv::layers::{Output, Parts, Result};
use mmcv::prelude::*;
use tch::{Device, Kind, Tensor};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Its forward pass is given by a function.
pub(crate) struct Written(pub(crate) fn(&Tensor) -> Result<Tensor>);

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written")
    }
}

impl Forward for Written {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        (self.0)(input)
    }

    fn call(&self, inputs: &[&Tensor], _: &Dict) -> Result<Output> {
        (self.0)(inputs[0]).map(Output::Tensor)
    }
}

impl Module for Written {
    fn class(&self) -> &'static [&'static str] {
        &["Written"]
    }
}

/// One after the other.
#[derive(Debug)]
struct Two(Box<dyn Module>, Box<dyn Module>);

impl Forward for Two {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.1.forward(&self.0.forward(input)?)
    }
}

impl Module for Two {
    fn class(&self) -> &'static [&'static str] {
        &["Two"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.child("0", &*self.0);
        parts.child("1", &*self.1);
    }
}

fn options(backend: Backend) -> FuseOptions {
    let mut options = FuseOptions::default();
    options.backend = backend;
    options
}

fn conv(channels: i64) -> ConvModule {
    tch::manual_seed(0);
    let module = conv_module(channels, 8, 3, dict! { norm_cfg: { type: "BN" } }).unwrap();
    module.train(false);
    module
}

/// The same numbers, and infinities and NaNs in the same places.
fn assert_same(found: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}");
    assert!(found.isfinite().equal(&expected.isfinite()), "{what}: numbers are missing in other places");
    let (found, expected) = (found.nan_to_num(0.0, 0.0, 0.0), expected.nan_to_num(0.0, 0.0, 0.0));
    assert!(found.allclose(&expected, 1e-4, 1e-4, false), "{what}: {}", (found - expected).abs().max());
}

#[test]
fn a_broken_input_gives_what_the_module_gives() {
    let activations = [
        config! { type: "ReLU" },
        config! { type: "ReLU6" },
        config! { type: "Clamp", min: -0.5, max: 0.5 },
        config! { type: "LeakyReLU" },
        config! { type: "HSwish" },
        config! { type: "HSigmoid" },
        config! { type: "GELU" },
        config! { type: "Sigmoid" },
        config! { type: "Tanh" },
        config! { type: "ELU" },
        config! { type: "SiLU" },
    ];
    let pool = config! { type: "MaxPool2d", kernel_size: 2, stride: 2 };
    for activation in activations.iter().chain([&pool]) {
        let first = build_model(
            &config! { type: "ConvModule", in_channels: 3, out_channels: 8, kernel_size: 3, act_cfg: null },
        )
        .unwrap();
        let module = Two(first, build_model(activation).unwrap());
        module.train(false);
        for backend in [Backend::Auto, Backend::Libtorch] {
            let fused = fuse(&module, &[2, 3, 12, 12], &options(backend)).unwrap();
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e37, -1e37] {
                let one = Tensor::randn([2, 3, 12, 12], FLOAT);
                let _ = one.narrow(0, 1, 1).narrow(2, 5, 1).narrow(3, 5, 1).fill_(value);
                for input in [Tensor::full([2, 3, 12, 12], value, FLOAT), one] {
                    let expected = tch::no_grad(|| module.forward(&input)).unwrap();
                    let what = format!("{activation}, {backend:?}, {value}");
                    assert_same(&fused.forward(&input).unwrap(), &expected, &what);
                }
            }
        }
    }
}

#[test]
fn broken_weights_are_seen() {
    for value in [f64::NAN, f64::INFINITY] {
        for backend in [Backend::Auto, Backend::Libtorch] {
            let module = conv(3);
            for (name, parameter) in module.named_parameters() {
                if name.ends_with("weight") {
                    tch::no_grad(|| drop(parameter.flatten(0, -1).narrow(0, 0, 1).fill_(value)));
                }
            }
            let mut unchecked = options(backend);
            unchecked.self_check = backend == Backend::Libtorch;
            let input = Tensor::randn([1, 3, 9, 9], FLOAT);
            let expected = tch::no_grad(|| module.forward(&input)).unwrap();
            // Refused or right.
            if let Ok(fused) = fuse(&module, &[1, 3, 9, 9], &unchecked) {
                assert_same(&fused.forward(&input).unwrap(), &expected, &format!("{backend:?}, {value}"));
            }
        }
    }
}

#[test]
fn impossible_examples_are_errors() {
    let module = conv(3);
    let message = |shape: &[i64]| fuse(&module, shape, &FuseOptions::default()).unwrap_err().to_string();
    for shape in [[-1, 3, 16, 16], [1, 3, 0, 16], [0, 3, 16, 16], [1, 3, 16, i64::MIN]] {
        assert!(message(&shape).contains("at least 1"), "{}", message(&shape));
    }
    for shape in [[1, 3, 1 << 40, 16], [1 << 32, 3, 1 << 32, 16], [1, 3, i64::MAX, i64::MAX], [1, i64::MAX, 1, 1]] {
        assert!(message(&shape).contains("fits into the memory"), "{}", message(&shape));
    }
    // What the module makes of it has no memory.
    let large = Written(|x| Ok(x.f_repeat([1 << 20, 1 << 20, 1, 1])?));
    let error = fuse(&large, &[1, 3, 64, 64], &FuseOptions::default()).unwrap_err().to_string();
    assert!(!error.contains('\n') && !error.contains("frame #"), "{error}");
}

#[test]
fn what_does_not_fit_is_named() {
    let module = conv(3);
    for backend in [Backend::Auto, Backend::Libtorch] {
        let fused = fuse(&module, &[1, 3, 16, 16], &options(backend)).unwrap();
        let message = |input: &Tensor| fused.forward(input).unwrap_err().to_string();
        assert_eq!(
            message(&Tensor::zeros([1, 4, 16, 16], FLOAT)),
            "expected 3 channels, as in the example of shape [1, 3, 16, 16], got 4 channels in the input of shape [1, 4, 16, 16]"
        );
        assert!(
            message(&Tensor::zeros([2, 1, 20, 16], FLOAT))
                .contains("got 1 channels in the input of shape [2, 1, 20, 16]")
        );
        assert!(message(&Tensor::zeros([3, 16, 16], FLOAT)).contains("expected 4D input"));
        assert!(message(&Tensor::zeros([1, 3, 16, 16], (Kind::Double, Device::Cpu))).contains("got Double on Cpu"));
        let small = message(&Tensor::zeros([1, 3, 2, 2], FLOAT));
        assert!(!small.contains('\n') && !small.contains("frame #"), "{small}");
        let two = fused.call(&[&Tensor::zeros([1, 3, 16, 16], FLOAT); 2], &dict! {}).unwrap_err().to_string();
        assert_eq!(two, "expected 1 inputs, got 2 inputs");
    }
}

#[test]
fn inputs_without_plain_memory_are_resolved_or_refused() {
    let module = conv(3);
    let shape = [1i64, 3, 16, 16];
    let random = Tensor::randn(shape, FLOAT);
    let complex = Tensor::complex(&random, &Tensor::randn(shape, FLOAT));
    let resolved = [
        Tensor::internal_efficientzerotensor(shape, FLOAT),
        complex.conj().imag(),
        complex.imag(),
        Tensor::randn([1, 3, 1, 1], FLOAT).expand(shape, false),
        Tensor::randn([1, 3, 16, 32], FLOAT).slice(3, 0, 32, 2),
        Tensor::randn([1, 16, 16, 3], FLOAT).permute([0, 3, 1, 2]),
        Tensor::randn(shape, FLOAT).set_requires_grad(true),
    ];
    let refused = [
        (random.to_sparse_sparse_dim(4), "sparse"),
        (random.to_mkldnn(), "mkldnn"),
        (random.quantize_per_tensor(0.1, 0, Kind::QInt8), "quantized"),
        (complex.shallow_clone(), "ComplexFloat"),
        (Tensor::new(), "undefined"),
    ];
    for backend in [Backend::Auto, Backend::Libtorch] {
        let fused = fuse(&module, &shape, &options(backend)).unwrap();
        for (index, input) in resolved.iter().enumerate() {
            let expected = tch::no_grad(|| module.forward(input)).unwrap();
            let found = fused.forward(input).unwrap();
            assert!(!found.requires_grad());
            assert_same(&found, &expected, &format!("input {index}, {backend:?}"));
            let again = fuse_call(&module, &[input], &dict! {}, &options(backend)).unwrap().forward(input).unwrap();
            assert_same(&again, &expected, &format!("example {index}, {backend:?}"));
        }
        for (input, word) in &refused {
            let error = fused.forward(input).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}

/// A weight that is a view of which the elements are not what lies in memory.
#[test]
fn weights_without_plain_memory_are_resolved() {
    for kind in 0..3 {
        let module = conv(3);
        for (name, parameter) in module.named_parameters() {
            if name == "conv.weight" {
                let weight = tch::no_grad(|| parameter.copy());
                let complex = Tensor::complex(&weight, &weight);
                let other = match kind {
                    0 => complex.conj().imag(),
                    1 => Tensor::internal_efficientzerotensor(weight.size(), FLOAT),
                    _ => weight.flip([0i64]).transpose(2, 3),
                };
                let mut parameter = parameter.shallow_clone();
                tch::no_grad(|| parameter.set_data(&other));
            }
        }
        let input = Tensor::randn([1, 3, 9, 9], FLOAT);
        let expected = tch::no_grad(|| module.forward(&input)).unwrap();
        let fused = fuse(&module, &[1, 3, 9, 9], &FuseOptions::default()).unwrap();
        assert_same(&fused.forward(&input).unwrap(), &expected, &format!("kind {kind}"));
    }
}

#[test]
fn a_worker_thread_builds_no_graph_of_gradients() {
    let fused = fuse(&conv(3), &[1, 3, 9, 9], &FuseOptions::default()).unwrap();
    let worker = std::thread::spawn(move || {
        let input = Tensor::randn([1, 3, 9, 9], FLOAT).set_requires_grad(true);
        fused.forward(&input).unwrap().requires_grad()
    });
    assert!(!worker.join().unwrap());
}

/// Sums, products and the like of a map and of what is smaller, which a convolution gives, in both orders and in place.
#[test]
fn broadcasts_have_the_shape_of_the_larger_operand() {
    fn both(x: &Tensor) -> Result<(Tensor, Tensor)> {
        let weight = Tensor::f_eye(4, (Kind::Float, x.device()))?.f_add_scalar(0.25)?.f_reshape([4, 4, 1, 1])?;
        let large = x.f_conv2d(&weight, None::<&Tensor>, 1, 0, 1, 1)?;
        let small = x.f_mean_dim(&[2i64, 3][..], true, Kind::Float)?.f_conv2d(&weight, None::<&Tensor>, 1, 0, 1, 1)?;
        Ok((large, small.f_abs()?.f_add_scalar(0.5)?.f_conv2d(&weight, None::<&Tensor>, 1, 0, 1, 1)?))
    }
    type Forward = fn(&Tensor) -> Result<Tensor>;
    let modules: [Forward; 14] = [
        |x| both(x).and_then(|(large, small)| Ok(large.f_add(&small)?.f_relu()?)),
        |x| both(x).and_then(|(large, small)| Ok(small.f_add(&large)?.f_relu()?)),
        |x| both(x).and_then(|(large, small)| Ok(large.shallow_clone().f_add_(&small)?)),
        |x| both(x).and_then(|(_, small)| Ok(x.f_add(&small)?)),
        |x| both(x).and_then(|(_, small)| Ok(small.f_add(x)?)),
        |x| both(x).and_then(|(large, small)| Ok(large.f_mul(&small)?)),
        |x| both(x).and_then(|(large, small)| Ok(small.f_mul(&large)?)),
        |x| both(x).and_then(|(large, small)| Ok(large.shallow_clone().f_mul_(&small)?)),
        |x| both(x).and_then(|(large, small)| Ok(large.f_sub(&small)?)),
        |x| both(x).and_then(|(large, small)| Ok(small.f_sub(&large)?)),
        |x| both(x).and_then(|(large, small)| Ok(large.f_div(&small)?)),
        |x| both(x).and_then(|(large, small)| Ok(small.f_maximum(&large)?.f_minimum(x)?)),
        |x| both(x).and_then(|(large, small)| Ok(large.f_add(&small.f_narrow(0, 0, 1)?)?)),
        |x| {
            both(x).and_then(|(large, small)| Ok(large.f_select(0, 0)?.f_add(&small)?.f_mul(&small.f_select(0, 0)?)?))
        },
    ];
    for (index, forward) in modules.into_iter().enumerate() {
        let module = Written(forward);
        let input = Tensor::randn([2, 4, 7, 6], FLOAT);
        let expected = forward(&input).unwrap();
        for backend in [Backend::Auto, Backend::Libtorch] {
            let fused = fuse(&module, &[2, 4, 7, 6], &options(backend)).unwrap();
            assert_same(&fused.forward(&input).unwrap(), &expected, &format!("module {index}, {backend:?}"));
        }
    }
    let block =
        config! { type: "ContextBlock", in_channels: 16, ratio: 0.25, fusion_types: ["channel_add", "channel_mul"] };
    for pooling in ["att", "avg"] {
        let mut block = block.clone();
        if let Config::Dict(dict) = &mut block {
            dict.insert("pooling_type", pooling);
        }
        let module = build_model(&block).unwrap();
        module.train(false);
        for backend in [Backend::Auto, Backend::Libtorch] {
            let fused = fuse(&*module, &[2, 16, 9, 9], &options(backend)).unwrap();
            for shape in [[2, 16, 9, 9], [1, 16, 5, 8]] {
                let input = Tensor::randn(shape, FLOAT);
                let expected = tch::no_grad(|| module.forward(&input)).unwrap();
                assert_same(&fused.forward(&input).unwrap(), &expected, &format!("{pooling}, {backend:?}"));
            }
        }
    }
}
