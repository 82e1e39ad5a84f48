//! Messages that say what is wrong, and networks of many layers.

use mmcv::bricks::transformer::PatchMergingConfig;
use mmcv::layers::explain::{Explanation, repr};
use mmcv::prelude::*;
use tch::{Device, Kind, Tensor};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

fn explained(text: &str, inputs: &[Vec<i64>]) -> Explanation {
    let config = Config::from_yaml(text).unwrap();
    Explanation::new(&Builder::new(&MODELS), &config, true, inputs).unwrap()
}

#[test]
fn default_rules_that_match_nothing_are_no_mistake() {
    let layers = "conv_cfg: {type: ConvWS}, norm_cfg: {type: IN}";
    let networks = [
        format!("{{type: ResNet, depth: 18, {layers}}}"),
        format!("{{type: ResNetV1d, depth: 18, {layers}}}"),
        format!("{{type: MobileNetV2, widen_factor: 0.1, {layers}}}"),
        "{type: VGG, depth: 11, norm_cfg: null}".to_owned(),
    ];
    for network in &networks {
        assert!(explained(network, &[]).unmatched_rules().is_empty(), "{network}");
    }
    let own = "{type: ResNet, depth: 18, init_cfg: [{type: Normal, layer: Conv3d, std: 1.0}]}";
    let unmatched = explained(own, &[]).unmatched_rules().to_vec();
    assert!(unmatched.len() == 1 && unmatched[0].contains("of class Conv3d"), "{unmatched:?}");
}

#[test]
fn patch_merging_says_which_sizes_it_wants() {
    let module = PatchMergingConfig::new(4, 8).build().unwrap();
    let merge = |shape: &[i64], height: i64, width: i64| {
        module
            .merge(&Tensor::zeros(shape, FLOAT), height, width)
            .map(|output| output.size())
            .map_err(|error| error.to_string())
    };
    assert_eq!(merge(&[2, 36, 4], 6, 6), Ok(vec![2, 9, 8]));
    assert_eq!(
        merge(&[2, 35, 4], 6, 6).unwrap_err(),
        "expected [N, 6 * 6, 4] for the input_size 6 x 6, got [2, 35, 4]"
    );
    assert!(
        merge(&[2, 36, 3], 6, 6).unwrap_err().starts_with("expected [N, patches, 4], the in_channels, got [2, 36, 3]")
    );
    assert!(merge(&[36, 4], 6, 6).unwrap_err().starts_with("expected [N, height * width, 4], got [36, 4]"));
    let error = module.forward(&Tensor::zeros([2, 36, 4], FLOAT)).unwrap_err().to_string();
    assert!(error.contains("height and width") && error.contains("input_size: [height, width]"), "{error}");
}

#[test]
fn a_transposed_convolution_pads_with_zeros_only() {
    for (kind, mode) in
        [("deconv", "reflect"), ("deconv3d", "circular"), ("deconv", "zero"), ("ConvTranspose2d", "same")]
    {
        let cfg = config! { type: kind, in_channels: 2, out_channels: 2, kernel_size: 2, padding_mode: mode };
        let error = build_upsample_layer(&cfg, &dict! {}).unwrap_err().to_string();
        assert!(error.starts_with(&format!("padding_mode: expected \"zeros\", got \"{mode}\"")), "{error}");
    }
}

#[test]
fn types_of_mmcv_ops_are_told_as_such() {
    for name in ["DCN", "DCNv2", "SAC", "carafe", "MaskedConv", "MultiScaleDeformableAttention"] {
        let cfg = config! { type: name };
        for error in
            [build_conv_layer(&cfg, &dict! {}), build_activation_layer(&cfg), build_upsample_layer(&cfg, &dict! {})]
        {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(&format!("type: \"{name}\"")) && error.contains("mmcv.ops"), "{error}");
        }
    }
}

#[test]
fn many_layers_take_no_more_than_their_number() {
    const LAYERS: usize = 20_000;
    let layers: String = (0..LAYERS / 2).map(|_| "- {type: PReLU}\n- {type: ReLU}\n").collect();
    let named: String = (0..LAYERS).map(|layer| format!("  layer{layer}: {{type: ReLU}}\n")).collect();
    let list = format!("type: Sequential\nmodules:\n{layers}");
    let explanation = explained(&list, &[vec![1, 2]]);
    let rows = explanation.modules();
    assert_eq!(rows.len(), LAYERS + 1);
    assert!(rows.iter().skip(1).all(|row| row.calls.len() == 1 && row.origin.is_some() && !row.is_default));
    assert_eq!(explanation.module().state_dict().len(), LAYERS / 2);
    assert_eq!(repr(explanation.module()).lines().count(), LAYERS + 2);
    let dict = format!("type: Sequential\nmodules:\n{named}");
    assert_eq!(explained(&dict, &[]).modules().len(), LAYERS + 1);
}

#[test]
fn prediction_computes_no_gradients_on_any_thread() {
    let outputs: Vec<(bool, bool)> = (0..3)
        .map(|_| {
            let worker = std::thread::spawn(|| {
                let module = conv_module(3, 8, 3, dict! { norm_cfg: { type: "BN" } }).unwrap();
                module.train(false);
                let input = Tensor::zeros([1, 3, 8, 8], FLOAT);
                let predicted = module.predict(&input).unwrap().requires_grad();
                (predicted, module.forward(&input).unwrap().requires_grad())
            });
            worker.join().unwrap()
        })
        .collect();
    assert_eq!(outputs, [(false, true); 3]);
}
