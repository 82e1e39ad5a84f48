//! Descriptions of memory: shape, type and layout.

use cxx::SharedPtr;

use crate::bridge::{self, Type};
use crate::error::Result;

/// The shape, type and layout of memory.
pub(crate) type Desc = SharedPtr<bridge::Desc>;

/// Any layout: the operator that is made for it chooses one.
pub(crate) fn any(shape: &[i64], kind: Type) -> Result<Desc> {
    Ok(bridge::any_desc(shape, kind)?)
}

/// Channels in blocks of the size of a vector register.
pub(crate) fn blocked(shape: &[i64], kind: Type) -> Result<Desc> {
    Ok(bridge::blocked_desc(shape, kind)?)
}

/// The layout of libtorch's contiguous tensors.
pub(crate) fn plain(shape: &[i64], kind: Type) -> Result<Desc> {
    strided(shape, &packed_strides(shape), kind)
}

/// Channels last.
pub(crate) fn channels_last(shape: &[i64], kind: Type) -> Result<Desc> {
    let [batch, channels, spatial @ ..] = shape else { return plain(shape, kind) };
    let mut strides = packed_strides(&[&[*batch], spatial, &[*channels]].concat());
    // From the order in memory to that of the axes.
    let channel = strides.pop().unwrap_or(1);
    strides.insert(1, channel);
    strided(shape, &strides, kind)
}

pub(crate) fn strided(shape: &[i64], strides: &[i64], kind: Type) -> Result<Desc> {
    Ok(bridge::strided_desc(shape, strides, kind)?)
}

