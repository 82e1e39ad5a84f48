//! Huffman codes.

use super::bits::Bits;
use crate::image::damage::{Damage, Result};

/// Codes of up to this many bits are looked up in one step.
const SHORT: u32 = 9;

/// A Huffman table.
pub(super) struct Table {
    /// The length and the symbol of the code that the next bits begin with; length 0 for longer codes.
    short: Vec<(u8, u8)>,
    /// For each length the first code, the number of codes, and the index of the first symbol.
    long: [(u32, u32, usize); 16],
    symbols: Vec<u8>,
}

impl Table {
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self> {
        let mut table = Self { short: vec![(0, 0); 1 << SHORT], long: [(0, 0, 0); 16], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0_u32, 0);
        for ((length, count), long) in (1_u32..).zip(counts).zip(&mut table.long) {
            *long = (code, u32::from(*count), place);
            for symbol in symbols.iter().skip(place).take(usize::from(*count)) {
                if length <= SHORT {
                    let start = (code << (SHORT - length)) as usize;
                    let end = start + (1 << (SHORT - length));
                    let same = table.short.get_mut(start..end).ok_or(Damage::Header("Huffman table"))?;
                    same.fill((length as u8, *symbol));
                }
                code += 1;
            }
            if code > 1 << length {
                return Err(Damage::Header("Huffman table"));
            }
            place += usize::from(*count);
            code <<= 1;
        }
        Ok(table)
    }

    /// Reads a code and returns its symbol.
    pub(super) fn decode(&self, bits: &mut Bits<'_>) -> Result<u8> {
        let next = bits.peek();
        if let Some(&(length, symbol)) = self.short.get(usize::from(next >> (16 - SHORT)))
            && length > 0
        {
            bits.skip(u32::from(length))?;
            return Ok(symbol);
        }
        for (length, (first, count, place)) in (1_u32..).zip(self.long) {
            let offset = (u32::from(next) >> (16 - length)).wrapping_sub(first);
            if offset < count {
                bits.skip(length)?;
                return self.symbols.get(place + offset as usize).copied().ok_or(Damage::Pixels("an invalid code"));
            }
        }
        // Missing data takes precedence as the reason.
        bits.skip(16)?;
        Err(Damage::Pixels("an invalid code"))
    }
}
