//! The transforms of tiles: inputs, outputs, weights.
//!
//! Each function works on the channels of one vector.
#![allow(unsafe_code)]
#![allow(unsafe_op_in_unsafe_fn, reason = "each function says what the caller promises, for all of it")]
#![allow(clippy::needless_range_loop, reason = "columns of arrays of rows")]

use super::points::Line;
use super::{Clamp, Position};
use crate::layout::Strides;
use crate::simd::Vector;

/// A tile of the input, and where its transform goes.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    /// The first channel of the vector in the image's first pixel.
    pub(super) image: *const f32,
    pub(super) position: &'a Position,
    /// From one row or pixel of the tile to the next.
    pub(super) row: isize,
    pub(super) pixel: isize,
    /// How many channels there are, at most a vector.
    pub(super) channels: usize,
    pub(super) to: *mut f32,
    /// From one number of the transform to the next.
    pub(super) step: usize,
}

/// The transform of an output tile, and where the outputs go.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    /// The numbers of the transform, vector after vector.
    pub(super) from: *const f32,
    pub(super) position: &'a Position,
    pub(super) row: usize,
    pub(super) pixel: usize,
    /// How many channels there are, at most a vector.
    pub(super) channels: usize,
    /// Whether the rest of the vector has memory, which then is zero.
    pub(super) is_padded: bool,
    /// The first channel of the vector in the image's first pixel.
    pub(super) image: *mut f32,
    /// The same in what is added, or null.
    pub(super) operand: *const f32,
    /// The channels' bias, or null.
    pub(super) bias: *const f32,
    pub(super) before: Clamp,
    pub(super) after: Clamp,
}

/// Transforms a tile of `SIZE` x `SIZE` pixels.
///
/// # Safety
/// The instructions of `V` exist. The channels of all pixels in the position's ranges lie within the image, and
/// `SIZE * SIZE` vectors, `step` apart, can be written.
#[inline(always)]
pub(super) unsafe fn input<V: Vector, const SIZE: usize>(tile: Input<'_>) {
    let Input { position, row, pixel, channels, .. } = tile;
    let zero = V::splat(0.0);
    let mut lines = [[zero; SIZE]; SIZE];
    let corner = tile.image.offset(position.source);
    if position.is_inside(SIZE) && channels == V::LANES {
        for (y, line) in lines.iter_mut().enumerate() {
            let start = corner.offset(y as isize * row);
            let mut pixels = [zero; SIZE];
            for (x, loaded) in pixels.iter_mut().enumerate() {
                *loaded = V::load(start.offset(x as isize * pixel));
            }
            *line = input_line::<V, SIZE>(&pixels);
        }
    } else {
        for y in position.rows.0..position.rows.1 {
            let mut pixels = [zero; SIZE];
            for x in position.columns.0..position.columns.1 {
                let from = corner.offset(isize::from(y) * row + isize::from(x) * pixel);
                pixels[usize::from(x)] = V::load_partial(from, channels);
            }
            lines[usize::from(y)] = input_line::<V, SIZE>(&pixels);
        }
    }
    for x in 0..SIZE {
        let mut column = [zero; SIZE];
        for y in 0..SIZE {
            column[y] = lines[y][x];
        }
        for (y, number) in input_line::<V, SIZE>(&column).into_iter().enumerate() {
            number.store(tile.to.add((y * SIZE + x) * tile.step));
        }
    }
}

/// Writes the outputs of a tile.
///
/// # Safety
/// The instructions of `V` exist. `SIZE * SIZE` vectors can be read from `from`; the channels of all pixels in the position's
/// ranges lie within the image, and as much within the operand; the bias has as many numbers.
#[inline(always)]
pub(super) unsafe fn output<V: Vector, const SIZE: usize>(tile: Output<'_>) {
    let Output { position, channels, before, after, .. } = tile;
    let zero = V::splat(0.0);
    let mut lines = [[zero; SIZE]; SIZE];
    for (y, line) in lines.iter_mut().enumerate() {
        let mut numbers = [zero; SIZE];
        for (x, loaded) in numbers.iter_mut().enumerate() {
            *loaded = V::load(tile.from.add((y * SIZE + x) * V::LANES));
        }
        *line = output_line::<V, SIZE>(&numbers);
    }
    let bias = if tile.bias.is_null() { zero } else { V::load_partial(tile.bias, channels) };
    let [first_low, first_high] = [V::splat(before.lowest), V::splat(before.highest)];
    let [second_low, second_high] = [V::splat(after.lowest), V::splat(after.highest)];
    let corner = tile.image.add(position.result);
    for x in 0..usize::from(position.outputs.1) {
        let mut column = [zero; SIZE];
        for y in 0..SIZE {
            column[y] = lines[y][x];
        }
        let outputs = output_line::<V, SIZE>(&column);
        for (y, output) in outputs.into_iter().enumerate().take(usize::from(position.outputs.0)) {
            let offset = y * tile.row + x * tile.pixel;
            let mut value = output.add(bias).max(first_low).min(first_high);
            if !tile.operand.is_null() {
                let from = tile.operand.add(position.result + offset);
                let operand = if channels == V::LANES { V::load(from) } else { V::load_partial(from, channels) };
                value = value.add(operand).max(second_low).min(second_high);
            }
            let to = corner.add(offset);
            if channels == V::LANES {
                value.store(to);
            } else {
                if tile.is_padded {
                    zero.store(to);
                }
                value.store_partial(to, channels);
            }
        }
    }
}

