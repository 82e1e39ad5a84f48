//! The memory of tensors as bytes: the one place of this crate with unsafe code.

use tch::{Device, Tensor};

use crate::error::ErrorKind;

/// For each tensor its elements as bytes to be overwritten, where they lie in a row in the processor's memory, and in
/// none that was given out for a tensor before it in that memory.
pub(crate) fn of<'t>(tensors: impl IntoIterator<Item = &'t Tensor>) -> Result<Vec<Option<&'t mut [u8]>>, ErrorKind> {
    let places: Vec<_> = tensors.into_iter().map(place).collect::<Result<_, _>>()?;
    let mut order: Vec<_> = (0..places.len()).collect();
    order.sort_by_key(|&index| places.get(index).copied().flatten());
    let mut memory: Vec<Option<&mut [u8]>> = places.iter().map(|_| None).collect();
    let mut end = 0;
    for index in order {
        let (Some(Some((start, length))), Some(bytes)) = (places.get(index).copied(), memory.get_mut(index)) else {
            continue;
        };
        if start >= end {
            end = start + length;
            // SAFETY: libtorch holds `length` bytes of initialised or plain memory from `start`, aligned as bytes always
            // are, and keeps them while the tensor lives, which is borrowed for as long. No other slice of `memory`
            // touches them, since each begins behind the end of those before it. That no other thread uses the tensors
            // meanwhile is what every function of libtorch that writes to a tensor asks for too.
            #[allow(unsafe_code)]
            let slice = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, length) };
            *bytes = Some(slice);
        }
    }
    Ok(memory)
}

/// Address and bytes of the elements.
fn place(tensor: &Tensor) -> Result<Option<(usize, usize)>, ErrorKind> {
    let plain = tensor.defined() && tensor.device() == Device::Cpu && !tensor.is_sparse() && !tensor.is_mkldnn();
    if !plain || !tensor.is_contiguous() || tensor.f_is_conj()? || tensor.f_is_neg()? {
        return Ok(None);
    }
    let bytes = tensor.numel() * tensor.f_kind()?.elt_size_in_bytes();
    Ok((bytes > 0).then(|| (tensor.data_ptr() as usize, bytes)))
}

/// Tells libtorch that the elements have changed, as its own functions do.
pub(crate) fn changed(tensor: &Tensor) -> Result<(), ErrorKind> {
    let _guard = tch::no_grad_guard();
    let _ = tensor.f_detach()?.f_view([-1_i64])?.f_narrow(0, 0, 0)?.f_zero_()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn memory_is_given_out_once_and_only_where_elements_lie_in_a_row() {
        let base = Tensor::zeros([4, 6], (Kind::Float, Device::Cpu));
        let tensors = [base.narrow(0, 1, 2), base.transpose(0, 1), base.shallow_clone(), base.narrow(0, 3, 1)];
        let empty = Tensor::zeros([0], (Kind::Float, Device::Cpu));
        let mut memory = of(tensors.iter().chain([&empty])).unwrap();
        let lengths: Vec<_> = memory.iter().map(|bytes| bytes.as_ref().map(|bytes| bytes.len())).collect();
        assert_eq!(lengths, [None, None, Some(96), None, None]);
        memory[2].as_mut().unwrap().copy_from_slice(&1_f32.to_le_bytes().repeat(24));
        assert_eq!(base.sum(Kind::Float).double_value(&[]), 24.0);
    }

    #[test]
    fn autograd_sees_the_change() {
        let weight = Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let loss = (&weight * &weight).sum(Kind::Float);
        changed(&weight).unwrap();
        assert!(loss.f_backward().unwrap_err().to_string().contains("modified by an inplace operation"));
    }
}
