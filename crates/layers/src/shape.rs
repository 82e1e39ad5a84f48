//! Inputs that do not fit a layer: found from the shapes alone, and said with the argument to change.
//!
//! libtorch checks most shapes itself, so these functions are asked after it refused, and cost nothing where all is well.

use std::fmt;

use mmcv_registry::Config;
use tch::{TchError, Tensor};

use crate::{Error, ErrorKind};

/// An input whose shape does not fit an argument of the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The argument of the layer, such as `in_channels`; `type` where the layer takes inputs of other dimensions.
    pub argument: &'static str,
    /// Its value.
    pub value: String,
    /// The shape of the input.
    pub input: Vec<i64>,
    /// What the input has in its place, such as `has 8 channels`.
    pub found: String,
    /// What the argument could be instead, such as `set in_channels to 8`; nothing where it cannot be changed.
    pub change: String,
    /// What can be done elsewhere.
    pub remedy: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { argument, value, input, found, .. } = self;
        write!(f, "{argument} is {value}, but the input of shape {input:?} {found}; {}", self.advice())
    }
}

/// Arguments for the same number, of layers and of what hands it on to them.
const SAME: [&str; 6] = ["in_channels", "in_features", "num_features", "num_channels", "embed_dims", "channels"];

impl Misfit {
    /// What can be done.
    #[must_use]
    pub fn advice(&self) -> String {
        if self.change.is_empty() { self.remedy.clone() } else { format!("{}, or {}", self.change, self.remedy) }
    }

    /// The same where the argument cannot be changed by itself.
    #[must_use]
    pub fn without_change(mut self) -> Self {
        self.change.clear();
        self
    }

    /// The same about another argument, which hands its value on to this one.
    #[must_use]
    pub fn of(mut self, argument: &'static str) -> Self {
        self.change = self.change.replace(self.argument, argument);
        self.argument = argument;
        self
    }

    /// The argument, and others that may hand their value on to it.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &'static str> + use<> {
        let own = self.argument;
        let others = if SAME.contains(&own) { &SAME[..] } else { &[] };
        std::iter::once(own).chain(others.iter().copied().filter(move |other| *other != own))
    }

    /// Whether `value` of a config is that of the argument. A size of a kernel may stand for all of its dimensions.
    pub(crate) fn has_value(&self, value: &Config) -> bool {
        let own = self.value.split(" with dilation").next().unwrap_or_default();
        match value {
            Config::Int(size) if own.starts_with('[') => {
                own.trim_matches(['[', ']']).split(", ").all(|own| own == size.to_string())
            }
            Config::Str(text) => text == own,
            value => value.to_json().replace([' ', '\n'], "") == own.replace(' ', ""),
        }
    }
}

/// What a layer expects of its input.
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
    /// Pixels at both ends of each dimension.
    pub(crate) padding: &'a [i64],
}

