//! Rules of initialization beyond what parity cases can say: loaded weights, one's own initializers, what is reported.

use mmcv::checkpoint::{SaveOptions, load_state_dict, save_checkpoint};
use mmcv::layers;
use mmcv::layers::init::{self, Initializer};
use mmcv::layers::observe::observe;
use mmcv::layers::{ModuleExt, Result};
use mmcv::prelude::*;
use tch::Tensor;

/// A network of two bricks and a linear layer; `init_cfg` is its own.
fn network(init_cfg: Config) -> Box<dyn Module> {
    let brick = config! { type: "Sequential", modules: [{ type: "Conv2d", in_channels: 2, out_channels: 3, kernel_size: 1 }],
    init_cfg: { type: "Constant", layer: "Conv2d", val: 5 } };
    let modules = config! { brick: brick, fc: { type: "Linear", in_features: 3, out_features: 2 } };
    tch::manual_seed(0);
    build_model(&config! { type: "Sequential", modules: modules, init_cfg: init_cfg }).unwrap()
}

fn weight(module: &dyn Module, name: &str) -> Vec<f64> {
    let parameters = module.named_parameters();
    let (_, tensor) = parameters.iter().find(|(own, _)| own == name).unwrap();
    Vec::try_from(tensor.flatten(0, -1).to_kind(tch::Kind::Double)).unwrap()
}

/// The network's state with every value replaced, without tensors that begin with `left_out`.
fn sevens(module: &dyn Module, left_out: &str) -> Vec<(String, Tensor)> {
    let state = module.state_dict().into_iter().filter(|(name, _)| left_out.is_empty() || !name.starts_with(left_out));
    state.map(|(name, tensor)| (name, tensor.full_like(7.0))).collect()
}

#[test]
fn loaded_weights_are_never_initialized_again() {
    let rule = config! { type: "Constant", layer: ["Conv2d", "Linear"], val: 1 };
    let module = network(rule.clone());
    load_state_dict(&*module, &sevens(&*module, ""), &LoadOptions::default()).unwrap();
    module.init_weights().unwrap();
    assert!(weight(&*module, "brick.0.weight").iter().chain(&weight(&*module, "fc.weight")).all(|value| *value == 7.0));

    // Where a part was loaded as a whole, the rest is initialized.
    let module = network(rule);
    let options = LoadOptions { strict: false, ..LoadOptions::default() };
    load_state_dict(&*module, &sevens(&*module, "fc"), &options).unwrap();
    module.init_weights().unwrap();
    assert!(weight(&*module, "brick.0.weight").iter().all(|value| *value == 7.0));
    assert!(weight(&*module, "fc.weight").iter().all(|value| *value == 1.0));
}

/// mmdetection's and mmpretrain's old key, in place of an `init_cfg`.
#[test]
fn pretrained_is_a_key_of_networks() {
    let folder = tempfile::tempdir().unwrap();
    let backbone = dict! { type: "MobileNetV2", widen_factor: 0.1, out_indices: [0] };
    let classifier = dict! { type: "ImageClassifier", backbone: backbone.clone() };
    for (index, config) in [dict! { type: "HRNet", arch: "w18" }, classifier, backbone].into_iter().enumerate() {
        let with = |more: Dict| build_model(&config.clone().into_iter().chain(more).collect::<Dict>().into());
        let file = folder.path().join(format!("{index}.pth"));
        let donor = with(dict! { pretrained: null }).unwrap();
        save_checkpoint(&*donor, &file, &SaveOptions::default()).unwrap();
        let module = with(dict! { pretrained: file.to_str().unwrap() }).unwrap();
        module.init_weights().unwrap();
        assert_eq!(module.state_dict(), donor.state_dict(), "{config}");
        // mmpretrain's classifier prefers it, mmdetection's networks want one of both.
        let both = with(dict! { pretrained: "a.pth", init_cfg: { type: "Kaiming", layer: "Conv2d" } });
        let refused = both.err().is_some_and(|error| error.to_string().contains("pretrained"));
        assert_eq!(refused, config.get("backbone").is_none(), "{config}");
    }
}

