//! Several training steps in a row, and what loading changes: the fixture is made by tests/fixtures/steps.py.

use std::collections::BTreeMap;
use std::path::Path;

use mmcv::layers::{Builder, Module, ModuleExt, named_modules};
use mmcv::prelude::*;
use tch::Tensor;

type Tensors = BTreeMap<String, Tensor>;

fn fixture() -> Tensors {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/steps.safetensors");
    Tensor::read_safetensors(file).unwrap().into_iter().collect()
}

fn close(found: &Tensor, expected: &Tensor, name: &str) {
    assert!(found.allclose(expected, 1.3e-6, 1e-5, false), "{name}: {found:?} instead of {expected:?}");
}

fn below<'a>(tensors: &'a Tensors, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
    tensors.iter().filter_map(move |(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)))
}

fn load(module: &dyn Module, tensors: &Tensors, prefix: &str) {
    let own: BTreeMap<String, Tensor> = module.state_dict().into_iter().collect();
    let given: BTreeMap<&str, &Tensor> = below(tensors, prefix).collect();
    assert!(own.keys().eq(given.keys()), "{:?} instead of {:?}", own.keys(), given.keys());
    let _guard = tch::no_grad_guard();
    for (name, mut tensor) in own {
        tensor.copy_(given[name.as_str()]);
    }
    for (_, module) in named_modules(module) {
        module.after_load(&[]).unwrap();
    }
}

fn state_is_close(module: &dyn Module, tensors: &Tensors, prefix: &str) {
    let state: BTreeMap<String, Tensor> = module.state_dict().into_iter().collect();
    for (name, expected) in below(tensors, prefix) {
        close(&state[name], expected, &format!("{prefix}{name}"));
    }
}

fn three_steps(module: &dyn Module, tensors: &Tensors, name: &str) {
    let state: BTreeMap<String, Tensor> = module.state_dict().into_iter().collect();
    for step in 0..3 {
        let at = |key: &str| format!("{name}/{step}/{key}");
        let output = module.forward(&tensors[&at("in")]).unwrap();
        close(&output, &tensors[&at("out")], &at("out"));
        (output * &tensors[&at("cot")]).sum(None).backward();
        state_is_close(module, tensors, &at("after:"));
        for (key, expected) in below(tensors, &at("grad:")) {
            close(&state[key].grad(), expected, &at(key));
        }
    }
}

fn check(name: &str, module: &dyn Module) {
    let tensors = fixture();
    load(module, &tensors, &format!("{name}/state:"));
    module.train(true);
    three_steps(module, &tensors, name);
}

fn norm(cfg: Config) -> Box<dyn Module> {
    Builder::new(&MODELS).norm(&cfg, 4, "").unwrap().1
}

#[test]
fn spectral_norm() {
    let cfg = config! {
        type: "ConvModule", in_channels: 4, out_channels: 6, kernel_size: 3,
        with_spectral_norm: true, norm_cfg: { type: "BN" },
    };
    check("spectral", &*build_model(&cfg).unwrap());
}

#[test]
fn spectral_norm_of_a_transposed_convolution() {
    let cfg = config! {
        type: "ConvModule", in_channels: 4, out_channels: 6, kernel_size: 3, groups: 2,
        with_spectral_norm: true, conv_cfg: { type: "deconv" },
    };
    check("spectral_deconv", &*build_model(&cfg).unwrap());
}

#[test]
fn running_statistics() {
    let null = Config::Null;
    check("bn", &*norm(config! { type: "BN", momentum: 0.3 }));
    check("bn_momentum_null", &*norm(config! { type: "BN", momentum: null.clone() }));
    check("sync_momentum_null", &*norm(config! { type: "SyncBN", momentum: null.clone() }));
    check("in_momentum_null", &*norm(config! { type: "IN", momentum: null, track_running_stats: true, affine: true }));
}

#[test]
fn weight_standardization_is_recovered_on_load() {
    let tensors = fixture();
    for name in ["aws_negative", "aws_zero", "aws_positive"] {
        let arguments = dict! { in_channels: 4, out_channels: 6, kernel_size: 3 };
        let module = Builder::new(&MODELS).conv(&config! { type: "ConvAWS" }, &arguments).unwrap();
        load(&*module, &tensors, &format!("{name}/state:"));
        state_is_close(&*module, &tensors, &format!("{name}/loaded:"));
        three_steps(&*module, &tensors, name);
    }
}