/// The strides of elements that lie one after the other, the last axis innermost.
pub(crate) fn packed_strides(shape: &[i64]) -> Vec<i64> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride: i64 = 1;
    for size in shape.iter().rev() {
        strides.push(stride);
        stride = stride.saturating_mul(*size.max(&1));
    }
    strides.reverse();
    strides
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::bridge::{
        Algorithm, Argument, DescRef, Role, Window, check_libtorch_file, fix, new_attributes, new_plan,
    };

    /// The file of the libtorch that this process runs.
    fn libtorch() -> std::path::PathBuf {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so")).unwrap();
        line.split_once('/').map(|(_, path)| format!("/{path}")).unwrap().into()
    }

    #[test]
    fn another_file_than_the_one_that_is_mapped_is_refused() {
        let _ = tch::Tensor::zeros([1], tch::kind::FLOAT_CPU);
        let file = libtorch();
        let check_file = |path: &Path| check_libtorch_file(path.to_str().unwrap());
        check_file(&file).unwrap();
        let folder = std::env::temp_dir().join(format!("mmcv-fuse-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let message = |path: &Path| check_file(path).unwrap_err().to_string();
        // Another version in its place: another library, and the same one with another build id.
        assert!(message(&file.with_file_name("libc10.so")).contains("is not the file any more"));
        let cut = folder.join("cut.so");
        let head = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        std::fs::write(&cut, head.get(..200).unwrap()).unwrap();
        assert!(message(&cut).contains("damaged"), "{}", message(&cut));
        std::fs::write(&cut, "no library").unwrap();
        assert!(message(&cut).contains("damaged"), "{}", message(&cut));
        std::fs::write(&cut, [b'x'; 5000]).unwrap();
        assert!(message(&cut).contains("no ELF file"), "{}", message(&cut));
        assert!(message(&folder.join("none.so")).contains("cannot open"));
        assert!(message(&folder).contains("is no file"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn lists_of_another_length_are_errors() {
        let image = plain(&[1, 3, 8, 8], Type::F32).unwrap();
        assert!(image.part(&[1, 1, 8], &[0, 0, 0, 0]).is_err());
        assert!(image.part(&[1, 1, 8, 8], &[0, 0]).is_err());
        assert!(strided(&[1, 3], &[1], Type::F32).is_err());
        assert!(any(&[1; 40], Type::F32).is_err());
        assert!(blocked(&[1, 3], Type::F32).is_err());
        let short = Window { strides: vec![1], dilations: vec![0; 2], before: vec![0; 2], after: vec![0; 2] };
        assert!(bridge::pooling(Algorithm::MaxPooling, &image, &image, &[1, 1], &short).is_err());
        assert!(bridge::convolution(false, &image, &image, &[], &image, &short, &new_attributes().unwrap()).is_err());
        let whole = Window { strides: vec![1; 2], ..short };
        assert!(bridge::pooling(Algorithm::MaxPooling, &image, &image, &[1], &whole).is_err());
        assert!(bridge::concatenation(1, &[]).is_err());
        assert!(bridge::concatenation(1, &[DescRef { desc: &image }, DescRef { desc: &image }]).is_ok());
    }

    /// A plan never touches memory that a tensor does not have.
    #[test]
    fn memory_that_is_too_small_is_an_error() {
        let image = plain(&[1, 16, 8, 8], Type::F32).unwrap();
        let blocks = channels_last(&[1, 16, 8, 8], Type::F32).unwrap();
        let options = tch::kind::FLOAT_CPU;
        let (memory, short) = (tch::Tensor::zeros([1024], options), tch::Tensor::zeros([1023], options));
        let transposed = tch::Tensor::zeros([32, 32], options).transpose(0, 1);
        let mut plan = new_plan().unwrap();
        assert!(fix(&mut plan, Role::Source.into(), &memory, 0).is_err(), "no operator");
        plan.pin_mut().step(bridge::reorder(&image, &blocks, &new_attributes().unwrap()).unwrap()).unwrap();
        for memory in [&short, &transposed] {
            assert!(fix(&mut plan, Role::Source.into(), memory, 0).is_err());
        }
        for offset in [4, usize::MAX] {
            assert!(fix(&mut plan, Role::Source.into(), &memory, offset).is_err());
        }
        assert!(fix(&mut plan, Role::Weights.into(), &memory, 0).is_err(), "a reorder has no weights");
        assert!(plan.pin_mut().step(cxx::UniquePtr::null()).is_err());

        let mut plan = new_plan().unwrap();
        plan.pin_mut().step(bridge::reorder(&image, &blocks, &new_attributes().unwrap()).unwrap()).unwrap();
        plan.pin_mut().slot(Role::Source.into(), 0).unwrap();
        plan.pin_mut().slot(Argument { role: Role::Result, index: 0 }, 1).unwrap();
        assert!(plan.pin_mut().run(0, 1, &bridge::references([&memory]), &mut []).is_err());
        assert!(plan.pin_mut().run(0, 1, &bridge::references([&memory, &short]), &mut []).is_err());
        assert!(plan.pin_mut().run(0, 1, &bridge::references([&memory, &memory.zeros_like()]), &mut [0.0; 2]).is_err());
        assert!(plan.pin_mut().run(0, 1, &bridge::references([&memory, &memory.zeros_like()]), &mut []).is_ok());
    }

    /// A part of the channels of two images ends where the memory ends.
    #[test]
    fn a_part_needs_no_more_memory_than_the_whole() {
        let whole = plain(&[2, 4, 3, 3], Type::F32).unwrap();
        let part = whole.part(&[2, 2, 3, 3], &[0, 2, 0, 0]).unwrap();
        let result = plain(&[2, 2, 3, 3], Type::F32).unwrap();
        let memory = tch::Tensor::arange(72, tch::kind::FLOAT_CPU);
        let output = tch::Tensor::zeros([2, 2, 3, 3], tch::kind::FLOAT_CPU);
        let mut plan = new_plan().unwrap();
        plan.pin_mut().step(bridge::reorder(&part, &result, &new_attributes().unwrap()).unwrap()).unwrap();
        fix(&mut plan, Role::Source.into(), &memory, 0).unwrap();
        plan.pin_mut().slot(Role::Result.into(), 0).unwrap();
        plan.pin_mut().run(0, 1, &bridge::references([&output]), &mut []).unwrap();
        assert_eq!(output, memory.view([2, 4, 3, 3]).narrow(1, 2, 2));
        let short = tch::Tensor::zeros([71], tch::kind::FLOAT_CPU);
        let mut plan = new_plan().unwrap();
        plan.pin_mut().step(bridge::reorder(&part, &result, &new_attributes().unwrap()).unwrap()).unwrap();
        assert!(fix(&mut plan, Role::Source.into(), &short, 0).is_err());
    }
}
