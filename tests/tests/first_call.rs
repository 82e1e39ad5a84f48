//! Which types are known does not depend on what was called before: each builder as the first call of a process.

use std::process::Command;

use mmcv::prelude::*;
use mmcv::registry::KeyPath;

/// Names the call that a process makes first.
const CALL: &str = "MMCV_FIRST_CALL";

/// A type of the highest crate, and one of each of the others.
const NAMES: [&str; 3] = ["ImageClassifier", "ConvModule", "ReLU"];

fn block() -> (Config, Dict) {
    (config! { type: "ConvModule" }, dict! { in_channels: 3, out_channels: 8, kernel_size: 3 })
}

fn add_own() {
    MODELS.add(Spec::new("Own", |_, _| build_activation_layer(&config! { type: "ReLU" }))).unwrap();
}

type Call = (&'static str, fn());

const CALLS: &[Call] = &[
    ("plugin", || {
        let (cfg, arguments) = block();
        assert_eq!(build_plugin_layer(&cfg, 1, &arguments).unwrap().0, "conv_block1");
    }),
    ("conv", || {
        let wrong =
            build_conv_layer(&config! { type: "NonLocal2d" }, &dict! { in_channels: 4, kernel: 1 }).unwrap_err();
        assert!(wrong.to_string().contains("expected a type of group \"conv\""), "{wrong}");
    }),
    ("norm", || {
        let wrong = build_norm_layer(&config! { type: "ResNet" }, 3, "").unwrap_err().to_string();
        assert!(wrong.contains("expected a type of group \"norm\""), "{wrong}");
    }),
    ("activation", || {
        let built =
            build_activation_layer(&config! { type: "ConvModule", in_channels: 1, out_channels: 1, kernel_size: 1 });
        assert_eq!(built.unwrap().name(), "ConvModule");
    }),
    ("upsample", || {
        let wrong = build_upsample_layer(&config! { type: "ConvModule" }, &dict! {}).unwrap_err().to_string();
        assert!(!wrong.contains("is not in registry") && !wrong.contains("that is in the registry"), "{wrong}");
    }),
    ("padding", || {
        let wrong = build_padding_layer(&config! { type: "ConvModule" }, &dict! {}).unwrap_err().to_string();
        assert!(!wrong.contains("is not in registry") && !wrong.contains("that is in the registry"), "{wrong}");
    }),
    ("model", || {
        assert_eq!(build_model(&config! { type: "ResNet", depth: 18 }).unwrap().name(), "ResNet");
    }),
    ("conv_module", || {
        let options = dict! { act_cfg: { type: "NonLocal2d", in_channels: 8 } };
        let _ = conv_module(3, 8, 1, options).unwrap();
    }),
    ("default builder", || {
        let (cfg, arguments) = block();
        assert_eq!(Builder::new(&MODELS).plugin(&cfg, "", &arguments).unwrap().0, "conv_block");
    }),
    ("default builder, model", || {
        let cfg = config! { type: "GlobalAveragePooling" };
        assert_eq!(
            Builder::new(&MODELS).at(|path| path.key("neck")).model(&cfg).unwrap().name(),
            "GlobalAveragePooling"
        );
    }),
    ("look-up", || NAMES.iter().for_each(|name| assert!(MODELS.get(name).is_some()))),
    ("names", || NAMES.iter().for_each(|name| assert!(MODELS.names().contains(&(*name).to_owned())))),
    ("own type", || {
        add_own();
        assert!(MODELS.get("ConvModule").is_some());
        assert!(build_activation_layer(&config! { type: "Own" }).is_ok());
        let (cfg, mut arguments) = block();
        arguments.insert("act_cfg", config! { type: "Own" });
        assert!(build_plugin_layer(&cfg, 1, &arguments).is_ok());
        assert!(conv_module(3, 8, 1, dict! { act_cfg: { type: "Own" } }).is_ok());
    }),
    ("own type of a taken name", || {
        assert!(MODELS.add(Spec::new("ResNet", |_, _| build_activation_layer(&config! { type: "ReLU" }))).is_err());
        MODELS.replace(Spec::new("ResNet", |_, _| build_activation_layer(&config! { type: "ReLU" })));
        assert_eq!(build_model(&config! { type: "ResNet" }).unwrap().name(), "ReLU");
    }),
    ("pretrained", || {
        let cfg = config! { type: "Conv2d", in_channels: 1, out_channels: 1, kernel_size: 1 };
        let rule = config! { type: "Pretrained", checkpoint: "nowhere.pth" };
        let list = config! { type: "Sequential", layers: [cfg], init_cfg: rule };
        let error = build_model(&list).and_then(|network| network.init_weights()).unwrap_err().to_string();
        assert!(!error.contains("is not in registry"), "{error}");
    }),
    ("the crates below", || {
        // They never know more than their own types, whatever was called before.
        for _ in 0..2 {
            assert!(mmcv::layers::MODELS.get("ConvModule").is_none() && mmcv::bricks::MODELS.get("ResNet").is_none());
            assert!(mmcv::layers::MODELS.get("ReLU").is_some() && mmcv::bricks::MODELS.get("ConvModule").is_some());
            assert!(MODELS.lookup("ImageClassifier", &KeyPath::root()).is_ok());
        }
        add_own();
        assert!(mmcv::layers::MODELS.get("Own").is_none());
    }),
];

#[test]
fn every_builder_knows_every_type_from_the_start() {
    let program = std::env::current_exe().unwrap();
    for (name, _) in CALLS {
        let mut command = Command::new(&program);
        let said = command.args(["--exact", "first_call::one_call"]).env(CALL, name).output().unwrap();
        assert!(said.status.success(), "{name}:\n{}", String::from_utf8_lossy(&said.stdout));
    }
}

/// Makes the call that the environment names; nothing where it names none.
#[test]
fn one_call() {
    let Ok(wanted) = std::env::var(CALL) else { return };
    let (_, call) = CALLS.iter().find(|(name, _)| *name == wanted).unwrap();
    call();
}
