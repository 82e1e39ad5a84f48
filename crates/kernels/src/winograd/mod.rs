//! Convolutions of 3 x 3 with fewer multiplications: Winograd's minimal filtering (Lavin and Gray, *Fast Algorithms for
//! Convolutional Neural Networks*, 2016).
//!
//! The input is cut into tiles that overlap by two pixels. Each tile is transformed, each number of the transform is multiplied
//! with that of the weights, summed over the input channels, and the sums are transformed back: `n * n` multiplications for
//! `(n - 2) * (n - 2)` outputs, in place of 9 for each.
#![allow(unsafe_code)]

mod cost;
mod points;
mod product;
mod routines;
mod schedule;
#[cfg(test)]
mod tests;
mod transform;

use std::ops::Range;

use crate::error::{Error, Result};
use crate::isa::Isa;
use crate::layout::{Layout, Strides};
use crate::workers::{Workers, share};
use product::Product;
use routines::Routines;
use schedule::{Blocks, Schedule};
use transform::{Input, Kernels, Output, dilated};

/// The outputs that a tile has along each axis: more of them need fewer multiplications, lose more digits, and make the weights
/// larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tile {
    /// 2 x 2 outputs: weights of 16 numbers, 2.25 times fewer multiplications.
    F2,
    /// 4 x 4 outputs: weights of 36 numbers, 4 times fewer multiplications.
    F4,
    /// 6 x 6 outputs: weights of 64 numbers, 5.06 times fewer multiplications.
    F6,
}

impl Tile {
    /// The pixels of a tile along each axis.
    #[must_use]
    pub fn size(self) -> usize {
        self.outputs() + 2
    }

    /// The outputs of a tile along each axis.
    #[must_use]
    pub fn outputs(self) -> usize {
        match self {
            Self::F2 => 2,
            Self::F4 => 4,
            Self::F6 => 6,
        }
    }
}

/// The most numbers of images or weights: so few that all sizes that are computed from them can be counted.
const MOST_NUMBERS: usize = isize::MAX as usize >> 15;

/// The most channels of a vector.
const MOST_LANES: usize = 16;

/// The most pixels of a tile.
const LARGEST_TILE: usize = 64;

/// A convolution of 3 x 3 with stride 1 and without groups, and its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The number of images.
    pub batch: usize,
    /// The channels of the input.
    pub in_channels: usize,
    /// The channels of the output.
    pub out_channels: usize,
    /// The pixels of the input from top to bottom.
    pub height: usize,
    /// The pixels of the input from left to right.
    pub width: usize,
    /// The zeros around the input, on all sides.
    pub padding: usize,
    /// From one pixel that a kernel reads to the next.
    pub dilation: usize,
    /// How the input lies in memory.
    pub source: Layout,
    /// How the output lies in memory.
    pub result: Layout,
}

/// Bounds that numbers are brought into: `ReLU` is 0 and infinity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// The lower bound.
    pub lowest: f32,
    /// The upper bound.
    pub highest: f32,
}

impl Default for Clamp {
    fn default() -> Self {
        Self { lowest: f32::NEG_INFINITY, highest: f32::INFINITY }
    }
}

/// What is added to the output.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Operand<'a> {
    /// Nothing.
    #[default]
    None,
    /// What lies where the output is written.
    InPlace,
    /// Images of the output's shape and layout.
    Images(&'a [f32]),
}

/// What is done with the output before it is written: the bias is added, it is clamped, the operand is added, and if there is one,
/// it is clamped again.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Finish<'a> {
    /// A number for each output channel.
    pub bias: Option<&'a [f32]>,
    /// The first bounds.
    pub before: Clamp,
    /// What is added.
    pub operand: Operand<'a>,
    /// The second bounds, only used with an operand.
    pub after: Clamp,
}

/// A convolution that is prepared for images of one size.
#[derive(Debug, Clone)]
pub struct Convolution {
    problem: Problem,
    size: usize,
    routines: Routines,
    out_height: usize,
    out_width: usize,
    source: Strides,
    result: Strides,
    /// The tiles of an image.
    positions: Vec<Position>,
    /// Vectors of input and output channels.
    in_vectors: usize,
    out_vectors: usize,
    schedule: Schedule,
    threads: usize,
}

/// How weights are packed: the same for equal packings of the same weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Packing {
    size: usize,
    lanes: usize,
    out_vectors: usize,
    vectors: usize,
}

