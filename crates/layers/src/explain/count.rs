//! Element counts, for [`Module::multiply_adds`](crate::Module::multiply_adds).

/// The number of elements of the first shape; 0 if there is none.
#[must_use]
pub fn elements(shapes: &[Vec<i64>]) -> u64 {
    match shapes.first() {
        Some(shape) => product(shape),
        None => 0,
    }
}

/// The product of the sizes, saturating.
#[must_use]
pub fn product(sizes: &[i64]) -> u64 {
    let mut product = 1_u64;
    for size in sizes {
        product = product.saturating_mul(u64::try_from(*size).unwrap_or(0));
    }
    product
}
