//! The images of digits, in batches.

use anyhow::Result;
use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor};

/// The largest value of a pixel.
const WHITE: f32 = 16.0;
/// Every fifth image is kept for the test.
const TEST_EVERY: i64 = 5;

/// Images with their digits.
#[derive(Debug)]
pub struct LabeledImages {
    /// `[N, 1, 8, 8]`, between 0 and 1.
    pub images: Tensor,
    /// `[N]`, the digits as integers.
    pub labels: Tensor,
}

/// Images for training, and others for testing.
#[derive(Debug)]
pub struct Digits {
    /// Four of every five images.
    pub train: LabeledImages,
    /// The first of every five images.
    pub test: LabeledImages,
}

impl Digits {
    /// Reads `data/digits.safetensors`, which is embedded in the program.
    pub fn read() -> Result<Self> {
        let tensors = SafeTensors::deserialize(include_bytes!("data/digits.safetensors"))?;
        let images = read(&tensors, "images")?.f_unsqueeze(1)?.f_to_kind(Kind::Float)?.f_div(&Tensor::from(WHITE))?;
        let all = LabeledImages { images, labels: read(&tensors, "labels")?.f_to_kind(Kind::Int64)? };
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for number in 0..all.len() {
            if number % TEST_EVERY == 0 { test.push(number) } else { train.push(number) }
        }
        Ok(Self {
            train: all.select(&Tensor::f_from_slice(&train)?)?,
            test: all.select(&Tensor::f_from_slice(&test)?)?,
        })
    }
}

/// A tensor of bytes.
fn read(tensors: &SafeTensors<'_>, name: &str) -> Result<Tensor> {
    let view = tensors.tensor(name)?;
    let shape = view.shape().iter().map(|size| i64::try_from(*size)).collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::f_from_data_size(view.data(), &shape, Kind::Uint8)?)
}

impl LabeledImages {
    /// The number of images.
    pub fn len(&self) -> i64 {
        self.labels.size().first().copied().unwrap_or(0)
    }

    /// The images with the given numbers, in that order.
    pub fn select(&self, numbers: &Tensor) -> Result<Self> {
        Ok(Self { images: self.images.f_index_select(0, numbers)?, labels: self.labels.f_index_select(0, numbers)? })
    }

    /// The share of a process: images one after the other, about as many for each.
    pub fn share(&self, rank: usize, world_size: usize) -> Result<Self> {
        let (rank, world_size) = (i64::try_from(rank)?, i64::try_from(world_size)?);
        let (start, end) = (self.len() * rank / world_size, self.len() * (rank + 1) / world_size);
        Ok(Self {
            images: self.images.f_narrow(0, start, end - start)?,
            labels: self.labels.f_narrow(0, start, end - start)?,
        })
    }

    /// The number of batches that [`Self::shuffled`] returns.
    pub fn batches(&self, batch_size: i64, multiple: i64) -> u64 {
        (self.len() + self.repeated(multiple)).unsigned_abs().div_ceil(batch_size.unsigned_abs())
    }

    /// Batches of `batch_size` images, in an order drawn from the seed; the last one may be smaller. The first images are repeated at
    /// the end until their number is a multiple of `multiple`.
    pub fn shuffled(&self, seed: i64, batch_size: i64, multiple: i64) -> Result<Vec<Self>> {
        tch::manual_seed(seed);
        let order = Tensor::f_randperm(self.len(), (Kind::Int64, Device::Cpu))?;
        let order = Tensor::f_cat(&[&order, &order.f_narrow(0, 0, self.repeated(multiple))?], 0)?;
        let batches = order.f_split(batch_size, 0)?;
        batches.iter().map(|numbers| self.select(numbers)).collect()
    }

    /// How many images are missing to a multiple of `multiple`.
    fn repeated(&self, multiple: i64) -> i64 {
        (multiple - self.len() % multiple) % multiple
    }
}
