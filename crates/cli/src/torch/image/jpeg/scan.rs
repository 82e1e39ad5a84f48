//! The scans of a JPEG. Every code of every block is read, without computing pixels.

use super::bits::Bits;
use super::huffman::Table;
use crate::image::damage::{Damage, Result};

const MALFORMED: Damage = Damage::Header("scan");
const NO_TABLE: Damage = Damage::Missing("a Huffman table is");

/// Tables and settings for the following scans.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) dc: [Option<Table>; 4],
    pub(super) ac: [Option<Table>; 4],
    /// The number of units between restart markers; 0 for none.
    pub(super) restart_interval: u16,
}

/// A color component of an image.
pub(super) struct Component {
    id: u8,
    across: usize,
    down: usize,
    /// Blocks in a row and in a column, without padding blocks of interleaved units.
    blocks: (usize, usize),
    /// Blocks in a row, with padding blocks.
    stride: usize,
    /// The number of low bits of each coefficient that have not been sent; `None` if nothing has.
    unsent: [Option<u8>; 64],
    /// A bit mask of the nonzero coefficients of each block of a progressive image.
    nonzero: Vec<u64>,
}

impl Component {
    pub(super) fn new(id: u8, across: u8, down: u8) -> Self {
        let (across, down) = (usize::from(across), usize::from(down));
        Self { id, across, down, blocks: (0, 0), stride: 0, unsent: [None; 64], nonzero: Vec::new() }
    }
}

/// The frame of an image.
pub(super) struct Frame {
    components: Vec<Component>,
    progressive: bool,
    /// Interleaved units in a row and in a column.
    units: (usize, usize),
}

impl Frame {
    pub(super) fn new(width: u16, height: u16, mut components: Vec<Component>, progressive: bool) -> Self {
        let (width, height) = (usize::from(width), usize::from(height));
        let most_across = components.iter().map(|component| component.across).max().unwrap_or(1);
        let most_down = components.iter().map(|component| component.down).max().unwrap_or(1);
        let units = (width.div_ceil(8 * most_across), height.div_ceil(8 * most_down));
        for component in &mut components {
            let across = (width * component.across).div_ceil(most_across).div_ceil(8);
            let down = (height * component.down).div_ceil(most_down).div_ceil(8);
            component.blocks = (across, down);
            component.stride = units.0 * component.across;
            if progressive {
                component.nonzero = vec![0; component.stride * units.1 * component.down];
            }
        }
        Self { components, progressive, units }
    }

    /// Checks that all bits of all coefficients were sent.
    pub(super) fn check_complete(&self) -> Result<()> {
        for component in &self.components {
            if component.unsent != [Some(0); 64] {
                return Err(Damage::Missing("scans are"));
            }
        }
        Ok(())
    }
}

/// The header of a scan.
pub(super) struct Scan {
    /// The index of each component in the frame, and the numbers of its DC and AC tables.
    components: Vec<(usize, usize, usize)>,
    /// The first and the last coefficient.
    band: (usize, usize),
    /// The number of low bits that this scan omits.
    low: u8,
    /// Whether the scan refines coefficients that were sent before.
    refines: bool,
}

impl Scan {
    /// Reads the header and records in the frame which coefficients the scan sends.
    pub(super) fn read(header: &[u8], frame: &mut Frame) -> Result<Self> {
        let (&count, rest) = header.split_first().ok_or(MALFORMED)?;
        let (chosen, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or(MALFORMED)?;
        let &[first, last, bits] = rest else { return Err(MALFORMED) };
        let mut components = Vec::new();
        for pair in chosen.chunks_exact(2) {
            let &[id, tables] = pair else { return Err(MALFORMED) };
            let index = frame.components.iter().position(|component| component.id == id).ok_or(MALFORMED)?;
            components.push((index, usize::from(tables >> 4), usize::from(tables & 15)));
        }
        let band = if frame.progressive { (usize::from(first), usize::from(last)) } else { (0, 63) };
        let (high, low) = if frame.progressive { (bits >> 4, bits & 15) } else { (0, 0) };
        let is_dc = band.0 == 0;
        let is_valid_band = band.0 <= band.1 && band.1 < 64 && (!frame.progressive || !is_dc || band.1 == 0);
        if !is_valid_band || components.is_empty() || (!is_dc && components.len() > 1) || low > 13 {
            return Err(MALFORMED);
        }
        let scan = Self { components, band, low, refines: high > 0 };
        scan.record(frame, high)?;
        Ok(scan)
    }

    /// Records which coefficients are sent. A refinement adds one bit to those sent before.
    fn record(&self, frame: &mut Frame, high: u8) -> Result<()> {
        for &(index, ..) in &self.components {
            let component = frame.components.get_mut(index).ok_or(MALFORMED)?;
            let sent = component.unsent.get_mut(self.band.0..=self.band.1).ok_or(MALFORMED)?;
            for unsent in sent {
                if self.refines && (*unsent != Some(high) || self.low + 1 != high) {
                    return Err(Damage::Missing("scans are"));
                }
                *unsent = Some(self.low);
            }
        }
        Ok(())
    }

    /// Reads all codes of the scan and returns the position of the next marker.
    pub(super) fn check(&self, frame: &mut Frame, tables: &Tables, bytes: &[u8], position: usize) -> Result<usize> {
        let mut blocks =
            Blocks { bits: Bits::new(bytes, position), scan: self, progressive: frame.progressive, run: 0 };
        let (across, down) = match self.components.as_slice() {
            [(index, ..)] => frame.components.get(*index).ok_or(MALFORMED)?.blocks,
            _ => frame.units,
        };
        let interval = usize::from(tables.restart_interval);
        for unit in 0..across * down {
            if interval > 0 && unit > 0 && unit % interval == 0 {
                blocks.end_run()?;
                blocks.bits.restart(((unit / interval - 1) % 8) as u8)?;
            }
            self.unit(frame, tables, &mut blocks, (unit % across, unit / across))?;
        }
        blocks.end_run()?;
        blocks.bits.end()
    }

    /// Reads a unit: a block of the only component, or the blocks of several components at one position.
    fn unit(&self, frame: &mut Frame, tables: &Tables, blocks: &mut Blocks<'_>, at: (usize, usize)) -> Result<()> {
        let alone = self.components.len() == 1;
        for &(index, dc, ac) in &self.components {
            let component = frame.components.get_mut(index).ok_or(MALFORMED)?;
            let dc = tables.dc.get(dc).and_then(Option::as_ref);
            let ac = tables.ac.get(ac).and_then(Option::as_ref);
            let (across, down) = if alone { (1, 1) } else { (component.across, component.down) };
            for y in 0..down {
                for x in 0..across {
                    let block = (at.1 * down + y) * component.stride + at.0 * across + x;
                    // A baseline image has no state for its blocks.
                    let mut none = 0;
                    blocks.block(dc, ac, component.nonzero.get_mut(block).unwrap_or(&mut none))?;
                }
            }
        }
        Ok(())
    }
}

/// The blocks of a scan, in order.
struct Blocks<'a> {
    bits: Bits<'a>,
    scan: &'a Scan,
    progressive: bool,
    /// The number of following blocks without coefficients.
    run: u32,
}