impl Expected<'_> {
    /// The error of an input that libtorch refused with `error`: what does not fit, or else what libtorch says.
    pub(crate) fn explain(&self, input: &Tensor, error: TchError) -> Error {
        self.misfit(&input.size()).map_or_else(|| error.into(), |misfit| Error::new(ErrorKind::Shape(misfit)))
    }

    /// What does not fit: the number of dimensions, the channels, or the kernel.
    pub(crate) fn misfit(&self, shape: &[i64]) -> Option<Misfit> {
        let Self { class, dims, channels: (argument, channels), kernel } = *self;
        let spatial = match shape {
            [_, _, spatial @ ..] if spatial.len() == dims => spatial,
            [_, spatial @ ..] if spatial.len() == dims => spatial,
            _ => return Some(wrong_rank(class, dims, channels, shape)),
        };
        let found = *shape.get(shape.len() - dims - 1)?;
        if found != channels {
            let mut misfit = wrong_channels(argument, channels, found, shape);
            if shape.len() == dims + 1 {
                misfit.found.push_str(", read without a batch dimension");
            }
            return Some(misfit);
        }
        self.kernel_misfit(kernel?, spatial, shape)
    }

    fn kernel_misfit(&self, kernel: Kernel<'_>, spatial: &[i64], shape: &[i64]) -> Option<Misfit> {
        let dims = spatial.iter().zip(kernel.size).zip(kernel.dilation).zip(kernel.padding);
        for (((pixels, size), dilation), padding) in dims {
            let reach = dilation.saturating_mul(size - 1).saturating_add(1);
            let padded = pixels.saturating_add(padding.saturating_mul(2));
            if reach > padded {
                let dilated = if *dilation == 1 { String::new() } else { format!(" with dilation {dilation}") };
                let needed = (reach - pixels + 1).div_euclid(2);
                return Some(Misfit {
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

/// Channels, or features, of which the input has another number.
pub(crate) fn wrong_channels(argument: &'static str, value: i64, found: i64, shape: &[i64]) -> Misfit {
    Misfit {
        argument,
        value: value.to_string(),
        input: shape.to_vec(),
        found: format!("has {found} {}", if argument == "in_features" { "features" } else { "channels" }),
        change: format!("set {argument} to {found}"),
        remedy: format!("let what comes before give {value}"),
    }
}

fn wrong_rank(class: &'static str, dims: usize, channels: i64, shape: &[i64]) -> Misfit {
    let spatial = ["", ", L", ", H, W", ", D, H, W"].get(dims).copied().unwrap_or_default();
    // `Conv2d` for an input with one spatial dimension more or less is a slip of the digit in its name.
    let other = shape.len().checked_sub(2).filter(|other| (1..=3).contains(other) && class.ends_with('d'));
    let sibling = other.and_then(|other| Some(format!("{}{other}d", class.get(..class.len().checked_sub(2)?)?)));
    Misfit {
        argument: "type",
        value: class.to_owned(),
        input: shape.to_vec(),
        found: format!("has {} dimensions", shape.len()),
        change: sibling.map_or_else(String::new, |sibling| format!("use {sibling}")),
        remedy: format!("give it a {}D input of shape [N, {channels}{spatial}]", dims + 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONV: Expected<'_> = Expected {
        class: "Conv2d",
        dims: 2,
        channels: ("in_channels", 3),
        kernel: Some(Kernel { size: &[7, 7], dilation: &[1, 1], padding: &[1, 1] }),
    };

    #[test]
    fn a_value_of_a_config_is_known_again() {
        let misfit = CONV.misfit(&[1, 8, 9, 9]).unwrap();
        assert!(misfit.has_value(&Config::Int(3)) && !misfit.has_value(&Config::Int(8)));
        assert_eq!(misfit.arguments().take(2).collect::<Vec<_>>(), ["in_channels", "in_features"]);
        let text = misfit.clone().of("embed_dims").to_string();
        assert!(text.starts_with("embed_dims is 3") && text.contains("set embed_dims to 8, or let"), "{text}");
        assert!(misfit.without_change().to_string().ends_with("has 8 channels; let what comes before give 3"));
        let kernel = CONV.misfit(&[1, 3, 4, 4]).unwrap();
        assert!(kernel.has_value(&Config::Int(7)) && kernel.has_value(&Config::from([7, 7])));
        assert!(!kernel.has_value(&Config::Int(5)) && !kernel.has_value(&Config::from([7, 3])));
        assert!(CONV.misfit(&[1, 3, 9, 9, 9]).unwrap().has_value(&"Conv2d".into()));
    }

    #[test]
    fn says_what_does_not_fit_and_what_to_change() {
        let text = |shape: &[i64]| CONV.misfit(shape).map(|misfit| misfit.to_string());
        assert_eq!(
            text(&[1, 8, 9, 9]).as_deref(),
            Some(
                "in_channels is 3, but the input of shape [1, 8, 9, 9] has 8 channels; set in_channels to 8, or let what \
                 comes before give 3"
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
                "type is Conv2d, but the input of shape [1, 3, 9, 9, 9] has 5 dimensions; use Conv3d, or give it a 4D input \
                 of shape [N, 3, H, W]"
            )
        );
        assert_eq!(text(&[3, 9, 9]), None, "without a batch dimension");
        assert!(text(&[]).is_some());
    }
}
