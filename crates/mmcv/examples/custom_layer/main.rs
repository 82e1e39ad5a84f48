//! A custom layer, registered with one call and built from a dict.
#![allow(clippy::print_stdout)]

use mmcv::layers::Result;
use mmcv::prelude::*;
use tch::{Kind, Tensor};

/// Arguments of `MyUpsample`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(crate = mmcv::registry)]
struct MyUpsampleConfig {
    /// Factor by which height and width grow.
    scale_factor: i64,
}

/// Repeats every pixel.
#[derive(Debug)]
struct MyUpsample {
    scale_factor: i64,
}

impl Forward for MyUpsample {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let wide = input.f_repeat_interleave_self_int(self.scale_factor, 3, None)?;
        Ok(wide.f_repeat_interleave_self_int(self.scale_factor, 2, None)?)
    }
}

impl Module for MyUpsample {
    fn class(&self) -> &'static [&'static str] {
        &["MyUpsample"]
    }
}

impl Layer for MyUpsample {
    const NAME: &'static str = "MyUpsample";
    type Config = MyUpsampleConfig;
    type Module = Self;

    fn build(config: &MyUpsampleConfig, _: &Builder<'_>) -> Result<Self> {
        Ok(Self { scale_factor: config.scale_factor })
    }
}

/// Registers the type, builds it and runs it.
#[allow(unreachable_pub)]
pub fn main() -> Result<()> {
    MODELS.add(MyUpsample::SPEC)?;

    let layer = build_upsample_layer(&config! { type: "MyUpsample", scale_factor: 2 }, &dict! {})?;
    let output = layer.forward(&Tensor::f_ones([1, 3, 4, 4], (Kind::Float, tch::Device::Cpu))?)?;
    println!("MyUpsample returns {:?}", output.size());
    assert_eq!(output.size(), [1, 3, 8, 8]);

    // An error about a misspelled key suggests the right one.
    let result = build_upsample_layer(&config! { type: "MyUpsample", scale_facto: 2 }, &dict! {});
    let message = result.err().map(|error| error.to_string()).unwrap_or_default();
    println!("{message}");
    assert!(message.contains("did you mean \"scale_factor\"?"));
    Ok(())
}
