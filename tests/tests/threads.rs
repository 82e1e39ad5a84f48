//! Modules stay on the thread that made them; fused forms may move and be shared. See docs/decisions/0002-threads.md.

use mmcv::bricks::{ConvModule, transformer};
use mmcv::fuse::{FuseOptions, Fused, fuse};
use mmcv::layers::{self, Module, TchModule};
use mmcv::models;
use mmcv::prelude::*;
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

/// Has two implementations for what is `Send`, so that naming the method of such a type does not compile.
trait Unclear<A> {
    fn holds() {}
}
struct Sent;
impl<T: ?Sized> Unclear<()> for T {}
impl<T: ?Sized + Send> Unclear<Sent> for T {}

macro_rules! not_send {
    ($($type:ty),* $(,)?) => { $(<$type as Unclear<_>>::holds();)* };
}

#[test]
fn no_module_that_holds_tensors_can_be_sent() {
    not_send!(Box<dyn Module>, &dyn Module, layers::NotSend, layers::Training);
    not_send!(layers::conv::Conv, layers::conv::ConvTranspose, layers::conv::ConvWS2d, layers::conv::ConvAWS2d);
    not_send!(layers::norm::BatchNorm, layers::norm::InstanceNorm, layers::norm::GroupNorm, layers::norm::LayerNorm);
    not_send!(layers::activation::PReLU, layers::Linear, layers::scale::Scale, layers::scale::LayerScale);
    not_send!(layers::Sequential, layers::ModuleList, layers::ModuleDict, layers::upsample::PixelShufflePack);
    not_send!(ConvModule, transformer::PatchEmbed, transformer::MultiheadAttention, transformer::FFN);
    not_send!(models::ResNet, models::MobileNetV2, models::VGG, models::HRNet, models::AlexNet);
    not_send!(models::ImageClassifier, models::GeneralizedMeanPooling, models::LinearClsHead);
}

#[test]
fn a_fused_form_is_shared_by_threads_while_its_module_changes() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    let module = conv_module(3, 8, 3, dict! { norm_cfg: { type: "BN" } }).unwrap();
    module.train(false);
    let fused: Fused = fuse(&module, &[1, 3, 16, 16], &FuseOptions::default()).unwrap();
    shared(&fused);
    let ones = || Tensor::ones([1, 3, 16, 16], (Kind::Float, Device::Cpu));
    let expected = Vec::<f32>::try_from(fused.forward(&ones()).unwrap().flatten(0, -1)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (fused, expected) = (fused.clone(), &expected);
            scope.spawn(move || {
                for _ in 0..50 {
                    let found = Vec::<f32>::try_from(fused.forward(&ones()).unwrap().flatten(0, -1)).unwrap();
                    assert_eq!(&found, expected);
                }
            });
        }
        for _ in 0..100 {
            module.to_kind(Kind::Double).unwrap();
            module.to_kind(Kind::Float).unwrap();
        }
    });
}

#[test]
fn a_module_of_tch_moves_and_is_used_on_its_own_thread_only() {
    let module = || build_activation_layer(&config! { type: "ReLU" }).unwrap();
    let input = || Tensor::from_slice(&[-1.0f32, 2.0]);
    let wrapped = TchModule::new(module());
    assert_eq!(Vec::<f32>::try_from(wrapped.forward_t(&input(), false)).unwrap(), [0.0, 2.0]);
    let moved = std::thread::spawn(move || wrapped.forward_t(&input(), false).numel());
    let message = *moved.join().unwrap_err().downcast::<&str>().unwrap();
    assert!(message.contains("another thread"), "{message}");
    let wrapped = TchModule::new(module());
    std::thread::spawn(move || drop(wrapped)).join().unwrap();
}
