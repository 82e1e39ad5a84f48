//! The scans of a JPEG: every code of every block is read, and no pixel is computed.

use super::bits::Bits;
use super::huffman::Table;
use crate::picture::damage::{Damage, Result};

/// What holds for the scans that follow.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) dc: [Option<Table>; 4],
    pub(super) ac: [Option<Table>; 4],
    /// Units between restart markers; 0 for none.
    pub(super) restart_interval: u16,
}

/// A colour of an image.
pub(super) struct Component {
    id: u8,
    across: usize,
    down: usize,
    /// Blocks in a row and in a column, without those that only fill up units of several components.
    blocks: (usize, usize),
    /// Blocks in a row, with those that fill up.
    stride: usize,
    /// For each coefficient how many of its low bits were not sent yet; `None` where nothing was.
    unsent: [Option<u8>; 64],
    /// For each block of a progressive image the coefficients that are not zero, by their bits.
    nonzero: Vec<u64>,
}

impl Component {
    pub(super) fn new(id: u8, across: u8, down: u8) -> Self {
        let (across, down) = (usize::from(across), usize::from(down));
        Self { id, across, down, blocks: (0, 0), stride: 0, unsent: [None; 64], nonzero: Vec::new() }
    }
}

/// An image.
pub(super) struct Frame {
    components: Vec<Component>,
    progressive: bool,
    /// Units of several components in a row and in a column.
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

    /// Whether all of all components was sent.
    pub(super) fn is_complete(&self) -> Result<()> {
        let complete = |component: &Component| component.unsent.iter().all(|unsent| *unsent == Some(0));
        match self.components.iter().all(complete) {
            true => Ok(()),
            false => Err(Damage::Missing("scans")),
        }
    }
}

/// The header of a scan.
pub(super) struct Scan {
    /// The place of each component in the frame, and the numbers of its tables for DC and AC.
    components: Vec<(usize, usize, usize)>,
    /// The first and the last coefficient.
    band: (usize, usize),
    /// Low bits that are left out now, and whether those above were sent before.
    low: u8,
    refines: bool,
}

impl Scan {
    /// Reads the header, and notes in the frame what the scan sends.
    pub(super) fn read(header: &[u8], frame: &mut Frame) -> Result<Self> {
        let fail = || Damage::Header("scan");
        let (&count, rest) = header.split_first().ok_or_else(fail)?;
        let (chosen, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or_else(fail)?;
        let &[first, last, bits] = rest else { return Err(fail()) };
        let mut components = Vec::new();
        for pair in chosen.chunks_exact(2) {
            let &[id, tables] = pair else { return Err(fail()) };
            let place = frame.components.iter().position(|component| component.id == id).ok_or_else(fail)?;
            components.push((place, usize::from(tables >> 4), usize::from(tables & 15)));
        }
        let band = if frame.progressive { (usize::from(first), usize::from(last)) } else { (0, 63) };
        let (high, low) = if frame.progressive { (bits >> 4, bits & 15) } else { (0, 0) };
        let is_dc = band.0 == 0;
        let usual = band.0 <= band.1 && band.1 < 64 && (!frame.progressive || !is_dc || band.1 == 0);
        if !usual || components.is_empty() || (!is_dc && components.len() > 1) || low > 13 {
            return Err(fail());
        }
        let scan = Self { components, band, low, refines: high > 0 };
        scan.note(frame, high)?;
        Ok(scan)
    }

    /// Notes which coefficients are sent; a refinement adds one bit to what was sent before.
    fn note(&self, frame: &mut Frame, high: u8) -> Result<()> {
        for &(place, ..) in &self.components {
            let component = frame.components.get_mut(place).ok_or(Damage::Header("scan"))?;
            let sent = component.unsent.get_mut(self.band.0..=self.band.1).ok_or(Damage::Header("scan"))?;
            for unsent in sent {
                if self.refines && (*unsent != Some(high) || self.low + 1 != high) {
                    return Err(Damage::Missing("scans"));
                }
                *unsent = Some(self.low);
            }
        }
        Ok(())
    }

    /// Reads all codes of the scan, and returns where the next marker is.
    pub(super) fn check(&self, frame: &mut Frame, tables: &Tables, bytes: &[u8], at: usize) -> Result<usize> {
        let mut blocks = Blocks { bits: Bits::new(bytes, at), scan: self, progressive: frame.progressive, run: 0 };
        let (across, down) = match self.components.as_slice() {
            [(place, ..)] => frame.components.get(*place).map_or((0, 0), |component| component.blocks),
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

    /// Reads a unit: a block of the only component, or those of several at one place.
    fn unit(&self, frame: &mut Frame, tables: &Tables, blocks: &mut Blocks<'_>, at: (usize, usize)) -> Result<()> {
        let alone = self.components.len() == 1;
        for &(place, dc, ac) in &self.components {
            let component = frame.components.get_mut(place).ok_or(Damage::Header("scan"))?;
            let dc = tables.dc.get(dc).and_then(Option::as_ref);
            let ac = tables.ac.get(ac).and_then(Option::as_ref);
            let (across, down) = if alone { (1, 1) } else { (component.across, component.down) };
            for y in 0..down {
                for x in 0..across {
                    let block = (at.1 * down + y) * component.stride + at.0 * across + x;
                    // Where there is no progress to remember, there is nothing to note.
                    let mut none = 0;
                    blocks.block(dc, ac, component.nonzero.get_mut(block).unwrap_or(&mut none))?;
                }
            }
        }
        Ok(())
    }
}

/// The blocks of a scan, one after the other.
struct Blocks<'a> {
    bits: Bits<'a>,
    scan: &'a Scan,
    progressive: bool,
    /// Blocks that follow without a coefficient of their own.
    run: u32,
}

impl Blocks<'_> {
    fn end_run(&self) -> Result<()> {
        if self.run > 0 { Err(Damage::Pixels("a run beyond the end")) } else { Ok(()) }
    }

    fn block(&mut self, dc: Option<&Table>, ac: Option<&Table>, nonzero: &mut u64) -> Result<()> {
        let table = |table: Option<_>| table.ok_or(Damage::Missing("a Huffman table"));
        let (first, last) = self.scan.band;
        if first == 0 {
            if self.scan.refines {
                return self.bits.skip(1);
            }
            self.value(table(dc)?)?;
            if self.progressive {
                return Ok(());
            }
        }
        match self.scan.refines {
            true => self.refined(table(ac)?, first, last, nonzero),
            false => self.first(table(ac)?, first.max(1), last, nonzero),
        }
    }

    /// The difference of a DC coefficient.
    fn value(&mut self, table: &Table) -> Result<()> {
        match u32::from(table.decode(&mut self.bits)?) {
            size @ 0..=15 => self.bits.skip(size),
            _ => Err(Damage::Pixels("a wrong code")),
        }
    }

    /// AC coefficients of which nothing was sent before.
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

    /// One more bit of AC coefficients of which the higher ones were sent before.
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
                _ => return Err(Damage::Pixels("a wrong code")),
            }
        }
        if self.run > 0 {
            self.run -= 1;
            self.pass(at, last, u32::MAX, *nonzero)?;
        }
        Ok(())
    }

    /// Goes over a number of coefficients that are zero, and over the bits of those between them that are not; returns where
    /// the next zero is.
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
