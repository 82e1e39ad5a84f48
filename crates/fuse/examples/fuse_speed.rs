//! Times a network as it is and fused, in turns: `cargo run --release -p mmcv-fuse --example fuse_speed -- CONFIG [BATCH] [RUNS]
//! [f32|bf16]`, where CONFIG is a dict in YAML such as `{type: MobileNetV2}`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::time::Instant;

use mmcv_fuse::{Dtype, FuseOptions, fuse};
use mmcv_layers::{Builder, Module};
use mmcv_registry::Config;
use tch::{Tensor, kind::FLOAT_CPU};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize| arguments.get(index).map(String::as_str);
    let cfg = Config::from_yaml(argument(0).unwrap_or("{type: MobileNetV2}")).unwrap();
    let batch = argument(1).map_or(1, |batch| batch.parse().unwrap());
    let runs = argument(2).map_or(20, |runs| runs.parse().unwrap());
    let mut options = FuseOptions::default();
    if argument(3) == Some("bf16") {
        options.dtype = Dtype::Bf16;
    }
    tch::manual_seed(0);
    let module = Builder::new(&mmcv_models::MODELS).model(&cfg).unwrap();
    module.train(false);
    let shape = [batch, 3, 224, 224];
    let start = Instant::now();
    let fused = fuse(&*module, &shape, &options).unwrap();
    println!("fused in {:.0} ms: {}", start.elapsed().as_secs_f64() * 1e3, fused.summary());
    let input = Tensor::randn(shape, FLOAT_CPU);
    let _guard = tch::no_grad_guard();
    let time = |module: &dyn Module| {
        let start = Instant::now();
        let output = module.call(&[&input], &mmcv_registry::Dict::new()).unwrap();
        drop(output);
        start.elapsed().as_secs_f64() * 1e3
    };
    let (mut eager, mut quick) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        eager.push(time(&*module));
        quick.push(time(&fused));
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2], times[0])
    };
    let ((eager, eager_best), (quick, quick_best)) = (median(&mut eager), median(&mut quick));
    println!(
        "eager {eager:.2} ms (best {eager_best:.2}), fused {quick:.2} ms (best {quick_best:.2}), ratio {:.2} (best {:.2})",
        eager / quick,
        eager_best / quick_best
    );
}
