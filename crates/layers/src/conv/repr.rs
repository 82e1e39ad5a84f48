//! The arguments of convolutions as Python shows them. Reference: `_ConvNd.extra_repr` in torch/nn/modules/conv.py.

use crate::explain::python;

/// The arguments; those that are as by default are left out.
pub(super) struct ConvRepr<'a> {
    pub(super) in_channels: i64,
    pub(super) out_channels: i64,
    pub(super) kernel_size: &'a [i64],
    pub(super) stride: &'a [i64],
    /// A tuple, or a word; `None` for 0.
    pub(super) padding: Option<String>,
    pub(super) dilation: &'a [i64],
    pub(super) output_padding: &'a [i64],
    pub(super) groups: i64,
    pub(super) bias: bool,
    pub(super) padding_mode: &'a str,
}

impl ConvRepr<'_> {
    pub(super) fn text(&self) -> String {
        let tuple = |sizes: &[i64]| python::tuple(sizes.iter().copied());
        let unless_all = |default: i64, sizes: &[i64]| sizes.iter().any(|size| *size != default).then(|| tuple(sizes));
        let optional = [
            ("padding", self.padding.clone()),
            ("dilation", unless_all(1, self.dilation)),
            ("output_padding", unless_all(0, self.output_padding)),
            ("groups", (self.groups != 1).then(|| self.groups.to_string())),
            ("bias", (!self.bias).then(|| python::value(false))),
            ("padding_mode", (self.padding_mode != "zeros").then(|| self.padding_mode.to_owned())),
        ];
        let Self { in_channels, out_channels, .. } = self;
        let (kernel_size, stride) = (tuple(self.kernel_size), tuple(self.stride));
        let mut text = format!("{in_channels}, {out_channels}, kernel_size={kernel_size}, stride={stride}");
        for (name, value) in optional {
            if let Some(value) = value {
                text.push_str(&format!(", {name}={value}"));
            }
        }
        text
    }
}

/// The padding as a tuple; `None` where it is 0.
pub(super) fn padding(sizes: &[i64]) -> Option<String> {
    sizes.iter().any(|size| *size != 0).then(|| python::tuple(sizes.iter().copied()))
}