#[test]
fn pretrained_weights_come_last_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.pth");
    let donor = network(Config::Null);
    load_state_dict(&*donor, &sevens(&*donor, ""), &LoadOptions::default()).unwrap();
    save_checkpoint(&*donor, &file, &SaveOptions::default()).unwrap();

    let checkpoint = file.to_str().unwrap();
    let module = network(Config::List(vec![
        config! { type: "Pretrained", checkpoint: checkpoint },
        config! { type: "Constant", layer: "Linear", val: 1 },
    ]));
    let (done, log) = observe(|| module.init_weights());
    done.unwrap();
    assert!(weight(&*module, "fc.weight").iter().all(|value| *value == 7.0));
    let parameters = module.named_parameters();
    let initial = log.initial(&parameters[0].1).unwrap();
    assert_eq!((initial.values.as_str(), initial.by.as_str()), ("loaded", "init_cfg[0] (Pretrained)"));
    module.init_weights().unwrap();
    assert!(weight(&*module, "brick.0.weight").iter().all(|value| *value == 7.0));

    // Only a part, under a prefix.
    let module = network(config! { type: "Pretrained", checkpoint: checkpoint, prefix: "brick" });
    let error = module.init_weights().unwrap_err().to_string();
    assert!(error.contains("weights.pth"), "names without the prefix fit nowhere: {error}");
    let missing = network(config! { type: "Pretrained", checkpoint: "/nowhere/weights.pth" });
    assert!(missing.init_weights().unwrap_err().to_string().contains("/nowhere/weights.pth"));
    let empty = network(config! { type: "Pretrained", checkpoint: "" }).init_weights().unwrap_err().to_string();
    assert!(empty.starts_with("init_cfg.checkpoint: it is empty, a placeholder"), "{empty}");
}

#[test]
fn a_rule_that_matches_nothing_is_reported_with_the_classes_that_are_there() {
    let module = network(Config::List(
        ["Linear", "LN"].map(|layer| config! { type: "Constant", layer: layer, val: 1 }).to_vec(),
    ));
    let (done, log) = observe(|| module.init_weights());
    done.unwrap();
    let [text] = log.unmatched_rules.as_slice() else { panic!("{:?}", log.unmatched_rules) };
    assert!(
        text.starts_with("init_cfg[1] (Constant): no module in Sequential is of class LN; its classes are Conv2d"),
        "{text}"
    );
}

#[test]
fn an_override_may_name_a_property() {
    let brick =
        config! { type: "ConvModule", in_channels: 2, out_channels: 3, kernel_size: 1, norm_cfg: { type: "BN" } };
    let module = build_model(&brick).unwrap();
    let norm = module.attribute("norm").unwrap();
    assert_eq!(norm.name(), "BatchNorm2d");
    assert!(module.attribute("bn").is_some() && module.attribute("gn").is_none());
    let outer = config! { type: "Sequential", modules: [brick], init_cfg: {
    type: "Constant", val: 1, override: { name: "1", type: "Constant", val: 2 } } };
    let error = build_model(&outer).unwrap().init_weights().unwrap_err().to_string();
    assert!(error.contains("init_cfg.override.name") && error.contains("it has 0"), "{error}");
}

#[derive(Debug)]
struct Twos;

impl Initializer for Twos {
    fn initialize(&self, module: &dyn Module) -> Result<()> {
        init::constant_init(module, 2.0, 2.0)
    }

    fn layers(&self) -> &[String] {
        static LAYERS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| vec!["Linear".to_owned()]);
        &LAYERS
    }
}

#[test]
fn a_program_can_register_an_initializer() {
    MODELS.initializers.replace(Spec::new("Twos", |_, _| Ok(Box::new(Twos))));
    let module = network(config! { type: "Twos" });
    module.init_weights().unwrap();
    assert_eq!(weight(&*module, "fc.bias"), [2.0, 2.0]);
}

#[test]
fn without_draws_random_values_are_zero_and_the_generator_is_not_used() {
    let next = || Tensor::rand([1], (tch::Kind::Float, tch::Device::Cpu)).double_value(&[0]);
    let module = init::without_draws(|| network(config! { type: "TruncNormal", layer: "Linear", std: 0.1, bias: 3 }));
    let first = next();
    tch::manual_seed(0);
    assert_eq!(first, next());
    assert!(weight(&*module, "fc.weight").iter().all(|value| *value == 0.0));
    module.init_weights().unwrap();
    assert!(weight(&*module, "fc.weight").iter().all(|value| *value != 0.0), "drawn outside");
    assert!(weight(&*module, "fc.bias").iter().all(|value| *value == 3.0));
}

#[test]
fn a_network_built_without_draws_has_its_constants() {
    let module = init::without_draws(|| build_model(&config! { type: "MobileNetV2", widen_factor: 0.1 })).unwrap();
    for (name, tensor) in module.state_dict() {
        let constant = name.contains("bn.");
        assert!(constant || tensor.abs().max().double_value(&[]) == 0.0, "{name}");
    }
}

#[test]
fn pretrained_is_known_to_the_registries_that_have_it() {
    assert!(MODELS.initializers.get("Pretrained").is_some());
    assert!(layers::MODELS.initializers.get("Pretrained").is_none(), "the registry of mmcv-layers is another one");
    let config = config! { type: "Sequential", init_cfg: { type: "Pretrained", checkpoint: "none.pth" } };
    let error = Builder::new(&layers::MODELS).model(&config).unwrap_err().to_string();
    assert!(error.starts_with("init_cfg.type: ") && error.contains("the registry of mmcv-models has it"), "{error}");
}
