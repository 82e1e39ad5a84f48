//! At which size a module is traced and checked before it is fused.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mmcv::fuse::{FuseOptions, fuse, fuse_owned};
use mmcv::layers::observe::of_size;
use mmcv::layers::{Parts, Result};
use mmcv::prelude::*;
use tch::{Device, Kind, Tensor};

use crate::fuse_inputs::Written;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

fn same(module: &dyn Forward, fused: &dyn Forward, shape: &[i64], what: &str) {
    let input = Tensor::randn(shape, FLOAT);
    let expected = tch::no_grad(|| module.forward(&input.copy())).unwrap();
    let found = fused.forward(&input).unwrap();
    assert_eq!(found.size(), expected.size(), "{what}");
    assert!(found.allclose(&expected, 1e-4, 1e-4, false), "{what}: {}", (found - expected).abs().max());
}

thread_local! {
    static RUNS: Cell<bool> = const { Cell::new(false) };
}

/// A convolution with batch norm and ReLU that notes the largest number of elements it was called with.
#[derive(Debug)]
struct Counting {
    inner: ConvModule,
    largest: Arc<AtomicUsize>,
    dropped: Arc<AtomicBool>,
}

impl Counting {
    fn new() -> Self {
        tch::manual_seed(0);
        let inner = conv_module(3, 8, 3, dict! { norm_cfg: { type: "BN" }, padding: 1, stride: 2 }).unwrap();
        inner.train(false);
        Self { inner, largest: Arc::default(), dropped: Arc::default() }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

impl Forward for Counting {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let largest = self.largest.clone();
        RUNS.set(true);
        // Nothing is asked; later calls are about sizes that it is not run at.
        of_size(input, move |size| {
            if RUNS.get() {
                largest.fetch_max(size.iter().product::<i64>().unsigned_abs() as usize, Ordering::Relaxed);
            }
        })?;
        RUNS.set(false);
        self.inner.forward(input)
    }
}

impl Module for Counting {
    fn class(&self) -> &'static [&'static str] {
        &["Counting"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.child("inner", &self.inner);
    }
}

#[test]
fn a_module_that_asks_nothing_is_run_at_a_smaller_size() {
    let module = Counting::new();
    let fused = fuse(&module, &[5, 3, 224, 129], &FuseOptions::default()).unwrap();
    assert_eq!(module.largest.load(Ordering::Relaxed), 2 * 3 * 64 * 65);
    for shape in [[5, 3, 224, 129], [1, 3, 30, 40]] {
        same(&module, &fused, &shape, "reduced");
    }
    let module = Counting::new();
    let mut options = FuseOptions::default();
    options.full_size = true;
    let fused = fuse(&module, &[5, 3, 224, 129], &options).unwrap();
    assert_eq!(module.largest.load(Ordering::Relaxed), 5 * 3 * 224 * 129);
    same(&module, &fused, &[5, 3, 224, 129], "full size");
}

#[test]
fn a_module_that_is_given_away_is_dropped() {
    let module = Counting::new();
    let dropped = module.dropped.clone();
    let fused = fuse_owned(Box::new(module), &[2, 3, 128, 128], &FuseOptions::default()).unwrap();
    assert!(dropped.load(Ordering::Relaxed));
    for shape in [[2, 3, 128, 128], [1, 3, 64, 40], [2, 3, 128, 128]] {
        same(&Counting::new(), &fused, &shape, "given away");
    }
}

/// What these do at a smaller size is not what they do at their own.
#[test]
fn a_smaller_size_that_does_not_tell_the_same_is_not_used() {
    type Forward = fn(&Tensor) -> Result<Tensor>;
    let modules: [Forward; 10] = [
        |x| Ok(if x.size()[2] > 100 { x.f_neg()? } else { x.f_relu()? }),
        |x| Ok(if x.size()[0] > 2 { x.f_neg()? } else { x.f_relu()? }),
        |x| Ok(x.f_mul_scalar(x.numel() as f64)?),
        |x| Ok(x.f_add(&Tensor::f_arange(x.size()[3], FLOAT)?)?),
        // One element is left at 64, and at 193 three.
        |x| Ok(x.f_max_pool2d(64, 64, 0, 1, false)?.f_squeeze()?),
        // These fail at a smaller size.
        |x| Ok(x.f_narrow(2, 0, 190)?),
        |x| Ok(x.f_flatten(1, -1)?.f_matmul(&Tensor::f_ones([3 * 193 * 193, 2], FLOAT)?)?.f_mul_scalar(1e-5)?),
        |x| Ok(x.f_reshape([4, -1])?),
        // An error decides.
        |x| x.f_narrow(2, 0, 100).or_else(|_| x.f_neg()).map_err(Into::into),
        // A view of one picture is contiguous.
        |x| {
            let part = x.f_narrow(1, 0, 2)?.f_contiguous()?;
            let _ = part.shallow_clone().f_relu_()?;
            Ok(part.f_add(&x.f_narrow(1, 1, 2)?)?)
        },
    ];
    for (index, forward) in modules.into_iter().enumerate() {
        let module = Written(forward);
        let fused = fuse(&module, &[4, 3, 193, 193], &FuseOptions::default()).unwrap();
        same(&module, &fused, &[4, 3, 193, 193], &format!("module {index}"));
    }
}

#[test]
fn networks_at_a_reduced_size_have_the_same_numbers() {
    let configs = [
        config! { type: "ResNet", depth: 18, base_channels: 8, stem_channels: 8 },
        config! { type: "Res2Net", depth: 50, base_channels: 8, stem_channels: 8, scales: 4, base_width: 26 },
        config! { type: "MobileNetV2", widen_factor: 0.25 },
        config! { type: "Conv2dAdaptivePadding", in_channels: 3, out_channels: 4, kernel_size: 5, stride: 3 },
        config! { type: "PatchEmbed", in_channels: 3, embed_dims: 8, kernel_size: 4, stride: 4, padding: "corner" },
    ];
    for config in configs {
        tch::manual_seed(0);
        let network = build_model(&config).unwrap();
        network.train(false);
        for shape in [[1, 3, 128, 160], [3, 3, 128, 97]] {
            let fused = fuse(&*network, &shape, &FuseOptions::default()).unwrap();
            let input = Tensor::randn(shape, FLOAT);
            let expected = tch::no_grad(|| network.call(&[&input], &dict! {})).unwrap().into_vec();
            let found = fused.call(&[&input], &dict! {}).unwrap().into_vec();
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.size(), expected.size(), "{config}, {shape:?}");
                assert!(found.allclose(expected, 1e-4, 1e-4, false), "{config}, {shape:?}");
            }
        }
    }
}