/// Where a tile lies in an image.
#[derive(Debug, Clone, Copy)]
struct Position {
    /// Its first pixel in the input, which may lie outside.
    source: isize,
    /// Its pixels that lie inside.
    rows: (u8, u8),
    columns: (u8, u8),
    /// Its first output.
    result: usize,
    /// Its outputs that lie inside.
    outputs: (u8, u8),
}

impl Position {
    /// Whether all `size * size` pixels lie inside.
    fn is_inside(&self, size: usize) -> bool {
        let all = (0, size as u8);
        self.rows == all && self.columns == all
    }
}

/// The memory of a run.
#[derive(Clone, Copy)]
struct Memory<'a> {
    packed: &'a [f32],
    source: *const f32,
    result: *mut f32,
    operand: *const f32,
    finish: &'a Finish<'a>,
    scratch: *mut f32,
}

// SAFETY: threads write to different parts of the result and of the scratch memory, and read the rest.
unsafe impl Sync for Memory<'_> {}

impl Convolution {
    /// Prepares a convolution for up to `threads` threads.
    ///
    /// # Errors
    /// Returns an error if a size is zero, if the output would be empty, if the padding is no multiple of the dilation, or if a
    /// vector of `isa` does not fit into a block of channels.
    pub fn new(problem: Problem, tile: Tile, isa: Isa, threads: usize) -> Result<Self> {
        Self::with_routines(problem, tile, Routines::new(isa), threads)
    }

    fn with_routines(problem: Problem, tile: Tile, routines: Routines, threads: usize) -> Result<Self> {
        let Some((height, width)) = output_size(&problem) else { return Err(Error::Sizes(format!("{problem:?}"))) };
        let source = problem.source.strides(problem.in_channels, problem.height, problem.width);
        let result = problem.result.strides(problem.out_channels, height, width);
        if routines.lanes > source.block_size.min(result.block_size) {
            return Err(Error::Sizes(format!("{problem:?}")));
        }
        let mut convolution = Self {
            problem,
            size: tile.size(),
            routines,
            out_height: height,
            out_width: width,
            source,
            result,
            positions: Vec::new(),
            in_vectors: problem.in_channels.div_ceil(routines.lanes),
            out_vectors: result.padded(problem.out_channels).div_ceil(routines.lanes),
            schedule: Schedule::default(),
            threads: threads.max(1),
        };
        convolution.positions = convolution.tiles();
        convolution.schedule = Schedule::new(&convolution);
        Ok(convolution)
    }

    /// The tiles of an image. With a dilation of `d`, every `d`-th pixel from one of the first `d * d` on is an image of its own.
    fn tiles(&self) -> Vec<Position> {
        let dilation = self.problem.dilation;
        let step = self.size - 2;
        let mut tiles = Vec::new();
        for down in 0..dilation.min(self.out_height) {
            for right in 0..dilation.min(self.out_width) {
                let size = (
                    self.problem.height.saturating_sub(down).div_ceil(dilation),
                    self.problem.width.saturating_sub(right).div_ceil(dilation),
                );
                let outputs =
                    ((self.out_height - down).div_ceil(dilation), (self.out_width - right).div_ceil(dilation));
                for y in (0..outputs.0).step_by(step) {
                    for x in (0..outputs.1).step_by(step) {
                        tiles.push(self.tile((down, right), (y, x), size, outputs));
                    }
                }
            }
        }
        tiles
    }

    /// The tile whose first output is `output`, in the image that starts at `phase`, of this size and with so many outputs.
    fn tile(
        &self,
        phase: (usize, usize),
        output: (usize, usize),
        size: (usize, usize),
        outputs: (usize, usize),
    ) -> Position {
        let dilation = self.problem.dilation;
        let padding = (self.problem.padding / dilation) as isize;
        let (row, pixel) = dilated(&self.source, dilation);
        let (out_row, out_pixel) = dilated(&self.result, dilation);
        let (top, left) = (output.0 as isize - padding, output.1 as isize - padding);
        let start = (phase.0 * self.source.row + phase.1 * self.source.pixel) as isize;
        Position {
            source: start + top * row as isize + left * pixel as isize,
            rows: inside(top, size.0, self.size),
            columns: inside(left, size.1, self.size),
            result: phase.0 * self.result.row + phase.1 * self.result.pixel + output.0 * out_row + output.1 * out_pixel,
            outputs: ((outputs.0 - output.0).min(self.size - 2) as u8, (outputs.1 - output.1).min(self.size - 2) as u8),
        }
    }

    /// The image of a tile, among those of all images, and its position there.
    fn find(&self, tile: usize) -> Option<(usize, &Position)> {
        let position = self.positions.get(tile % self.positions.len())?;
        Some((tile / self.positions.len(), position))
    }

