//! The lines of a list, with the digest of all of them.

use std::io::{self, BufRead, Read};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// The most bytes of a line: no path is as long, and neither is an image without a line break taken into memory.
pub const MAX_LINE: usize = 1 << 20;

/// The lines of a list that are not blank.
pub(super) struct Lines<R> {
    input: R,
    digest: Sha256,
    /// The lines so far.
    pub(super) number: u64,
    /// The bytes so far.
    pub(super) position: u64,
    line: Vec<u8>,
}

/// Why there is no next line.
pub(super) enum LineError {
    Io(io::Error),
    /// The number of the line.
    Long(u64),
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, digest: Sha256::new(), number: 0, position: 0, line: Vec::new() }
    }

    /// The next line that is not blank, without its end. Line ends may be those of Windows.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, LineError> {
        loop {
            self.line.clear();
            let limit = MAX_LINE as u64 + 2;
            let count = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line).map_err(LineError::Io)?;
            if count == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.position += count as u64;
            while let Some(b'\n' | b'\r') = self.line.last() {
                self.line.pop();
            }
            if self.line.len() > MAX_LINE {
                return Err(LineError::Long(self.number));
            }
            if !self.line.trim_ascii().is_empty() {
                self.digest.update(&self.line);
                self.digest.update(b"\n");
                return Ok(Some(&self.line));
            }
        }
    }

    /// The digest of all lines but blank ones, in hexadecimal.
    pub(super) fn digest(&self) -> String {
        HEXLOWER.encode(&self.digest.clone().finalize())
    }
}
