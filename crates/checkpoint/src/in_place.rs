//! Reading from a file straight into the memory of tensors: the only unsafe code of this crate.

use std::collections::HashSet;

use mmcv_pth::{RawTensor, read_all};
use tch::{Device, Kind, Tensor};

use crate::error::ErrorKind;
use crate::tensor_source::TensorSource;

/// A tensor of a module, and its new value.
pub(crate) type Pair<'a, 'v> = (&'a Tensor, &'v TensorSource<'v>);

/// Reads into the memory of those targets that have the layout of the file's elements, with several threads. Returns the
/// other pairs.
pub(crate) fn read<'a, 'v>(pairs: &[Pair<'a, 'v>]) -> Result<Vec<Pair<'a, 'v>>, ErrorKind> {
    let shared = shared_memory(pairs);
    let mut buffers: Vec<(RawTensor<'_>, &mut [u8])> = Vec::new();
    let mut rest = Vec::new();
    for (index, (target, source)) in pairs.iter().enumerate() {
        match source {
            TensorSource::File(raw) if has_layout_of(target, source) && !shared.contains(&index) => {
                note_write(target)?;
                // SAFETY: `has_layout_of` made sure that the tensor is a dense one in CPU memory whose elements follow each
                // other, so that `byte_count` bytes from `data_ptr` on are its elements. They stay allocated while `target`
                // is borrowed. They are plain numbers, for which any bytes are valid (`has_layout_of` excludes bools). No
                // other slice overlaps: `shared_memory` excludes those tensors, and tch lends no references to elements.
                // Other handles of the same tensor must not be used by other threads meanwhile, as for all in-place
                // operations of libtorch. The slice is only written to, so that the values before do not matter.
                #[allow(unsafe_code)]
                let bytes =
                    unsafe { std::slice::from_raw_parts_mut(target.data_ptr().cast::<u8>(), byte_count(target)) };
                buffers.push((raw.clone(), bytes));
            }
            _ => rest.push((*target, *source)),
        }
    }
    read_all(buffers)?;
    Ok(rest)
}

/// Whether the tensor is an array of the file's elements in CPU memory. Bools are excluded because a file may contain other
/// bytes than 0 and 1, and complex numbers because of their lazy conjugation.
fn has_layout_of(target: &Tensor, source: &TensorSource<'_>) -> bool {
    let Some(kind) = source.kind() else { return false };
    let is_plain_number = matches!(
        kind,
        Kind::Uint8
            | Kind::Int8
            | Kind::Int16
            | Kind::Int
            | Kind::Int64
            | Kind::Half
            | Kind::BFloat16
            | Kind::Float
            | Kind::Double
    );
    is_plain_number
        && target.defined()
        && target.f_kind().is_ok_and(|target| target == kind)
        && target.device() == Device::Cpu
        && !target.is_sparse()
        && !target.is_mkldnn()
        && target.is_contiguous()
        && !target.data_ptr().is_null()
}

fn byte_count(tensor: &Tensor) -> usize {
    match tensor.f_kind() {
        Ok(kind) => tensor.numel() * kind.elt_size_in_bytes(),
        Err(_) => 0,
    }
}

/// The indices of the pairs whose targets share memory with others.
fn shared_memory(pairs: &[Pair<'_, '_>]) -> HashSet<usize> {
    let mut ranges = Vec::new();
    for (index, (target, source)) in pairs.iter().enumerate() {
        if has_layout_of(target, source) {
            let start = target.data_ptr().addr();
            ranges.push((start, start + byte_count(target), index));
        }
    }
    ranges.sort_unstable();
    let mut shared = HashSet::new();
    // The range that reaches furthest so far.
    let mut furthest: Option<(usize, usize)> = None;
    for (start, end, index) in ranges {
        if let Some((furthest_end, other)) = furthest
            && start < furthest_end
        {
            shared.insert(index);
            shared.insert(other);
        }
        if furthest.is_none_or(|(furthest_end, _)| end > furthest_end) {
            furthest = Some((end, index));
        }
    }
    shared
}

/// Counts an in-place change, so that autograd refuses a backward pass that needs the old values.
fn note_write(target: &Tensor) -> Result<(), ErrorKind> {
    let _guard = tch::no_grad_guard();
    let mut empty = target.f_detach()?.f_view([-1_i64])?.f_narrow(0, 0, 0)?;
    let _ = empty.f_zero_()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(targets: &[Tensor]) -> Vec<usize> {
        let source = Tensor::zeros([4], (Kind::Float, Device::Cpu));
        let source = TensorSource::Memory(&source);
        let pairs: Vec<_> = targets.iter().map(|target| (target, &source)).collect();
        let mut shared: Vec<_> = shared_memory(&pairs).into_iter().collect();
        shared.sort_unstable();
        shared
    }

    #[test]
    fn overlapping_targets_are_found() {
        let base = Tensor::zeros([16], (Kind::Float, Device::Cpu));
        let part = |start: i64| base.narrow(0, start, 4);
        assert_eq!(shared(&[part(0), part(4), part(8)]), [0_usize; 0]);
        assert_eq!(shared(&[part(0), part(8), part(3)]), [0, 2]);
        assert_eq!(shared(&[part(2), part(2), part(8)]), [0, 1]);
        assert_eq!(shared(&[base.narrow(0, 0, 16), part(1), part(12)]), [0, 1, 2]);
    }

    #[test]
    fn only_plain_arrays_of_the_same_type_are_read_in_place() {
        let source = Tensor::zeros([4], (Kind::Float, Device::Cpu));
        let source = TensorSource::Memory(&source);
        let matrix = Tensor::zeros([2, 2], (Kind::Float, Device::Cpu));
        assert!(has_layout_of(&matrix, &source));
        assert!(!has_layout_of(&matrix.transpose(0, 1), &source));
        assert!(!has_layout_of(&matrix.to_kind(Kind::Double), &source));
        assert!(!has_layout_of(&matrix.to_sparse_sparse_dim(2), &source));
    }

    #[test]
    fn a_write_is_noted_by_autograd() {
        let weight = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let loss = (&weight * &weight).sum(Kind::Float);
        note_write(&weight).unwrap();
        assert!(loss.f_backward().is_err());
    }
}
