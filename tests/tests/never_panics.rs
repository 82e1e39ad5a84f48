//! Random configs and shapes give values or errors, and never a panic.

use mmcv::layers::{Builder, Module};
use mmcv::prelude::*;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

/// Values that people write, and values that they should not write.
fn value() -> impl Strategy<Value = Config> {
    let leaf = prop_oneof![
        (-3i64..9).prop_map(Config::Int),
        prop_oneof![Just(0.1), Just(-1.5), Just(0.0), Just(f64::NAN), Just(f64::INFINITY), Just(1e300)]
            .prop_map(Config::Float),
        prop_oneof![
            Just(i64::MAX),
            Just(i64::MIN),
            Just(i64::MAX - 1),
            Just(1 << 62),
            Just(1 << 42),
            Just(10i64.pow(15)),
            Just(-(1 << 42))
        ]
        .prop_map(Config::Int),
        any::<bool>().prop_map(Config::Bool),
        Just(Config::Null),
        prop_oneof![Just("same"), Just("auto"), Just("reflect"), Just("tanh"), Just("BN"), Just("")]
            .prop_map(Config::from),
        prop_oneof![Just("BN"), Just("GN"), Just("ReLU"), Just("Conv1d"), Just("Nothing")]
            .prop_map(|name| config! { type: name }),
    ];
    prop_oneof![4 => leaf.clone(), 1 => prop::collection::vec(leaf, 0..5).prop_map(Config::List)]
}

/// A registered type with some of its arguments, now and then with one that it does not have.
fn layer() -> impl Strategy<Value = Config> {
    let specs = MODELS.specs();
    (0..specs.len(), prop::collection::vec((any::<prop::sample::Index>(), value()), 0..6)).prop_map(
        move |(index, pairs)| {
            let spec = &specs[index];
            let names: Vec<&str> = spec.fields.iter().map(|field| field.name).chain(["unknown"]).collect();
            let mut cfg = dict! { type: spec.name };
            // Mostly valid, so that the forward pass is reached too.
            for field in spec.fields.iter().filter(|field| field.default.is_none()) {
                cfg.insert(field.name, 4);
            }
            for (name, value) in pairs {
                cfg.insert(*name.get(&names), value);
            }
            Config::Dict(cfg)
        },
    )
}

fn run(module: &dyn Module, shape: &[i64], training: bool) {
    module.train(training);
    let _ = module.init_weights();
    let input = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let _ = module.forward(&input);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_layers(cfg in layer(), shape in prop::collection::vec(0i64..7, 0..6), training: bool) {
        if let Ok(module) = build_model(&cfg) {
            run(&*module, &shape, training);
        }
    }

    #[test]
    fn random_norms(cfg in layer(), channels in value(), shape in prop::collection::vec(0i64..7, 0..6)) {
        if let Ok((_, module)) = Builder::new(&MODELS).norm(&cfg, channels, "") {
            run(&*module, &shape, true);
        }
    }
}

/// Every argument of every type, one after the other, with values at the limits: arithmetic on them must not overflow, and
/// memory that is not there must be an error.
#[test]
fn extreme_arguments() {
    let extremes = [i64::MIN, -1, 0, 1 << 42, 1 << 62, i64::MAX].map(Config::Int);
    let floats = [f64::NAN, f64::NEG_INFINITY, -1.0, 1e30, f64::MAX].map(Config::Float);
    for spec in MODELS.specs() {
        for field in spec.fields {
            for value in extremes.iter().chain(&floats) {
                let mut cfg = dict! { type: spec.name };
                for required in spec.fields.iter().filter(|field| field.default.is_none()) {
                    cfg.insert(required.name, 4);
                }
                cfg.insert(field.name, value.clone());
                if let Ok(module) = build_model(&Config::Dict(cfg)) {
                    run(&*module, &[2, 4, 5, 5], true);
                }
            }
        }
    }
}

#[test]
fn undefined_tensors() {
    for spec in MODELS.specs() {
        let mut cfg = dict! { type: spec.name };
        for required in spec.fields.iter().filter(|field| field.default.is_none()) {
            cfg.insert(required.name, 4);
        }
        if let Ok(module) = build_model(&Config::Dict(cfg)) {
            let _ = module.forward(&Tensor::new());
        }
    }
}