    /// The numbers of the transformed weights.
    #[must_use]
    pub fn packed_len(&self) -> usize {
        self.size * self.size * self.numbers_per_point()
    }

    /// The numbers of scratch memory that a run needs.
    #[must_use]
    pub fn scratch_len(&self) -> usize {
        self.schedule.scratch
    }

    /// The pixels of the output from top to bottom and from left to right.
    #[must_use]
    pub fn output_size(&self) -> (usize, usize) {
        (self.out_height, self.out_width)
    }

    /// How it wants its weights.
    #[must_use]
    pub fn packing(&self) -> Packing {
        Packing {
            size: self.size,
            lanes: self.routines.lanes,
            out_vectors: self.out_vectors,
            vectors: self.schedule.vectors,
        }
    }

    /// Transforms weights of the shape `[out_channels, in_channels, 3, 3]`.
    ///
    /// # Errors
    /// Returns an error if a length does not fit.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32], workers: &dyn Workers) -> Result<()> {
        let Problem { in_channels, out_channels, .. } = self.problem;
        check_length("the weight", in_channels * out_channels * 9, weights.len())?;
        check_length("the transformed weight", self.packed_len(), packed.len())?;
        let lanes = self.routines.lanes;
        let packed = Packed(packed.as_mut_ptr());
        share(workers, self.threads, self.out_vectors, &|_, vector| {
            let packed = &packed;
            let count = out_channels.saturating_sub(vector * lanes).min(lanes);
            for channel in 0..in_channels {
                let place = self.weight(vector, channel);
                let from = weights.get((vector * lanes * in_channels + channel) * 9..).unwrap_or_default();
                let kernels = Kernels { from, step: in_channels * 9, count, lanes };
                let mut write = |point: usize, numbers: &[f32]| {
                    let place = point * self.numbers_per_point() + place;
                    // SAFETY: the place of a vector at each point lies within the packed weights, whose length was checked, and
                    // belongs to this thread.
                    unsafe { packed.0.add(place).copy_from_nonoverlapping(numbers.as_ptr(), numbers.len()) }
                };
                // SAFETY: `Routines::new` found that the instructions exist.
                unsafe { (self.routines.weights)(self.size, kernels, &mut write) }
            }
        });
        Ok(())
    }

    /// Where the weights of a vector of output channels for an input channel are, among those of a point.
    fn weight(&self, vector: usize, channel: usize) -> usize {
        let panel = self.panel(vector / self.schedule.vectors);
        (panel.start * self.problem.in_channels + channel * panel.len() + vector - panel.start) * self.routines.lanes
    }

    /// The vectors of output channels that are multiplied together.
    fn panel(&self, index: usize) -> Range<usize> {
        let start = index * self.schedule.vectors;
        start..(start + self.schedule.vectors).min(self.out_vectors)
    }

    fn panels(&self) -> usize {
        self.out_vectors.div_ceil(self.schedule.vectors)
    }

    fn numbers_per_point(&self) -> usize {
        self.problem.in_channels * self.out_vectors * self.routines.lanes
    }

    /// Computes the output.
    ///
    /// # Errors
    /// Returns an error if a length does not fit.
    pub fn run(
        &self,
        packed: &[f32],
        source: &[f32],
        finish: &Finish<'_>,
        result: &mut [f32],
        scratch: &mut [f32],
        workers: &dyn Workers,
    ) -> Result<()> {
        let Problem { batch, out_channels, .. } = self.problem;
        let results = batch * self.result.image;
        check_length("the transformed weight", self.packed_len(), packed.len())?;
        check_length("the input", batch * self.source.image, source.len())?;
        check_length("the output", results, result.len())?;
        check_length("the scratch memory", self.scratch_len(), scratch.len())?;
        if let Some(bias) = finish.bias {
            check_length("the bias", out_channels, bias.len())?;
        }
        let result = result.as_mut_ptr();
        let operand = match finish.operand {
            Operand::None => std::ptr::null(),
            Operand::InPlace => result.cast_const(),
            Operand::Images(images) => {
                check_length("what is added", results, images.len())?;
                images.as_ptr()
            }
        };
        let scratch = scratch.as_mut_ptr();
        let memory = Memory { packed, source: source.as_ptr(), result, operand, finish, scratch };
        match self.schedule.blocks {
            Blocks::OfThreads(count) => share(workers, self.threads, count, &|thread, block| {
                self.block(&memory, thread, self.schedule.block(block));
            }),
            Blocks::Shared(count) => {
                for block in 0..count {
                    self.shared_block(&memory, self.schedule.block(block), workers);
                }
            }
        }
        Ok(())
    }

    /// Computes the outputs of some tiles in one thread.
    fn block(&self, memory: &Memory<'_>, thread: usize, tiles: Range<usize>) {
        // SAFETY: the scratch memory has room for each thread.
        let scratch = unsafe { memory.scratch.add(thread * self.schedule.block_scratch) };
        // SAFETY: for all three: `run` checked the lengths of the memory; the scratch memory is this thread's, the outputs of
        // these tiles are, too.
        unsafe {
            for tile in tiles.clone() {
                self.transform_input(memory, scratch, tile, tile - tiles.start, 0..self.in_vectors);
            }
            for point in 0..self.size * self.size {
                self.multiply(memory, scratch, tiles.len(), point, 0..self.panels());
            }
            for tile in tiles.clone() {
                self.transform_output(memory, scratch, tile, tile - tiles.start, 0..self.out_vectors);
            }
        }
    }

    /// Computes the outputs of some tiles in all threads together, which then read each weight once.
    fn shared_block(&self, memory: &Memory<'_>, tiles: Range<usize>, workers: &dyn Workers) {
        let (count, threads) = (tiles.len(), self.threads);
        let parts = Parts::new(self.in_vectors, count, threads);
        share(workers, threads, parts.items, &|_, item| {
            let (tile, vectors) = parts.item(item);
            // SAFETY: `run` checked the lengths of the memory; no two items write to the same place.
            unsafe { self.transform_input(memory, memory.scratch, tiles.start + tile, tile, vectors) }
        });
        let parts = Parts::new(self.panels(), self.size * self.size, threads);
        share(workers, threads, parts.items, &|_, item| {
            let (point, panels) = parts.item(item);
            // SAFETY: as above; the inputs are complete.
            unsafe { self.multiply(memory, memory.scratch, count, point, panels) }
        });
        let parts = Parts::new(self.out_vectors, count, threads);
        share(workers, threads, parts.items, &|_, item| {
            let (tile, vectors) = parts.item(item);
            // SAFETY: as above; the products are complete.
            unsafe { self.transform_output(memory, memory.scratch, tiles.start + tile, tile, vectors) }
        });
    }

    /// Transforms these vectors of channels of a tile, which is the `place`-th of its block.
    ///
    /// # Safety
    /// The memory has the lengths of this convolution, and nobody else uses the place.
    unsafe fn transform_input(
        &self,
        memory: &Memory<'_>,
        scratch: *mut f32,
        tile: usize,
        place: usize,
        vectors: Range<usize>,
    ) {
        let Some((image, position)) = self.find(tile) else { return };
        let (row, pixel) = dilated(&self.source, self.problem.dilation);
        let lanes = self.routines.lanes;
        for vector in vectors {
            let channel = vector * lanes;
            // SAFETY: the image and the channel exist; the place lies within the scratch memory of the block.
            unsafe {
                let input = Input {
                    image: memory.source.add(image * self.source.image + self.source.channel(channel)),
                    position,
                    row: row as isize,
                    pixel: pixel as isize,
                    channels: (self.problem.in_channels - channel).min(lanes),
                    to: scratch.add(self.schedule.input(place, vector)),
                    step: self.schedule.input_step,
                };
                (self.routines.input)(self.size, input);
            }
        }
    }

    /// Multiplies the transforms of `tiles` tiles at one point with these panels of weights.
    ///
    /// # Safety
    /// As for [`Self::transform_input`].
    unsafe fn multiply(
        &self,
        memory: &Memory<'_>,
        scratch: *mut f32,
        tiles: usize,
        point: usize,
        panels: Range<usize>,
    ) {
        let lanes = self.routines.lanes;
        for panel in panels {
            let vectors = self.panel(panel);
            let weights = point * self.numbers_per_point() + self.weight(vectors.start, 0);
            for first in (0..tiles).step_by(self.schedule.chunk) {
                let count = (tiles - first).min(self.schedule.chunk);
                // SAFETY: the weights of the panel lie within the packed ones, the tiles within the scratch memory.
                unsafe {
                    let input = self.schedule.input(first, 0) + point * self.schedule.input_step;
                    let product = Product {
                        input: scratch.add(input),
                        input_step: self.schedule.chunk * lanes,
                        channels: self.problem.in_channels,
                        weights: memory.packed.as_ptr().add(weights),
                        output: scratch.add(self.schedule.output(first, vectors.start) + point * lanes),
                        tile_step: self.schedule.output_tile,
                        vector_step: self.schedule.output_vector,
                    };
                    (self.routines.multiply)(count, vectors.len(), product);
                }
            }
        }
    }

    /// Writes the outputs of these vectors of channels of a tile, which is the `place`-th of its block.
    ///
    /// # Safety
    /// As for [`Self::transform_input`].
    unsafe fn transform_output(
        &self,
        memory: &Memory<'_>,
        scratch: *const f32,
        tile: usize,
        place: usize,
        vectors: Range<usize>,
    ) {
        let Some((image, position)) = self.find(tile) else { return };
        let (row, pixel) = dilated(&self.result, self.problem.dilation);
        let lanes = self.routines.lanes;
        for vector in vectors {
            let channel = vector * lanes;
            let offset = image * self.result.image + self.result.channel(channel);
            let channels = self.problem.out_channels.saturating_sub(channel).min(lanes);
            let bias = match memory.finish.bias {
                Some(bias) if channels > 0 => bias.as_ptr().wrapping_add(channel),
                _ => std::ptr::null(),
            };
            // SAFETY: the image and the channel exist; the place lies within the scratch memory of the block.
            unsafe {
                let output = Output {
                    from: scratch.add(self.schedule.output(place, vector)),
                    position,
                    row,
                    pixel,
                    channels,
                    is_padded: self.result.is_padded,
                    image: memory.result.add(offset),
                    operand: if memory.operand.is_null() { memory.operand } else { memory.operand.add(offset) },
                    bias,
                    before: memory.finish.before,
                    after: memory.finish.after,
                };
                (self.routines.output)(self.size, output);
            }
        }
    }
}

