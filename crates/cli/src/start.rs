//! What a program does around its command.

use std::ffi::OsString;
use std::io::Write;

use clap::Parser;

use crate::failure::{ErrorTexts, Failure};
use crate::output::escape_lines;

/// Parses the arguments, runs the command, and prints why it failed. Returns the exit status.
pub fn run<A: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    command: impl FnOnce(A) -> Result<(), Failure>,
    texts: &ErrorTexts,
) -> u8 {
    let arguments = match A::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match command(arguments) {
        Ok(()) => 0,
        Err(failure) => fail(&failure, texts),
    }
}

/// Prints why a command failed. Returns the exit status.
pub fn fail(failure: &Failure, texts: &ErrorTexts) -> u8 {
    // If stderr is closed, there is nowhere to report that.
    let _ = writeln!(std::io::stderr(), "error: {}", failure.describe(texts));
    failure.status()
}

/// Prints help or a usage error. Control characters in it, which come from the arguments, are escaped.
fn usage(error: &clap::Error) -> u8 {
    let text = error.to_string();
    let escaped = escape_lines(&text);
    // If the stream is closed, there is nowhere to report that.
    if escaped == text {
        let _ = error.print();
    } else {
        let _ = write!(std::io::stderr(), "{escaped}");
    }
    u8::try_from(error.exit_code()).unwrap_or(1)
}

/// Logs warnings as `warning: ...`; `RUST_LOG` overrides the level.
pub fn start_logging() {
    let mut builder = env_logger::Builder::new();
    builder.parse_filters("warn").parse_default_env();
    builder.format(|out, record| {
        let text = escape_lines(&record.args().to_string());
        writeln!(out, "{}: {}", record.level().as_str().to_lowercase().replace("warn", "warning"), text)
    });
    builder.init();
}
