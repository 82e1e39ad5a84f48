//! [`Sink`]: where records are written to.

use std::io::{self, Write};

use anyhow::Result;
use mmcv_cli::list::ListEnd;
use mmcv_cli::parts::Part;

/// Where records are written to.
pub(super) enum Sink {
    Stdout { records: u64, errors: u64 },
    Part(Box<Part>),
}

/// Nobody reads stdout any more, as with `| head`.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads stdout any more")]
pub(super) struct ReaderGone;

impl Sink {
    pub(super) fn stdout() -> Self {
        Self::Stdout { records: 0, errors: 0 }
    }

    /// Writes a record, so that a reader has it at once, and that it stays if this process is killed.
    pub(super) fn write(&mut self, line: &str, is_error: bool) -> Result<()> {
        match self {
            Self::Stdout { records, errors } => {
                *records += 1;
                *errors += u64::from(is_error);
                let mut stdout = io::stdout().lock();
                match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
                    Err(error) => Err(anyhow::anyhow!("stdout: {error}")),
                    Ok(()) => Ok(()),
                }
            }
            Self::Part(part) => {
                part.write(line, is_error)?;
                Ok(part.flush()?)
            }
        }
    }

    /// The numbers of records and of those with an error.
    pub(super) fn counts(&self) -> (u64, u64) {
        match self {
            Self::Stdout { records, errors } => (*records, *errors),
            Self::Part(part) => (part.records(), part.errors()),
        }
    }

    /// Completes the output.
    pub(super) fn finish(self, list: &ListEnd) -> Result<()> {
        if let Self::Part(part) = self {
            part.finish(list)?;
        }
        Ok(())
    }
}
