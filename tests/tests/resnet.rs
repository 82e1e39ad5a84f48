//! What the cases of ResNet's family cannot say: which parameters are trained, and what `pretrained` does.

use mmcv::checkpoint::{SaveOptions, load_state_dict, save_checkpoint};
use mmcv::layers::Module;
use mmcv::prelude::*;
use tch::{Device, Kind, Tensor};

/// A narrow network with two stages, with more options.
fn network(kind: &str, more: Dict) -> Box<dyn Module> {
    let mut cfg = dict! { type: kind, depth: 50, stem_channels: 8, base_channels: 4, num_stages: 2, strides: [1, 2] };
    for (key, value) in dict! { dilations: [1, 1], out_indices: [0, 1] }.iter().chain(more.iter()) {
        cfg.insert(key, value.clone());
    }
    build_model(&Config::Dict(cfg)).unwrap()
}

/// The names of the module's direct children that hold a tensor for which `holds` is true of the module and of the same
/// after a change.
fn children_where(
    state: &[(String, Tensor)],
    after: &[(String, Tensor)],
    holds: impl Fn(&str, &Tensor, &Tensor) -> bool,
) -> Vec<String> {
    let named = state.iter().zip(after).filter(|((name, before), (_, after))| holds(name, before, after));
    let mut children: Vec<String> =
        named.map(|((name, _), _)| name.split('.').next().unwrap_or_default().to_owned()).collect();
    children.dedup();
    children
}

/// The children whose running statistics a forward pass in training changes.
fn adapting(network: &dyn Module) -> Vec<String> {
    let copy = |state: Vec<(String, Tensor)>| state.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
    let before: Vec<(String, Tensor)> = copy(network.state_dict());
    let _output = network.forward(&Tensor::randn([2, 3, 32, 32], (Kind::Float, Device::Cpu))).unwrap();
    children_where(&before, &network.state_dict(), |_, before, after| before != after)
}

/// The children with parameters that are trained.
fn trained(network: &dyn Module) -> Vec<String> {
    let parameters = network.named_parameters();
    children_where(&parameters, &parameters, |_, parameter, _| parameter.requires_grad())
}

#[test]
fn frozen_stages_are_not_trained() {
    for (kind, stem) in [("ResNet", &["conv1", "bn1"][..]), ("ResNetV1c", &["stem"]), ("ResNeXt", &["conv1", "bn1"])] {
        let all = |frozen: usize| -> Vec<&str> {
            let layers = ["layer1", "layer2"];
            if frozen == 0 { [stem, &layers[..]].concat() } else { layers[frozen - 1..].to_vec() }
        };
        for frozen in 0..=3 {
            let network = network(kind, dict! { frozen_stages: frozen as i64 - 1 });
            assert_eq!(trained(&*network), all(frozen), "{kind}, after the build");
            network.init_weights().unwrap();
            network.train(false);
            network.train(true);
            assert_eq!(trained(&*network), all(frozen), "{kind}, in training");
            let adapting = adapting(&*network);
            let with_norms: Vec<&str> = all(frozen).into_iter().filter(|name| *name != "conv1").collect();
            assert_eq!(adapting, with_norms, "{kind}");
        }
    }
}

#[test]
fn norm_eval_keeps_the_statistics_and_trains_the_parameters() {
    let network = network("ResNetV1d", dict! { norm_eval: true, norm_cfg: { type: "SyncBN" } });
    network.train(true);
    assert!(adapting(&*network).is_empty());
    assert_eq!(trained(&*network), ["stem", "layer1", "layer2"]);
}

#[test]
fn parameters_of_norms_are_not_trained_where_the_norm_says_so() {
    let network = network("ResNet", dict! { norm_cfg: { type: "BN", requires_grad: false } });
    let trained = network.named_parameters().into_iter().filter(|(_, parameter)| parameter.requires_grad());
    assert!(trained.into_iter().all(|(name, _)| name.contains("conv") || name.contains("downsample.0")));
}

/// A network that is built with `pretrained` has the weights of the file after `init_weights`: nothing is set to 0.
#[test]
fn pretrained_weights_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.pth");
    let source = network("ResNet", dict! {});
    save_checkpoint(&*source, &file, &SaveOptions::default()).unwrap();
    let checkpoint = file.to_str().unwrap();
    let rule = config! { type: "Pretrained", checkpoint: checkpoint };
    for options in [dict! { pretrained: checkpoint }, dict! { init_cfg: rule.clone() }] {
        let network = network("ResNet", options);
        network.init_weights().unwrap();
        assert_eq!(network.state_dict(), source.state_dict());
    }
    // In a list the reference does not see the rule.
    let listed = network("ResNet", dict! { init_cfg: Config::List(vec![rule]) });
    listed.init_weights().unwrap();
    let state = listed.state_dict();
    let last_norm = state.iter().find(|(name, _)| name == "layer1.0.bn3.weight").unwrap();
    assert_eq!(last_norm.1.abs().max().double_value(&[]), 0.0);
}

