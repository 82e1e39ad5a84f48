//! Numbers of elements, for [`Module::multiply_adds`](crate::Module::multiply_adds).

/// The number of elements of the first of these shapes; 0 where there is none.
#[must_use]
pub fn elements(shapes: &[Vec<i64>]) -> u64 {
    shapes.first().map_or(0, |shape| product(shape))
}

/// The product of these sizes; the largest integer where it is larger.
#[must_use]
pub fn product(sizes: &[i64]) -> u64 {
    sizes.iter().fold(1, |product: u64, size| product.saturating_mul(u64::try_from(*size).unwrap_or(0)))
}
