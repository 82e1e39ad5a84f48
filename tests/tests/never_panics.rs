//! Random configs and inputs give values or errors, and never a panic.
//!
//! `PROPTEST_CASES=20000` runs more than the usual number of cases.

use mmcv::layers::{Builder, Module};
use mmcv::prelude::*;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tch::{Device, Kind, Tensor};

/// Values that people write, and values that they should not write.
fn value() -> impl Strategy<Value = Config> {
    let small = prop_oneof![
        (-3i64..9).prop_map(Config::Int),
        prop_oneof![Just(0.1), Just(-1.5), Just(0.0), Just(0.5), Just(2.0)].prop_map(Config::Float),
        any::<bool>().prop_map(Config::Bool),
        Just(Config::Null),
    ];
    let extreme = prop_oneof![
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
        prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(1e300), Just(f64::MIN_POSITIVE)]
            .prop_map(Config::Float),
    ];
    let words = prop::sample::select(vec![
        "same",
        "valid",
        "auto",
        "default",
        "reflect",
        "circular",
        "tanh",
        "BN",
        "att",
        "avg",
        "channel_mul",
        "concatenation",
        "gaussian",
        "channels_first",
        "corner",
        "1010",
        "0000",
        "self_attn",
        "norm",
        "ffn",
        "",
    ])
    .prop_map(Config::from);
    let part = prop::sample::select(vec![
        config! { type: "BN" },
        config! { type: "BN1d", momentum: Config::Null, track_running_stats: false },
        config! { type: "GN", num_groups: 2 },
        config! { type: "LN" },
        config! { type: "IN", affine: true },
        config! { type: "ReLU" },
        config! { type: "Tanh" },
        config! { type: "Conv1d" },
        config! { type: "ConvAWS" },
        config! { type: "deconv" },
        config! { type: "DropPath", drop_prob: 0.5 },
        config! { type: "FFN", embed_dims: 4 },
        config! { type: "MultiheadAttention", embed_dims: 4, num_heads: 2 },
        config! { type: "Xavier", layer: "Linear", distribution: "uniform" },
        config! { type: "Constant", val: 1, override: { name: "conv" } },
        config! { type: "Nothing" },
    ]);
    let leaf = prop_oneof![4 => small, 1 => extreme, 2 => words, 2 => part];
    prop_oneof![4 => leaf.clone(), 1 => prop::collection::vec(leaf, 0..6).prop_map(Config::List)]
}

/// A value for an argument that has no default, with which most types can be built.
fn usual(name: &str) -> Config {
    match name {
        "attn_cfgs" => config! { type: "MultiheadAttention", embed_dims: 4, num_heads: 2 },
        "operation_order" => vec!["self_attn", "norm", "cross_attn", "ffn"].into(),
        "transformerlayers" => config! {
            type: "BaseTransformerLayer",
            attn_cfgs: { type: "MultiheadAttention", embed_dims: 4, num_heads: 2 },
            operation_order: ["self_attn", "norm"],
        },
        "ratio" => 0.5.into(),
        "ffn_cfgs" => config! { type: "FFN", embed_dims: 4 },
        "backbone" => config! { type: "MobileNetV2", widen_factor: 0.1 },
        "depth" => 50.into(),
        "arch" => config! { w0: 8, wa: 0.0, wm: 2.0, group_w: 4, depth: 2, bot_mul: 1.0 },
        "num_stages" => 1.into(),
        "strides" | "dilations" => vec![1].into(),
        "out_indices" => vec![0].into(),
        "num_heads" | "num_groups" | "num_layers" => 2.into(),
        _ => 4.into(),
    }
}

/// A type with its required arguments.
fn smallest(index: usize) -> Dict {
    let specs = MODELS.specs();
    let spec = &specs[index];
    let mut cfg = dict! { type: spec.name };
    for field in spec.fields.iter().filter(|field| field.default.is_none()) {
        cfg.insert(field.name, usual(field.name));
    }
    let network =
        ["in_channels", "stem_channels", "base_channels", "num_stages", "strides", "dilations", "out_indices"];
    for name in ["num_heads", "ffn_cfgs"].into_iter().chain(network) {
        if spec.fields.iter().any(|field| field.name == name) {
            cfg.insert(name, usual(name));
        }
    }
    // What is called as in other types, and means something else.
    match spec.name {
        "VGG" => drop(cfg.insert("depth", 11)),
        "HRFuseScales" | "FPN" => drop(cfg.insert("in_channels", vec![4])),
        "MobileNetV2" => {
            cfg.insert("strides", vec![1, 2, 2, 2, 1, 2, 1]);
            cfg.insert("dilations", vec![1; 7]);
        }
        "HRNet" => drop(cfg.insert("extra", small_stages())),
        _ => {}
    }
    cfg
}

/// The stages of a small HRNet.
fn small_stages() -> Config {
    let stage = |channels: &[i64]| {
        config! {
            num_modules: 1,
            num_branches: channels.len() as i64,
            block: "BASIC",
            num_blocks: vec![1; channels.len()],
            num_channels: channels.to_vec(),
        }
    };
    config! { stage1: stage(&[4]), stage2: stage(&[4, 8]), stage3: stage(&[4, 8, 8]), stage4: stage(&[4, 8, 8, 8]) }
}

