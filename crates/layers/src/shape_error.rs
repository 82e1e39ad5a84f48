//! Explains which argument of a layer an input does not fit, from the shapes alone.
//!
//! libtorch checks most shapes, so these functions run only after it has rejected an input, and the normal path pays
//! nothing.

use tch::{TchError, Tensor};

use crate::{Error, ErrorKind, ShapeMismatch};

/// The input that a layer expects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// The class.
    pub(crate) class: &'static str,
    /// The number of spatial dimensions.
    pub(crate) dims: usize,
    /// The argument for the channels, and its value.
    pub(crate) channels: (&'static str, i64),
    /// Size of the kernel, dilation and padding, of layers with a kernel.
    pub(crate) kernel: Option<Kernel<'a>>,
}

/// A kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel<'a> {
    pub(crate) size: &'a [i64],
    pub(crate) dilation: &'a [i64],
    /// Pixels on both sides of each dimension.
    pub(crate) padding: &'a [i64],
}

impl Expected<'_> {
    /// Explains why libtorch rejected an input with `refusal`, or returns that error.
    pub(crate) fn explain(&self, input: &Tensor, refusal: TchError) -> Error {
        match self.mismatch(&input.size()) {
            Some(mismatch) => Error::new(ErrorKind::Shape(mismatch)),
            None => refusal.into(),
        }
    }

    /// The mismatch in the number of dimensions, the channels, or the kernel.
    pub(crate) fn mismatch(&self, shape: &[i64]) -> Option<ShapeMismatch> {
        let Self { class, dims, channels: (argument, channels), kernel } = *self;
        let spatial = match shape {
            [_, _, spatial @ ..] if spatial.len() == dims => spatial,
            [_, spatial @ ..] if spatial.len() == dims => spatial,
            _ => return Some(wrong_rank(class, dims, channels, shape)),
        };
        let found = *shape.get(shape.len() - dims - 1)?;
        if found != channels {
            let mut mismatch = wrong_channels(argument, channels, found, shape);
            if shape.len() == dims + 1 {
                mismatch.found.push_str(", read without a batch dimension");
            }
            return Some(mismatch);
        }
        self.kernel_mismatch(kernel?, spatial, shape)
    }

    fn kernel_mismatch(&self, kernel: Kernel<'_>, spatial: &[i64], shape: &[i64]) -> Option<ShapeMismatch> {
        let Kernel { size, dilation, padding } = kernel;
        for (((pixels, size), dilation), padding) in spatial.iter().zip(size).zip(dilation).zip(padding) {
            let reach = dilation.saturating_mul(size - 1).saturating_add(1);
            let padded = pixels.saturating_add(padding.saturating_mul(2));
            if reach > padded {
                let dilated = if *dilation == 1 { String::new() } else { format!(" with dilation {dilation}") };
                let needed = (reach - pixels + 1).div_euclid(2);
                return Some(ShapeMismatch {
                    argument: "kernel_size",
                    value: format!("{:?}{dilated}", kernel.size),
                    input: shape.to_vec(),
                    found: format!("has only {padded} pixels in one dimension, padding included"),
                    change: format!("use a smaller kernel, a padding of at least {needed}"),
                    remedy: "use larger inputs".to_owned(),
                });
            }
        }
        None
    }
}

/// The mismatch of an input with another number of channels or features.
pub(crate) fn wrong_channels(argument: &'static str, value: i64, found: i64, shape: &[i64]) -> ShapeMismatch {
    ShapeMismatch {
        argument,
        value: value.to_string(),
        input: shape.to_vec(),
        found: format!("has {found} {}", if argument == "in_features" { "features" } else { "channels" }),
        change: format!("set {argument} to {found}"),
        remedy: format!("have the previous layer output {value}"),
    }
}

/// The mismatch of an input with another number of dimensions.
fn wrong_rank(class: &'static str, dims: usize, channels: i64, shape: &[i64]) -> ShapeMismatch {
    let spatial = ["", ", L", ", H, W", ", D, H, W"].get(dims).copied().unwrap_or_default();
    let change = match sibling(class, shape.len()) {
        Some(sibling) => format!("use {sibling}"),
        None => String::new(),
    };
    ShapeMismatch {
        argument: "type",
        value: class.to_owned(),
        input: shape.to_vec(),
        found: format!("has {} dimensions", shape.len()),
        change,
        remedy: format!("pass a {}D input of shape [N, {channels}{spatial}]", dims + 2),
    }
}

/// The class for inputs of that rank: `Conv3d` for `Conv2d` and rank 5.
fn sibling(class: &str, rank: usize) -> Option<String> {
    let stem = class.strip_suffix('d')?.strip_suffix(['1', '2', '3'])?;
    match rank {
        3..=5 => Some(format!("{stem}{}d", rank - 2)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mmcv_registry::Config;

    use super::*;

    const CONV: Expected<'_> = Expected {
        class: "Conv2d",
        dims: 2,
        channels: ("in_channels", 3),
        kernel: Some(Kernel { size: &[7, 7], dilation: &[1, 1], padding: &[1, 1] }),
    };

    #[test]
    fn a_value_of_a_config_is_known_again() {
        let mismatch = CONV.mismatch(&[1, 8, 9, 9]).unwrap();
        assert!(mismatch.has_value(&Config::Int(3)) && !mismatch.has_value(&Config::Int(8)));
        assert_eq!(mismatch.arguments()[..2], ["in_channels", "in_features"]);
        let text = mismatch.clone().with_argument("embed_dims").to_string();
        assert!(text.starts_with("embed_dims is 3") && text.contains("set embed_dims to 8, or have"), "{text}");
        assert!(mismatch.without_change().to_string().ends_with("has 8 channels; have the previous layer output 3"));
        let kernel = CONV.mismatch(&[1, 3, 4, 4]).unwrap();
        assert!(kernel.has_value(&Config::Int(7)) && kernel.has_value(&Config::from([7, 7])));
        assert!(!kernel.has_value(&Config::Int(5)) && !kernel.has_value(&Config::from([7, 3])));
        assert!(CONV.mismatch(&[1, 3, 9, 9, 9]).unwrap().has_value(&"Conv2d".into()));
    }

    #[test]
    fn says_what_does_not_fit_and_what_to_change() {
        let text = |shape: &[i64]| CONV.mismatch(shape).map(|mismatch| mismatch.to_string());
        assert_eq!(
            text(&[1, 8, 9, 9]).as_deref(),
            Some(
                "in_channels is 3, but the input of shape [1, 8, 9, 9] has 8 channels; set in_channels to 8, or have the \
                 previous layer output 3"
            )
        );
        assert_eq!(
            text(&[1, 3, 9, 4]).as_deref(),
            Some(
                "kernel_size is [7, 7], but the input of shape [1, 3, 9, 4] has only 6 pixels in one dimension, padding \
                 included; use a smaller kernel, a padding of at least 2, or use larger inputs"
            )
        );
        assert_eq!(
            text(&[1, 3, 9, 9, 9]).as_deref(),
            Some(
                "type is Conv2d, but the input of shape [1, 3, 9, 9, 9] has 5 dimensions; use Conv3d, or pass a 4D input \
                 of shape [N, 3, H, W]"
            )
        );
        assert_eq!(text(&[3, 9, 9]), None, "without a batch dimension");
        assert!(text(&[]).is_some());
    }
}
