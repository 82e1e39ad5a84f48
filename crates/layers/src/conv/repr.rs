//! The arguments of convolutions in the form of Python's `repr`. Reference: `_ConvNd.extra_repr` in
//! torch/nn/modules/conv.py.

use crate::explain::python;

/// The arguments; the text omits defaults.
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
        let Self { in_channels, out_channels, .. } = self;
        let (kernel_size, stride) = (tuple(self.kernel_size), tuple(self.stride));
        let mut text = format!("{in_channels}, {out_channels}, kernel_size={kernel_size}, stride={stride}");
        if let Some(padding) = &self.padding {
            text.push_str(&format!(", padding={padding}"));
        }
        if self.dilation.iter().any(|dilation| *dilation != 1) {
            text.push_str(&format!(", dilation={}", tuple(self.dilation)));
        }
        if self.output_padding.iter().any(|pixels| *pixels != 0) {
            text.push_str(&format!(", output_padding={}", tuple(self.output_padding)));
        }
        if self.groups != 1 {
            text.push_str(&format!(", groups={}", self.groups));
        }
        if !self.bias {
            text.push_str(&format!(", bias={}", python::value(false)));
        }
        if self.padding_mode != "zeros" {
            text.push_str(&format!(", padding_mode={}", self.padding_mode));
        }
        text
    }
}

fn tuple(sizes: &[i64]) -> String {
    python::tuple(sizes.iter().copied())
}

/// The padding as a tuple, or `None` if it is 0.
pub(super) fn padding(sizes: &[i64]) -> Option<String> {
    if sizes.iter().all(|size| *size == 0) {
        return None;
    }
    Some(tuple(sizes))
}
