//! The pictures of digits, and the batches in which they are shown.

use anyhow::Result;
use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor};

/// The largest value of a pixel.
const WHITE: f32 = 16.0;
/// Every fifth picture is kept for the test.
const TEST_EVERY: i64 = 5;

/// Pictures with their digits.
#[derive(Debug)]
pub struct Pictures {
    /// `[N, 1, 8, 8]`, between 0 and 1.
    pub images: Tensor,
    /// `[N]`, the digits as integers.
    pub labels: Tensor,
}

/// The pictures to learn from, and those that the network never learns from.
#[derive(Debug)]
pub struct Digits {
    /// Four of five pictures.
    pub train: Pictures,
    /// The first of each five pictures.
    pub test: Pictures,
}

impl Digits {
    /// Reads `data/digits.safetensors`, which is part of the program.
    pub fn read() -> Result<Self> {
        let tensors = SafeTensors::deserialize(include_bytes!("data/digits.safetensors"))?;
        let read = |name: &str| -> Result<Tensor> {
            let view = tensors.tensor(name)?;
            let shape = view.shape().iter().map(|size| i64::try_from(*size)).collect::<Result<Vec<_>, _>>()?;
            Ok(Tensor::f_from_data_size(view.data(), &shape, Kind::Uint8)?)
        };
        let images = read("images")?.f_unsqueeze(1)?.f_to_kind(Kind::Float)?.f_div(&Tensor::from(WHITE))?;
        let all = Pictures { images, labels: read("labels")?.f_to_kind(Kind::Int64)? };
        let numbers = |range: std::ops::Range<i64>, test: bool| {
            let chosen: Vec<i64> = range.filter(|number| (number % TEST_EVERY == 0) == test).collect();
            Tensor::f_from_slice(&chosen)
        };
        Ok(Self {
            train: all.select(&numbers(0..all.len(), false)?)?,
            test: all.select(&numbers(0..all.len(), true)?)?,
        })
    }
}

impl Pictures {
    /// The number of pictures.
    pub fn len(&self) -> i64 {
        self.labels.size().first().copied().unwrap_or(0)
    }

    /// The pictures with the given numbers, in that order.
    pub fn select(&self, numbers: &Tensor) -> Result<Self> {
        Ok(Self { images: self.images.f_index_select(0, numbers)?, labels: self.labels.f_index_select(0, numbers)? })
    }

    /// The number of batches of `batch_size` pictures; what is left over is a smaller one.
    pub fn batches(&self, batch_size: i64) -> u64 {
        self.len().unsigned_abs().div_ceil(batch_size.unsigned_abs())
    }

    /// All pictures in an order that follows from the seed, `batch_size` at a time.
    pub fn shuffled(&self, seed: i64, batch_size: i64) -> Result<Vec<Self>> {
        tch::manual_seed(seed);
        let order = Tensor::f_randperm(self.len(), (Kind::Int64, Device::Cpu))?;
        let batches = order.f_split(batch_size, 0)?;
        batches.iter().map(|numbers| self.select(numbers)).collect()
    }
}
