//! [`Dim`]: sizes that depend on the size of the input, found by comparing several traces.

use mmcv_fuse::graph::ValueId;

/// The size of an axis of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Axis {
    pub(crate) value: ValueId,
    pub(crate) axis: usize,
}

/// A size.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Dim {
    Fixed(i64),
    /// `(axis + add) * times / by`, rounded down.
    Scaled {
        axis: Axis,
        add: i64,
        times: i64,
        by: i64,
    },
    /// The product of two axes.
    Product(Axis, Axis),
}

/// A candidate with its size in each trace.
pub(crate) type Candidate = (Axis, Vec<i64>);

/// Divisors that strides, windows and patches have.
const DIVISORS: [i64; 12] = [2, 3, 4, 5, 6, 7, 8, 12, 14, 16, 32, 64];

impl Dim {
    /// What gives these sizes, one for each trace; `None` if nothing is known that does.
    pub(crate) fn find(sizes: &[i64], candidates: &[Candidate]) -> Option<Self> {
        let first = *sizes.first()?;
        if sizes.iter().all(|size| *size == first) {
            return Some(Self::Fixed(first));
        }
        let scaled = |axis: &Axis, add, times, by| Self::Scaled { axis: *axis, add, times, by };
        for (axis, known) in candidates {
            if known == sizes {
                return Some(scaled(axis, 0, 1, 1));
            }
        }
        for (axis, known) in candidates {
            let pairs: Vec<(i64, i64)> = known.iter().copied().zip(sizes.iter().copied()).collect();
            let base = *known.first()?;
            if base > 0 && first % base == 0 && pairs.iter().all(|(known, size)| known * (first / base) == *size) {
                return Some(scaled(axis, 0, first / base, 1));
            }
            if first > 0 && base % first == 0 && pairs.iter().all(|(known, size)| size * (base / first) == *known) {
                return Some(scaled(axis, 0, 1, base / first));
            }
            if pairs.iter().all(|(known, size)| size - known == first - base) {
                return Some(scaled(axis, first - base, 1, 1));
            }
        }
        for by in DIVISORS {
            for add in 1 - by..by {
                for (axis, known) in candidates {
                    if known.iter().zip(sizes).all(|(known, size)| (known + add).div_euclid(by) == *size) {
                        return Some(scaled(axis, add, 1, by));
                    }
                }
            }
        }
        for (index, (left, left_sizes)) in candidates.iter().enumerate() {
            for (right, right_sizes) in candidates.iter().skip(index) {
                let products = left_sizes.iter().zip(right_sizes).map(|(left, right)| left * right);
                if products.eq(sizes.iter().copied()) {
                    return Some(Self::Product(*left, *right));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(axis: usize) -> Axis {
        Axis { value: 0, axis }
    }

    fn find(sizes: [i64; 3]) -> Option<Dim> {
        let candidates = [(axis(0), vec![2, 3, 5]), (axis(2), vec![64, 96, 160]), (axis(3), vec![64, 128, 96])];
        Dim::find(&sizes, &candidates)
    }

    #[test]
    fn sizes_are_explained_by_the_sizes_of_the_input() {
        assert_eq!(find([7, 7, 7]), Some(Dim::Fixed(7)));
        assert_eq!(find([2, 3, 5]), Some(Dim::Scaled { axis: axis(0), add: 0, times: 1, by: 1 }));
        assert_eq!(find([16, 24, 40]), Some(Dim::Scaled { axis: axis(0), add: 0, times: 8, by: 1 }));
        assert_eq!(find([32, 64, 48]), Some(Dim::Scaled { axis: axis(3), add: 0, times: 1, by: 2 }));
        assert_eq!(find([65, 97, 161]), Some(Dim::Scaled { axis: axis(2), add: 1, times: 1, by: 1 }));
        assert_eq!(find([9, 14, 23]), Some(Dim::Scaled { axis: axis(2), add: 2, times: 1, by: 7 }));
        assert_eq!(find([4096, 12288, 15360]), Some(Dim::Product(axis(2), axis(3))));
        assert_eq!(find([2, 3, 4]), None);
        assert_eq!(find([1, 2, 90]), None);
    }
}