/// mmdetection puts the convolutions, norms and activations of a deep stem into one row: the weights of
/// `open-mmlab://resnet50_v1c` and `open-mmlab://res2net101_v1d_26w_4s` have these names.
#[test]
fn deep_stems_have_mmdetections_names_too() {
    for kind in ["ResNetV1c", "ResNetV1d", "Res2Net"] {
        let row = |name: String| match name.split('.').collect::<Vec<_>>()[..] {
            ["stem", index, part, tensor] => {
                let number = 3 * index.parse::<usize>().unwrap() + usize::from(part == "bn");
                format!("stem.{number}.{tensor}")
            }
            _ => name,
        };
        let (source, network) = (network(kind, dict! {}), network(kind, dict! {}));
        let state: Vec<_> = source.state_dict().into_iter().map(|(name, tensor)| (row(name), tensor)).collect();
        let report = load_state_dict(&*network, &state, &LoadOptions::default()).unwrap();
        assert!(report.is_complete(), "{kind}: {report}");
        assert_eq!(report.layout.as_deref(), Some("dialect mmdet"), "{kind}");
        assert_eq!(network.state_dict(), source.state_dict(), "{kind}");
    }
}

/// The same width and groups by parameters as by name; and those that torchvision rounds in another way.
#[test]
fn regnets_by_parameters() {
    let shapes = |arch: Config| -> Vec<(String, Vec<i64>)> {
        let network = build_model(&config! { type: "RegNet", arch: arch }).unwrap();
        network.state_dict().into_iter().map(|(name, tensor)| (name, tensor.size())).collect()
    };
    let parameters = config! { w0: 24, wa: 24.48, wm: 2.54, group_w: 16, depth: 22, bot_mul: 1.0 };
    assert_eq!(shapes("regnetx_400mf".into()), shapes(parameters));
    let torchvision = config! { w0: 24, wa: 24.8, wm: 2.56, group_w: 16, depth: 22, bot_mul: 1 };
    let last = shapes(torchvision).into_iter().rfind(|(name, _)| name.ends_with("conv2.weight")).unwrap();
    assert_eq!(last, ("layer4.11.conv2.weight".to_owned(), vec![400, 16, 3, 3]));
}

/// The dilation of the 3x3 convolution of each block of a stage, as Python shows it.
fn dilations(network: &dyn Module, stage: &str) -> Vec<String> {
    let modules = mmcv::layers::named_modules(network);
    let convs = modules.iter().filter(|(name, _)| name.starts_with(stage) && name.ends_with("conv2"));
    convs
        .map(|(_, conv)| {
            let text = conv.extra_repr();
            let dilation = text.split("dilation=(").nth(1).and_then(|rest| rest.split(',').next());
            dilation.unwrap_or("1").to_owned()
        })
        .collect()
}

