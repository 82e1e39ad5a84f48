//! Convolutions of 3 x 3 that `mmcv-kernels` computes in place of oneDNN, where that is faster.

use mmcv_kernels::{Clamp, Finish, Isa, Layout, Operand, Problem, Tile};
use tch::Tensor;

use super::arena::Arena;
use super::compile::{Compiler, Place, Stored};
use super::desc::{self, Desc};
use super::unit::{After, Unit};
use crate::bridge::{Algorithm, LibtorchThreads, Span, Type, block_size, numbers, parts, thread_count};
use crate::convolution::Convolution;
use crate::error::{Error, Result};
use crate::graph::ValueId;
use crate::options::WinogradUse;

/// A convolution with the places of its memory.
#[derive(Debug)]
pub(super) struct Winograd<P> {
    convolution: mmcv_kernels::Convolution,
    weight: Tensor,
    bias: Option<Tensor>,
    ends: Ends,
    added: Added<P>,
    source: P,
    result: P,
    scratch: P,
}

/// What is done with the result, of which one value may be added.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    before: Clamp,
    operand: Option<ValueId>,
    after: Clamp,
}

/// Where that value is.
#[derive(Debug, Clone, Copy)]
enum Added<P> {
    Nothing,
    /// Where the result is written.
    Result,
    /// Where the input is.
    Source,
    Other(P),
}

impl Convolution {
    /// Adds this convolution as one of Winograd; returns `None` if it is none, or the direct form is better.
    pub(super) fn lower_winograd(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Option<Stored>> {
        let Some(ends) = ends(unit) else { return Ok(None) };
        let Some(mut problem) = self.problem(compiler, unit)? else { return Ok(None) };
        let isa = match (Isa::best(), block_size()?) {
            (Isa::Avx512, 8) => Isa::Avx2,
            (isa, _) => isa,
        };
        let threads = thread_count();
        let tile = match compiler.prescribed(self.weight) {
            Some(prescribed) => prescribed,
            None => tile(compiler.winograd, &problem, isa, threads),
        };
        let Some(tile) = tile else { return Ok(None) };

        let native = compiler.typed(self.input)?;
        let shape = compiler.shape(self.input)?;
        let (source, layout) = match layout(&native.desc, &shape)? {
            Some(layout) => (native, layout),
            None => {
                let wanted = compiler.interleaved(&shape)?;
                let Some(layout) = layout(&wanted, &shape)? else { return Ok(None) };
                (compiler.layout(self.input, wanted)?, layout)
            }
        };
        let output = compiler.shape(unit.output)?;
        let result = match layout {
            Layout::ChannelsLast => desc::channels_last(&output, Type::F32)?,
            _ => desc::blocked(&output, Type::F32)?,
        };
        (problem.source, problem.result) = (layout, layout);
        let convolution = mmcv_kernels::Convolution::new(problem, tile, isa, threads)?;
        let weight = compiler.transformed(self.weight, tile, &convolution)?;
        let bias = match self.bias {
            Some(bias) => Some(compiler.constant(bias)?),
            None => None,
        };
        let operand = match ends.operand {
            Some(value) if compiler.shape(value)? != output => return Ok(None),
            Some(value) => Some((compiler.layout(value, result.clone())?, compiler.dies(value, unit))),
            None => None,
        };
        let (added, result) = match operand {
            Some((Stored { place, .. }, _)) if place == source.place => (Added::Source, compiler.stored(result)),
            Some((Stored { desc, place, .. }, true)) => (Added::Result, Stored::float(desc, place)),
            Some((Stored { place, .. }, false)) => (Added::Other(place), compiler.stored(result)),
            None => (Added::Nothing, compiler.stored(result)),
        };
        let scratch = compiler.bytes(convolution.scratch_len() * 4);
        let kernel = format!("winograd:{tile:?}:{isa:?}").to_lowercase();
        let (source, place) = (source.place, result.place);
        let step = Winograd { convolution, weight, bias, ends, added, source, result: place, scratch };
        compiler.winograd_step(kernel, step);
        Ok(Some(result))
    }

    /// The convolution in the terms of `mmcv-kernels`, with layouts to be set; `None` if it is none of 3 x 3 with stride 1.
    fn problem(&self, compiler: &Compiler<'_>, unit: &Unit) -> Result<Option<Problem>> {
        let (shape, weight) = (compiler.shape(self.input)?, compiler.shape(self.weight)?);
        let (&[batch, in_channels, height, width], &[out_channels, _, 3, 3]) = (shape.as_slice(), weight.as_slice())
        else {
            return Ok(None);
        };
        let (&[padding, same_padding], &[dilation, same_dilation]) =
            (self.padding.as_slice(), self.dilation.as_slice())
        else {
            return Ok(None);
        };
        let is_usual = self.stride == [1, 1] && self.groups == 1 && !self.transposed;
        let is_image = in_channels <= 4;
        if compiler.float != Type::F32 || is_image || !is_usual || padding != same_padding || dilation != same_dilation
        {
            return Ok(None);
        }
        if compiler.shape(unit.output)?.len() != 4 || padding % dilation.max(1) != 0 {
            return Ok(None);
        }
        let [batch, in_channels, out_channels] = [size(batch)?, size(in_channels)?, size(out_channels)?];
        let [height, width, padding, dilation] = [size(height)?, size(width)?, size(padding)?, size(dilation)?];
        let (source, result) = (Layout::ChannelsLast, Layout::ChannelsLast);
        Ok(Some(Problem { batch, in_channels, out_channels, height, width, padding, dilation, source, result }))
    }
}

fn size(size: i64) -> Result<usize> {
    usize::try_from(size).map_err(|_| Error::unsupported("", format!("a size of {size}")))
}

/// What is done with the result, if that is bounds and one sum.
fn ends(unit: &Unit) -> Option<Ends> {
    let mut ends = Ends::default();
    for after in &unit.after {
        match after {
            After::Eltwise(eltwise) => {
                let bounds = match eltwise.algorithm {
                    Algorithm::Relu if eltwise.alpha == 0.0 => Clamp { lowest: 0.0, highest: f32::INFINITY },
                    Algorithm::Clip if eltwise.alpha <= eltwise.beta => {
                        Clamp { lowest: eltwise.alpha, highest: eltwise.beta }
                    }
                    _ => return None,
                };
                let place = if ends.operand.is_some() { &mut ends.after } else { &mut ends.before };
                place.lowest = place.lowest.clamp(bounds.lowest, bounds.highest);
                place.highest = place.highest.clamp(bounds.lowest, bounds.highest);
            }
            After::Binary(Algorithm::Add, value) if ends.operand.is_none() => ends.operand = Some(*value),
            After::Binary(..) | After::Quantize(_) => return None,
        }
    }
    Some(ends)
}

/// The tile to use; `None` for the direct form.
fn tile(wanted: WinogradUse, problem: &Problem, isa: Isa, threads: usize) -> Option<Tile> {
    match wanted {
        WinogradUse::Never => None,
        WinogradUse::Auto => Tile::fastest(problem, isa, threads, Tile::F6),
        WinogradUse::Always => Some(Tile::fastest(problem, isa, threads, Tile::F6).unwrap_or(Tile::F4)),
    }
}

/// The layout that a description of images stands for, if the kernels can read it.
fn layout(desc: &Desc, shape: &[i64]) -> Result<Option<Layout>> {
    if *desc == desc::channels_last(shape, Type::F32)? {
        return Ok(Some(Layout::ChannelsLast));
    }
    if *desc == desc::blocked(shape, Type::F32)? {
        return Ok(Some(if block_size()? == 16 { Layout::Blocked16 } else { Layout::Blocked8 }));
    }
    Ok(None)
}

impl Winograd<Place> {
    /// The buffers that it uses.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places = vec![self.source, self.result, self.scratch];
        if let Added::Other(place) = self.added {
            places.push(place);
        }
        places
    }