/// The packed weights, for threads that write to different parts of them.
struct Packed(*mut f32);

// SAFETY: see above.
unsafe impl Sync for Packed {}

/// Work that is cut along two axes.
#[derive(Debug, Clone, Copy)]
struct Parts {
    length: usize,
    /// Into how many parts the first axis is cut.
    parts: usize,
    items: usize,
}

impl Parts {
    /// Cuts `length` into as many parts as it takes to have a few items for each thread, with `others` of each.
    fn new(length: usize, others: usize, threads: usize) -> Self {
        let parts = if threads == 1 { 1 } else { (8 * threads).div_ceil(others.max(1)).min(length).max(1) };
        Self { length, parts, items: parts * others }
    }

    /// The position along the other axis, and the part of the first one.
    fn item(&self, item: usize) -> (usize, Range<usize>) {
        let (other, part) = (item / self.parts, item % self.parts);
        (other, part * self.length / self.parts..(part + 1) * self.length / self.parts)
    }
}

/// Which of the `count` pixels from `start` on are among the first `size`.
fn inside(start: isize, size: usize, count: usize) -> (u8, u8) {
    let count = count as isize;
    let first = (-start).clamp(0, count);
    let last = (size as isize - start).clamp(first, count);
    (first as u8, last as u8)
}