impl Blocks<'_> {
    fn end_run(&self) -> Result<()> {
        if self.run > 0 { Err(Damage::Pixels("a run beyond the end")) } else { Ok(()) }
    }

    fn block(&mut self, dc: Option<&Table>, ac: Option<&Table>, nonzero: &mut u64) -> Result<()> {
        let (first, last) = self.scan.band;
        if first == 0 {
            if self.scan.refines {
                return self.bits.skip(1);
            }
            self.value(dc.ok_or(NO_TABLE)?)?;
            if self.progressive {
                return Ok(());
            }
        }
        let ac = ac.ok_or(NO_TABLE)?;
        if self.scan.refines {
            self.refined(ac, first, last, nonzero)
        } else {
            self.first(ac, first.max(1), last, nonzero)
        }
    }

    /// The difference of a DC coefficient.
    fn value(&mut self, table: &Table) -> Result<()> {
        match u32::from(table.decode(&mut self.bits)?) {
            size @ 0..=15 => self.bits.skip(size),
            _ => Err(Damage::Pixels("an invalid code")),
        }
    }

    /// AC coefficients that are sent for the first time.
    fn first(&mut self, table: &Table, mut at: usize, last: usize, nonzero: &mut u64) -> Result<()> {
        if self.run > 0 {
            self.run -= 1;
            return Ok(());
        }
        while at <= last {
            let code = table.decode(&mut self.bits)?;
            let (zeros, size) = (u32::from(code >> 4), u32::from(code & 15));
            match (zeros, size) {
                (15, 0) => at += 16,
                (_, 0) => {
                    if self.progressive {
                        self.run = (1 << zeros) + self.bits.take(zeros)? - 1;
                    }
                    return Ok(());
                }
                _ => {
                    at += zeros as usize;
                    if at > last {
                        return Err(Damage::Pixels("a coefficient beyond the end of its block"));
                    }
                    self.bits.skip(size)?;
                    *nonzero |= 1 << at;
                    at += 1;
                }
            }
        }
        if at > 64 { Err(Damage::Pixels("a coefficient beyond the end of its block")) } else { Ok(()) }
    }

    /// One more bit of AC coefficients that were sent before.
    fn refined(&mut self, table: &Table, mut at: usize, last: usize, nonzero: &mut u64) -> Result<()> {
        while self.run == 0 && at <= last {
            let code = table.decode(&mut self.bits)?;
            let (zeros, size) = (u32::from(code >> 4), code & 15);
            match (zeros, size) {
                (15, 0) => at = self.pass(at, last, zeros, *nonzero)? + 1,
                (_, 0) => self.run = (1 << zeros) + self.bits.take(zeros)?,
                (_, 1) => {
                    self.bits.skip(1)?;
                    at = self.pass(at, last, zeros, *nonzero)?;
                    if at > last {
                        return Err(Damage::Pixels("a coefficient beyond the end of its block"));
                    }
                    *nonzero |= 1 << at;
                    at += 1;
                }
                _ => return Err(Damage::Pixels("an invalid code")),
            }
        }
        if self.run > 0 {
            self.run -= 1;
            self.pass(at, last, u32::MAX, *nonzero)?;
        }
        Ok(())
    }

    /// Skips `zeros` zero coefficients, and the bits of the nonzero ones between them; returns the position of the next zero.
    fn pass(&mut self, mut at: usize, last: usize, mut zeros: u32, nonzero: u64) -> Result<usize> {
        while at <= last {
            if nonzero & (1 << at) != 0 {
                self.bits.skip(1)?;
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            at += 1;
        }
        Ok(at)
    }
}