/// A line of the input at the points: 0, each pair, infinity.
#[inline(always)]
unsafe fn input_line<V: Vector, const SIZE: usize>(line: &[V; SIZE]) -> [V; SIZE] {
    let numbers = &Line::<SIZE>::NUMBERS;
    let pairs = Line::<SIZE>::PAIRS;
    let mut result = [V::splat(0.0); SIZE];
    let (mut zero, mut infinity) = (line[2 * pairs], line[2 * pairs + 1]);
    for power in 0..pairs {
        let factor = V::splat(numbers.all[power] as f32);
        zero = line[2 * power].mul_add(factor, zero);
        infinity = line[2 * power + 1].mul_add(factor, infinity);
    }
    for pair in 0..pairs {
        let (mut even, mut odd) = (line[2 * pairs], line[2 * pairs - 1]);
        for power in 0..pairs - 1 {
            let factor = V::splat(numbers.others[pair][power] as f32);
            even = line[2 * power + 2].mul_add(factor, even);
            odd = line[2 * power + 1].mul_add(factor, odd);
        }
        let point = numbers.point[pair] as f32;
        result[2 * pair + 1] = odd.mul_add(V::splat(point), even);
        result[2 * pair + 2] = odd.mul_add(V::splat(-point), even);
    }
    result[0] = zero;
    result[SIZE - 1] = infinity;
    result
}

/// The outputs of a line of products; the last two are zero.
#[inline(always)]
unsafe fn output_line<V: Vector, const SIZE: usize>(line: &[V; SIZE]) -> [V; SIZE] {
    let numbers = &Line::<SIZE>::NUMBERS;
    let pairs = Line::<SIZE>::PAIRS;
    let outputs = Line::<SIZE>::OUTPUTS;
    let mut result = [V::splat(0.0); SIZE];
    result[0] = line[0];
    result[outputs - 1] = line[SIZE - 1];
    for pair in 0..pairs {
        let (plus, minus) = (line[2 * pair + 1], line[2 * pair + 2]);
        let halves = [plus.add(minus), plus.sub(minus)];
        for (index, output) in result.iter_mut().enumerate().take(outputs) {
            *output = halves[index % 2].mul_add(V::splat(numbers.power[pair][index]), *output);
        }
    }
    result
}

/// The most output channels whose weights are transformed at once.
const LANES: usize = 16;

/// Weights of some output channels for one input channel, and where their transform goes.
#[derive(Clone, Copy)]
pub(super) struct Kernels<'a> {
    /// The kernels of the input channel, 9 numbers each, for each output channel, at distances of `step`.
    pub(super) from: &'a [f32],
    pub(super) step: usize,
    /// How many there are; what fills up the vector is zero.
    pub(super) count: usize,
    pub(super) lanes: usize,
}

/// Calls `write` with each number of the transform of `kernels`, and with its position.
#[inline(always)]
pub(super) fn weights<const SIZE: usize>(kernels: Kernels<'_>, mut write: impl FnMut(usize, &[f32])) {
    let mut plain = [[[0.0; LANES]; 3]; 3];
    for lane in 0..kernels.count.min(LANES) {
        let start = lane * kernels.step;
        let Some(kernel) = kernels.from.get(start..start + 9) else { return };
        for (index, weight) in kernel.iter().enumerate() {
            plain[index / 3][index % 3][lane] = f64::from(*weight);
        }
    }
    let mut rows = [[[0.0; LANES]; SIZE]; 3];
    for (row, plain) in rows.iter_mut().zip(&plain) {
        for lane in 0..LANES {
            let line = Line::<SIZE>::weights([plain[0][lane], plain[1][lane], plain[2][lane]]);
            for (number, value) in row.iter_mut().zip(line) {
                number[lane] = value;
            }
        }
    }
    for x in 0..SIZE {
        let mut columns = [[0.0; LANES]; SIZE];
        for lane in 0..LANES {
            let line = Line::<SIZE>::weights([rows[0][x][lane], rows[1][x][lane], rows[2][x][lane]]);
            for (number, value) in columns.iter_mut().zip(line) {
                number[lane] = value as f32;
            }
        }
        for (y, column) in columns.iter().enumerate() {
            write(y * SIZE + x, &column[..kernels.lanes.min(LANES)]);
        }
    }
}

/// The distances of [`Strides`] for tiles whose pixels are `dilation` apart.
pub(super) fn dilated(strides: &Strides, dilation: usize) -> (usize, usize) {
    (strides.row * dilation, strides.pixel * dilation)
}