#[test]
fn dilation_is_contracted_and_gridded_as_in_mmsegmentation() {
    let build = |options: &str| {
        let cfg = format!("{{depth: 50, strides: [1, 2, 1, 1], dilations: [1, 1, 2, 4], {options}}}");
        build_model(&Config::from_yaml(&cfg).unwrap())
    };
    let of = |options: &str| {
        let network = build(options).unwrap();
        [dilations(&*network, "layer2."), dilations(&*network, "layer3."), dilations(&*network, "layer4.")]
            .map(|stage| stage.join(" "))
    };
    let plain = of("type: ResNetV1c");
    assert_eq!(plain, ["1 1 1 1", "2 2 2 2 2 2", "4 4 4"]);
    let contracted = of("type: ResNetV1c, contract_dilation: true");
    assert_eq!(contracted, ["1 1 1 1", "1 2 2 2 2 2", "2 4 4"]);
    assert_eq!(of("type: ResNet, contract_dilation: true, multi_grid: [1, 2, 4]"), ["1 1 1 1", "1 2 2 2 2 2", "1 2 4"]);
    assert_eq!(of("type: ResNetV1d, multi_grid: [2, 4, 8, 16]"), ["1 1 1 1", "2 2 2 2 2 2", "2 4 8"]);
    assert_eq!(of("type: ResNeXt, contract_dilation: true"), contracted);
    for (options, told) in [
        ("type: ResNet, multi_grid: [1, 2]", "multi_grid: expected 3 integers, one for each block of the last stage"),
        ("type: ResNet, multi_grid: [1, 0, 2]", "multi_grid[1]: expected at least 1"),
        ("type: ResNet, multi_grid: 3", "multi_grid: expected a list"),
        ("type: ResNet, contract_dilation: 1", "contract_dilation: expected true or false"),
    ] {
        let error = build(options).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    // The map keeps its size, and the numbers are those of a network that is built.
    let network = build("type: ResNetV1c, contract_dilation: true").unwrap();
    network.train(false);
    let output = network.predict(&Tensor::zeros([1, 3, 64, 64], (Kind::Float, Device::Cpu))).unwrap();
    assert_eq!((output.size(), output.requires_grad()), (vec![1, 2048, 8, 8], false));
}

#[test]
fn no_stem_channels_are_the_base_channels() {
    let stem = |options: &str| {
        let cfg = format!("{{depth: 18, {options}}}");
        build_model(&Config::from_yaml(&cfg).unwrap()).unwrap().state_dict()[0].1.size()[0]
    };
    for (options, channels) in [
        ("type: ResNet, stem_channels: null", 64),
        ("type: ResNet, stem_channels: null, base_channels: 32", 32),
        ("type: ResNet, base_channels: 32", 64),
        ("type: ResNet, stem_channels: 16, base_channels: 32", 16),
        ("type: ResNetV1d, stem_channels: null, base_channels: 32", 16),
        ("type: mmdet.ResNet, base_channels: 24", 24),
    ] {
        assert_eq!(stem(options), channels, "{options}");
    }
}

#[test]
fn types_of_other_libraries_are_found() {
    let build = |cfg: &str| build_model(&Config::from_yaml(cfg).unwrap());
    for (cfg, class) in [
        ("{type: mmdet.ResNet, depth: 18}", "ResNet"),
        ("{type: mmcls.MobileNetV2}", "MobileNetV2"),
        ("{type: mmpretrain.VGG, depth: 11}", "VGG"),
        ("{type: mmpretrain.models.ResNet, depth: 18}", "ResNet"),
        ("{type: mmseg.ResNetV1c, depth: 18}", "ResNetV1c"),
        ("{type: ResNet, _scope_: mmdet, depth: 18}", "ResNet"),
        ("{type: mmcv.cnn.ConvModule, in_channels: 3, out_channels: 8, kernel_size: 3}", "ConvModule"),
        ("{type: mmcv.cnn.bricks.ConvModule, in_channels: 3, out_channels: 8, kernel_size: 3}", "ConvModule"),
        ("{type: torch.nn.ReLU}", "ReLU"),
        ("{type: torch.nn.modules.activation.ReLU}", "ReLU"),
        ("{type: torch.nn.Conv2d, in_channels: 3, out_channels: 8, kernel_size: 3}", "Conv2d"),
        ("{type: torch.nn.BatchNorm2d, num_features: 3}", "BatchNorm2d"),
        ("{type: torch.nn.Dropout}", "Dropout"),
        ("{type: mmengine.ReLU}", "ReLU"),
        ("{type: mmengine.model.Sequential, modules: []}", "Sequential"),
    ] {
        let built = build(cfg).map(|module| module.name()).map_err(|error| error.to_string());
        assert_eq!(built, Ok(class), "{cfg}");
    }
    for (cfg, told) in [
        ("{type: nosuch.ResNet, depth: 18}", "there is no scope \"nosuch\"; the scopes are mmengine"),
        ("{type: ResNet, depth: 18, _scope_: nosuch}", "_scope_: expected the name of a scope"),
        ("{type: mmdet.ResNett, depth: 18}", "did you mean \"ResNet\""),
        ("{type: torch.optim.SGD}", "there is no scope \"torch.optim\""),
        ("{type: DCN}", "it is of mmcv.ops"),
        ("{type: mmcv.ops.RoIAlign}", "it is of mmcv.ops"),
        (
            "{type: ConvModule, in_channels: 3, out_channels: 8, kernel_size: 3, conv_cfg: {type: DCNv2}}",
            "conv_cfg.type: \"DCNv2\"",
        ),
    ] {
        let error = build(cfg).unwrap_err().to_string();
        assert!(error.contains(told), "{cfg}: {error}");
    }
    // Without a word of it, mmdetection's networks give four stages, and keep their batch norms in evaluation mode.
    let stages = |cfg: &str| {
        let network = build(cfg).unwrap();
        network.call(&[&Tensor::zeros([1, 3, 64, 64], (Kind::Float, Device::Cpu))], &dict! {}).unwrap().shapes().len()
    };
    assert_eq!(stages("{type: mmdet.ResNet, depth: 18}"), 4);
    assert_eq!(stages("{type: mmseg.ResNet, depth: 18}"), 4);
    assert_eq!(stages("{type: mmdet.ResNet, depth: 18, out_indices: [2]}"), 1);
    assert_eq!(stages("{type: mmpretrain.ResNet, depth: 18}"), 1);
    // mmdetection counts the stages of MobileNetV2 from 1.
    let channels = |cfg: &str| {
        let network = build(cfg).unwrap();
        let input = Tensor::zeros([1, 3, 64, 64], (Kind::Float, Device::Cpu));
        let shapes = network.call(&[&input], &dict! {}).unwrap().shapes();
        shapes.iter().map(|shape| shape[1]).collect::<Vec<_>>()
    };
    assert_eq!(channels("{type: mmdet.MobileNetV2}"), [16, 24, 64, 320]);
    assert_eq!(channels("{type: mmdet.MobileNetV2, out_indices: [2, 6]}"), [24, 160]);
    assert_eq!(channels("{type: mmseg.MobileNetV2}"), [24, 32, 96, 320]);
    assert_eq!(channels("{type: mmcls.MobileNetV2, out_indices: [2, 6]}"), [32, 320]);
}
