//! [`Autocast`]: parts of a forward pass in half precision.

use tch::{Device, Kind};

use crate::bridge::{self, AutocastState, HalfPrecision};
use crate::error::{Error, Result};

/// Computes convolutions, linear layers and matrix products in half precision, as `torch.autocast` does.
///
/// Weights stay as they are, and are cast once in each [`run`](Self::run); gradients have the weights' type. On the CPU, bfloat16 pays
/// with AVX-512 BF16 or AMX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autocast {
    is_cuda: bool,
    /// `None` to switch autocast off.
    dtype: Option<Kind>,
}

impl Autocast {
    /// Autocast on this type of device to `Kind::BFloat16` or `Kind::Half`.
    ///
    /// # Errors
    ///
    /// Fails for other types, and for devices other than the CPU and CUDA.
    pub fn new(device: Device, dtype: Kind) -> Result<Self> {
        if !matches!(dtype, Kind::BFloat16 | Kind::Half) {
            let found = format!("{dtype:?}");
            return Err(Error::Argument { name: "dtype", found, expected: "BFloat16 or Half" });
        }
        Ok(Self { is_cuda: is_cuda(device)?, dtype: Some(dtype) })
    }

    /// No autocast on this type of device: for a part of what another [`run`](Self::run) runs.
    ///
    /// # Errors
    ///
    /// Fails for devices other than the CPU and CUDA.
    pub fn off(device: Device) -> Result<Self> {
        Ok(Self { is_cuda: is_cuda(device)?, dtype: None })
    }

    /// Runs `work`, a forward pass and its loss, with autocast on this thread. The backward pass belongs behind it. Afterwards, also
    /// after a panic, autocast is as it was.
    ///
    /// # Errors
    ///
    /// Fails if libtorch has no autocast for the device.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let (enabled, dtype) = match self.dtype {
            None => (false, HalfPrecision::BFloat16),
            Some(Kind::Half) => (true, HalfPrecision::Float16),
            Some(_) => (true, HalfPrecision::BFloat16),
        };
        let before = bridge::set_autocast(self.is_cuda, &AutocastState { enabled, dtype })?;
        let _restore = Restore { is_cuda: self.is_cuda, before };
        bridge::enter_autocast()?;
        Ok(work())
    }
}

/// Sets autocast as it was when it goes out of scope.
struct Restore {
    is_cuda: bool,
    before: AutocastState,
}

impl Drop for Restore {
    fn drop(&mut self) {
        // These fail for devices without autocast, for which there would be no `Restore`.
        let _ = bridge::leave_autocast();
        let _ = bridge::set_autocast(self.is_cuda, &self.before);
    }
}

fn is_cuda(device: Device) -> Result<bool> {
    match device {
        Device::Cpu => Ok(false),
        Device::Cuda(_) => Ok(true),
        other => Err(Error::Argument { name: "device", found: format!("{other:?}"), expected: "the CPU or CUDA" }),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use mmcv_layers::{Forward, ModuleExt};
    use mmcv_registry::{config, dict};
    use tch::{Device, Kind, Tensor};

    use super::Autocast;

    fn product_kind() -> Kind {
        let matrix = Tensor::ones([4, 4], tch::kind::FLOAT_CPU);
        matrix.matmul(&matrix).kind()
    }

    #[test]
    fn products_are_in_half_precision_inside_only() {
        let bf16 = Autocast::new(Device::Cpu, Kind::BFloat16).unwrap();
        let f16 = Autocast::new(Device::Cpu, Kind::Half).unwrap();
        let off = Autocast::off(Device::Cpu).unwrap();
        let kinds = bf16
            .run(|| (product_kind(), off.run(product_kind).unwrap(), f16.run(product_kind).unwrap(), product_kind()));
        assert_eq!(kinds.unwrap(), (Kind::BFloat16, Kind::Float, Kind::Half, Kind::BFloat16));
        assert_eq!(product_kind(), Kind::Float);
    }

    #[test]
    fn a_panic_ends_autocast() {
        let bf16 = Autocast::new(Device::Cpu, Kind::BFloat16).unwrap();
        let failed = catch_unwind(AssertUnwindSafe(|| bf16.run(|| Vec::<u8>::new()[0])));
        assert!(failed.is_err());
        assert_eq!(product_kind(), Kind::Float);
    }

    #[test]
    fn other_threads_are_as_before() {
        let bf16 = Autocast::new(Device::Cpu, Kind::BFloat16).unwrap();
        let kind = bf16.run(|| std::thread::spawn(product_kind).join()).unwrap();
        assert_eq!(kind.unwrap(), Kind::Float);
    }

    /// The cast of a weight is kept only inside one `run`: later changes of the weight count.
    #[test]
    fn changed_weights_are_cast_again() {
        let bf16 = Autocast::new(Device::Cpu, Kind::BFloat16).unwrap();
        let mut weight = Tensor::ones([2, 2], tch::kind::FLOAT_CPU).set_requires_grad(true);
        let input = Tensor::ones([1, 2], tch::kind::FLOAT_CPU);
        let before = bf16.run(|| input.linear(&weight, None::<&Tensor>)).unwrap();
        let _ = tch::no_grad(|| weight.fill_(3.0));
        let after = bf16.run(|| input.linear(&weight, None::<&Tensor>)).unwrap();
        assert_eq!((before.double_value(&[0, 0]), after.double_value(&[0, 0])), (2.0, 6.0));
    }

    /// The gradient of a convolution, in the precision of bfloat16.
    #[test]
    fn gradients_are_those_of_f32() {
        let arguments = dict! { in_channels: 8, out_channels: 16, kernel_size: 3 };
        tch::manual_seed(0);
        let layer = mmcv_layers::build_conv_layer(&config! { type: "Conv2d" }, &arguments).unwrap();
        let input = Tensor::randn([2, 8, 12, 12], tch::kind::FLOAT_CPU);
        let loss = || layer.forward(&input).unwrap().to_kind(Kind::Float).square().mean(Kind::Float);
        let (_, weight) = layer.named_parameters().swap_remove(0);
        loss().backward();
        let expected = weight.grad().copy();
        let _ = weight.grad().zero_();
        Autocast::new(Device::Cpu, Kind::BFloat16).unwrap().run(loss).unwrap().backward();
        assert_eq!(weight.grad().kind(), Kind::Float);
        let difference =
            (weight.grad() - &expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[]);
        assert!((1e-6..0.02).contains(&difference), "{difference}");
    }

    #[test]
    fn other_types_and_devices_are_refused() {
        let error = Autocast::new(Device::Cpu, Kind::Double).unwrap_err();
        assert_eq!(error.to_string(), "dtype is Double: expected BFloat16 or Half");
        let error = Autocast::off(Device::Vulkan).unwrap_err();
        assert_eq!(error.to_string(), "device is Vulkan: expected the CPU or CUDA");
    }
}
