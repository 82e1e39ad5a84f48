//! [`Affine`]: what integers of 8 bits stand for.

use crate::graph::{Arg, Node, ValueId};

/// An unsigned integer of 8 bits stands for `scale * (integer - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    pub(crate) scale: f32,
    pub(crate) zero_point: i32,
}

/// The largest integer.
pub(crate) const LARGEST: i32 = 255;

const OPERATOR: &str = "aten::fake_quantize_per_tensor_affine";

impl Affine {
    /// The integers for numbers between these two, and for 0, which one of them stands for exactly.
    pub(crate) fn of_range(lowest: f32, highest: f32) -> Self {
        let (lowest, highest) = (lowest.min(0.0), highest.max(0.0));
        let scale = (highest - lowest) / LARGEST as f32;
        // Without numbers of a size, any scale will do.
        let scale = if scale.is_finite() && scale > 1e-30 { scale } else { 1.0 };
        let zero_point = (-lowest / scale).round().clamp(0.0, LARGEST as f32);
        Self { scale, zero_point: zero_point as i32 }
    }

    /// The operator that rounds `input` to what integers stand for.
    pub(crate) fn node(self, input: ValueId, output: ValueId) -> Node {
        let args = vec![
            Arg::Value(input),
            Arg::Double(f64::from(self.scale)),
            Arg::Int(i64::from(self.zero_point)),
            Arg::Int(0),
            Arg::Int(i64::from(LARGEST)),
        ];
        Node::new(OPERATOR, "", args, vec![output])
    }

    /// What the results of the node are rounded to, if it is such an operator.
    pub(crate) fn from_node(node: &Node) -> Option<Self> {
        if node.op != OPERATOR || node.int(3)? != 0 || node.int(4)? != i64::from(LARGEST) {
            return None;
        }
        Some(Self { scale: node.number(1)? as f32, zero_point: i32::try_from(node.int(2)?).ok()? })
    }

    /// The number that stands for `number` after rounding.
    pub(crate) fn rounded(self, number: f32) -> f32 {
        let integer = (number / self.scale).round_ties_even() + self.zero_point as f32;
        (integer.clamp(0.0, LARGEST as f32) - self.zero_point as f32) * self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::Affine;

    #[test]
    fn zero_is_exact_and_the_ends_are_reached() {
        for (lowest, highest) in [(0.0, 6.0), (-1.0, 3.0), (2.0, 5.0), (-4.0, -1.0), (-0.1, 0.1), (0.0, 0.0)] {
            let affine = Affine::of_range(lowest, highest);
            assert!(affine.rounded(0.0).abs() < f32::EPSILON);
            assert!((0..=255).contains(&affine.zero_point));
            for end in [lowest, highest] {
                assert!((affine.rounded(end) - end).abs() <= affine.scale * 0.51, "{lowest} {highest} {end}");
            }
        }
    }
}