/// The pixels of the output; `None` if there is none or the sizes cannot be had.
fn output_size(problem: &Problem) -> Option<(usize, usize)> {
    let Problem { batch, in_channels, out_channels, padding, dilation, .. } = *problem;
    if batch == 0 || in_channels == 0 || out_channels == 0 || dilation == 0 || padding % dilation != 0 {
        return None;
    }
    let reach = dilation.checked_mul(2)?;
    let padding = padding.checked_mul(2)?;
    let height = problem.height.checked_add(padding)?.checked_sub(reach)?;
    let width = problem.width.checked_add(padding)?.checked_sub(reach)?;
    if problem.height == 0 || problem.width == 0 || height == 0 || width == 0 {
        return None;
    }
    let in_image = problem.source.image_len(in_channels, problem.height, problem.width)?;
    let out_image = problem.result.image_len(out_channels, height, width)?;
    let weights =
        in_channels.checked_mul(out_channels.checked_next_multiple_of(MOST_LANES)?)?.checked_mul(LARGEST_TILE)?;
    // Offsets are counted in signed numbers, and a tile may begin outside of the image.
    let rows = problem.width.max(width).checked_mul(in_channels.max(out_channels))?.checked_mul(LARGEST_TILE)?;
    let dilated = rows.checked_mul(dilation)?.checked_add(in_image.max(out_image))?;
    for numbers in [in_image.checked_mul(batch)?, out_image.checked_mul(batch)?, weights, dilated] {
        if numbers > MOST_NUMBERS {
            return None;
        }
    }
    Some((height, width))
}

fn check_length(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::Length { what, expected, found }) }
}
