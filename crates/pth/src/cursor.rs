//! Reading little-endian numbers from bytes with bounds checks.

/// The bytes end before the requested number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended;

/// A position in a byte slice that advances with each read.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// A cursor at `position`. If that is past the end, every read fails.
    pub(crate) fn at(bytes: &'a [u8], position: u64) -> Self {
        Self { bytes, position: usize::try_from(position).unwrap_or(usize::MAX) }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Ended> {
        let end = self.position.checked_add(count).ok_or(Ended)?;
        let bytes = self.bytes.get(self.position..end).ok_or(Ended)?;
        self.position = end;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Ended> {
        self.take(N)?.try_into().map_err(|_| Ended)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Ended> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Ended> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Ended> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

/// The `length` bytes from `start`, or `None` if they are out of bounds.
pub(crate) fn part(bytes: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let end = start.checked_add(length)?;
    bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// Whether the `length` bytes from `start` lie within `available` bytes.
pub(crate) fn is_inside(start: u64, length: u64, available: u64) -> bool {
    start.checked_add(length).is_some_and(|end| end <= available)
}