    /// The same with the places that the arena gave the buffers.
    pub(super) fn placed(self, arena: &Arena) -> Result<Winograd<Span>> {
        let Self { convolution, weight, bias, ends, added, source, result, scratch } = self;
        let span = |place: Place| match place {
            Place::Buffer(buffer) => Ok(arena.span(buffer)),
            Place::Slot(_) | Place::Memory(_) => Err(outside()),
        };
        let added = match added {
            Added::Nothing => Added::Nothing,
            Added::Result => Added::Result,
            Added::Source => Added::Source,
            Added::Other(place) => Added::Other(span(place)?),
        };
        let (source, result, scratch) = (span(source)?, span(result)?, span(scratch)?);
        Ok(Winograd { convolution, weight, bias, ends, added, source, result, scratch })
    }
}

impl Winograd<Span> {
    /// Computes the result.
    pub(super) fn run(&self, arena: &mut Tensor) -> Result<()> {
        // An empty part stands for an operand that is none.
        let other = match self.added {
            Added::Other(span) => span,
            _ => Span { offset: 0, size: 0 },
        };
        let spans = [self.source, self.result, self.scratch, other];
        let [source, result, scratch, other] = parts(arena, spans).ok_or_else(outside)?;
        let weight = numbers(&self.weight).ok_or_else(outside)?;
        let finish = Finish {
            bias: match &self.bias {
                Some(bias) => Some(numbers(bias).ok_or_else(outside)?),
                None => None,
            },
            before: self.ends.before,
            operand: match self.added {
                Added::Nothing => Operand::None,
                Added::Result => Operand::InPlace,
                Added::Source => Operand::Images(source),
                Added::Other(_) => Operand::Images(other),
            },
            after: self.ends.after,
        };
        Ok(self.convolution.run(weight, source, &finish, result, scratch, &LibtorchThreads)?)
    }
}

fn outside() -> Error {
    Error::unsupported("", "the images or weights of a convolution do not lie where they should")
}