/// A registered type with some of its arguments, now and then with one that it does not have.
fn layer() -> impl Strategy<Value = Config> {
    let specs = MODELS.specs();
    (0..specs.len(), prop::collection::vec((any::<prop::sample::Index>(), value()), 0..5)).prop_map(
        move |(index, pairs)| {
            let names: Vec<&str> = specs[index].fields.iter().map(|field| field.name).chain(["unknown"]).collect();
            let mut cfg = smallest(index);
            for (name, value) in pairs {
                cfg.insert(*name.get(&names), value);
            }
            Config::Dict(cfg)
        },
    )
}

/// An input of any shape and type; often with the 4 channels that the layers have.
fn input() -> impl Strategy<Value = Tensor> {
    let any_shape = prop::collection::vec(0i64..7, 0..6);
    let usual_shape = (0i64..3, prop::collection::vec(1i64..7, 0..4))
        .prop_map(|(samples, spatial)| [&[samples, 4], spatial.as_slice()].concat());
    let tokens = (1i64..5, 1i64..3).prop_map(|(length, samples)| vec![length, samples, 4]);
    let kinds = prop_oneof![
        8 => Just(Kind::Float),
        1 => prop::sample::select(vec![
            Kind::Double, Kind::Half, Kind::BFloat16, Kind::Int64, Kind::Uint8, Kind::Bool, Kind::ComplexFloat
        ]),
    ];
    let fill = prop::sample::select(vec![0.0, 1.0, -1e30, f64::NAN, f64::INFINITY]);
    (prop_oneof![1 => any_shape, 2 => usual_shape, 1 => tokens], kinds, fill).prop_map(|(shape, kind, fill)| {
        let values = Tensor::full(shape, fill, (Kind::Float, Device::Cpu));
        values.to_kind(kind)
    })
}

/// An option of a forward pass.
fn options() -> impl Strategy<Value = Dict> {
    let names = prop::sample::select(vec!["activate", "norm", "input_size", "unknown"]);
    prop::collection::vec((names, value()), 0..2).prop_map(|pairs| pairs.into_iter().collect())
}

fn run(module: &dyn Module, inputs: &[Tensor], options: &Dict, training: bool) {
    module.train(training);
    let _ = module.init_weights();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let _ = module.call(&inputs, options);
    if let Some(input) = inputs.first() {
        let _ = module.forward(input);
    }
}

/// The seeds of failures, which are committed and tried first.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/never_panics.txt");

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: Some(Box::new(FileFailurePersistence::Direct(SEEDS))), ..ProptestConfig::default() })]

    #[test]
    fn random_layers(
        cfg in layer(),
        inputs in prop::collection::vec(input(), 0..9),
        options in options(),
        training: bool,
    ) {
        if let Ok(module) = build_model(&cfg) {
            run(&*module, &inputs, &options, training);
        }
    }

    #[test]
    fn one_input(cfg in layer(), input in input(), training: bool) {
        if let Ok(module) = build_model(&cfg) {
            run(&*module, &[input], &Dict::new(), training);
        }
    }

    #[test]
    fn random_builders(cfg in layer(), name in value(), beside in value(), input in input()) {
        let builder = Builder::new(&MODELS);
        let arguments: Dict = [("in_channels", name.clone()), ("out_channels", beside.clone()), ("padding", beside)]
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect();
        let built = [
            builder.conv(&cfg, &arguments),
            builder.upsample(&cfg, &arguments),
            builder.padding(&cfg, &arguments),
            builder.activation(&cfg),
            builder.plugin(&cfg, 1, &arguments).map(|(_, module)| module),
            builder.norm(&cfg, name, "").map(|(_, module)| module),
        ];
        for module in built.into_iter().flatten() {
            run(&*module, &[input.shallow_clone()], &Dict::new(), true);
        }
    }
}

/// Every argument of every type, one after the other, with values at the limits: arithmetic on them must not overflow, and
/// memory that is not there must be an error.
#[test]
fn extreme_arguments() {
    let extremes = [i64::MIN, -1, 0, 1 << 42, 1 << 62, i64::MAX].map(Config::Int);
    let floats = [f64::NAN, f64::NEG_INFINITY, -1.0, 1e30, f64::MAX].map(Config::Float);
    let inputs = [[2, 4, 5, 5].as_slice(), &[3, 2, 4]].map(|shape| Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
    for (index, spec) in MODELS.specs().iter().enumerate() {
        for field in spec.fields {
            for value in extremes.iter().chain(&floats) {
                let mut cfg = smallest(index);
                cfg.insert(field.name, value.clone());
                if let Ok(module) = build_model(&Config::Dict(cfg)) {
                    for input in &inputs {
                        run(&*module, &[input.shallow_clone()], &Dict::new(), true);
                    }
                }
            }
        }
    }
}

/// The smallest config of each type is one with which the tests above reach the forward pass.
#[test]
fn smallest_configs_can_be_built() {
    let failures: Vec<String> = (0..MODELS.specs().len())
        .filter_map(|index| {
            let cfg = smallest(index);
            build_model(&Config::Dict(cfg.clone())).err().map(|error| format!("{}: {error}", Config::Dict(cfg)))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn undefined_tensors() {
    for index in 0..MODELS.specs().len() {
        if let Ok(module) = build_model(&Config::Dict(smallest(index))) {
            let _ = module.forward(&Tensor::new());
            let undefined = Tensor::new();
            let _ = module.call(&[&undefined; 8], &Dict::new());
        }
    }
}
