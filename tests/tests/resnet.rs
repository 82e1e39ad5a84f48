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
