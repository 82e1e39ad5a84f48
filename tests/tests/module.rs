//! What every module offers: names, modes, devices, types, and the bridge to tch.

use mmcv::layers::{TchModule, named_modules};
use mmcv::prelude::*;
use mmcv_tests::device;
use tch::nn::{ModuleT, OptimizerConfig};
use tch::{Device, Kind, Tensor};

fn bundle() -> ConvModule {
    conv_module(3, 8, 3, dict! { norm_cfg: { type: "BN" } }).unwrap()
}

fn input() -> Tensor {
    Tensor::randn([2, 3, 8, 8], (Kind::Float, Device::Cpu))
}

#[test]
fn names_are_in_the_order_of_the_reference() {
    let names = |tensors: Vec<(String, Tensor)>| tensors.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let module = bundle();
    assert_eq!(names(module.named_parameters()), ["conv.weight", "bn.weight", "bn.bias"]);
    assert_eq!(names(module.named_buffers()), ["bn.running_mean", "bn.running_var", "bn.num_batches_tracked"]);
    let all = ["conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked"];
    assert_eq!(names(module.state_dict()), all);
    let modules: Vec<_> = named_modules(&module).into_iter().map(|(name, module)| (name, module.name())).collect();
    let modules: Vec<_> = modules.iter().map(|(name, class)| (name.as_str(), *class)).collect();
    assert_eq!(modules, [("", "ConvModule"), ("conv", "Conv2d"), ("bn", "BatchNorm2d"), ("activate", "ReLU")]);
    assert_eq!(module.parameter_count(), 3 * 8 * 9 + 16);
}

#[test]
fn evaluation_mode_leaves_the_statistics_alone() {
    let module = bundle();
    let batches = |module: &ConvModule| module.named_buffers()[2].1.int64_value(&[]);
    let _ = module.forward(&input()).unwrap();
    assert_eq!(batches(&module), 1);
    module.train(false);
    let _ = module.forward(&input()).unwrap();
    assert_eq!(batches(&module), 1);
}

#[test]
fn optimizers_of_tch_train_the_module() {
    let device = device().unwrap();
    tch::manual_seed(0);
    let module = bundle();
    module.to_device(device).unwrap();
    let store = module.var_store();
    assert_eq!(store.trainable_variables().len(), 3);
    assert_eq!(store.variables().len(), 6);
    let mut optimizer = tch::nn::Sgd::default().build(&store, 0.1).unwrap();
    let input = input().to_device(device);
    let before = module.named_parameters()[0].1.copy();
    let mut losses = Vec::new();
    for _ in 0..20 {
        let loss = module.forward(&input).unwrap().square().mean(Kind::Float);
        optimizer.backward_step(&loss);
        losses.push(loss.double_value(&[]));
    }
    assert!(losses[19] < 0.5 * losses[0], "{losses:?}");
    assert!(!before.equal(&module.named_parameters()[0].1), "the module's own weight has to change");
}

#[test]
fn a_module_is_a_tch_module() {
    let wrapped = TchModule::new(Box::new(bundle()));
    let input = input();
    let trained = wrapped.forward_t(&input, true);
    assert_eq!(trained.size(), [2, 8, 6, 6]);
    let evaluated = wrapped.forward_t(&input, false);
    assert!(!trained.allclose(&evaluated, 1e-5, 1e-5, false), "the mode has to reach the batch norm");
}

#[test]
fn types_change_together_and_counters_stay_integers() {
    let module = bundle();
    module.to_kind(Kind::Double).unwrap();
    let kinds: Vec<_> = module.state_dict().iter().map(|(_, tensor)| tensor.kind()).collect();
    assert_eq!(kinds, [Kind::Double, Kind::Double, Kind::Double, Kind::Double, Kind::Double, Kind::Int64]);
    let _ = module.forward(&input().to_kind(Kind::Double)).unwrap();
    assert!(module.to_kind(Kind::Int64).is_err());
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    if tch::Cuda::is_available() {
        return println!("did not run: there is a CUDA device");
    }
    let error = bundle().to_device(Device::Cuda(0)).unwrap_err().to_string();
    assert!(error.contains("CUDA") || error.contains("NVIDIA driver"), "{error}");
    assert!(error.lines().count() == 1, "{error}");
}

#[test]
fn errors_name_the_module() {
    let cfg = config! { type: "MobileNetV2" };
    let error = build_model(&cfg).unwrap().forward(&Tensor::zeros([1, 4, 32, 32], (Kind::Float, Device::Cpu)));
    let message = error.unwrap_err().to_string();
    assert!(message.starts_with("conv1.conv: "), "{message}");
    assert!(message.contains("has 4 channels") && message.lines().count() == 1, "{message}");
}

#[test]
fn the_layout_of_the_input_changes_no_number() {
    let device = device().unwrap();
    tch::manual_seed(0);
    let batch = || Tensor::randn([2, 4, 6, 6], (Kind::Float, Device::Cpu)).to_device(device);
    for cfg in [
        config! { type: "ConvModule", in_channels: 4, out_channels: 8, kernel_size: 3, norm_cfg: { type: "BN" } },
        config! { type: "ConvModule", in_channels: 4, out_channels: 8, kernel_size: 3, padding: 1, padding_mode: "reflect" },
        config! { type: "GN", num_groups: 2, num_channels: 4 },
        config! { type: "IN", num_features: 4 },
        config! { type: "PReLU", num_parameters: 4 },
        config! { type: "bilinear", scale_factor: 2 },
        config! { type: "pixel_shuffle", in_channels: 4, out_channels: 2, scale_factor: 2, upsample_kernel: 3 },
        config! { type: "NonLocal2d", in_channels: 4, zeros_init: false },
        config! { type: "ContextBlock", in_channels: 4, ratio: 0.5 },
        config! { type: "GeneralizedAttention", in_channels: 4, num_heads: 2 },
        config! { type: "ConvWS", in_channels: 4, out_channels: 2, kernel_size: 3 },
    ] {
        let module = build_model(&cfg).unwrap();
        module.to_device(device).unwrap();
        module.train(false);
        let input = batch();
        let expected = module.forward(&input).unwrap();
        // The same numbers, with the channels of a pixel side by side, and as every second column of a wider image.
        let channels_last = input.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        let columns = Tensor::stack(&[&input, &batch()], -1).select(-1, 0);
        for (layout, strided) in [("channels last", channels_last), ("columns", columns)] {
            assert!(!strided.is_contiguous());
            let found = module.forward(&strided).unwrap();
            assert!(found.allclose(&expected, 1e-5, 1e-5, false), "{layout}: {cfg}");
        }
    }
}
