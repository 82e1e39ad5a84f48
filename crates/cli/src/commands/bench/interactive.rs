//! `mmcv bench --interactive`: another program says when to measure.

use std::io::{BufRead, Write};

use super::subject::Subject;
use crate::commands::{Failure, Stdout};

/// Prints `ready`, and then answers each line of stdin with one: `run` with the milliseconds of a pass, anything else
/// with `error: ...`. Ends at `quit` and where stdin ends.
pub(super) fn serve(subject: &mut Subject) -> Result<(), Failure> {
    let mut stdout = Stdout::lock();
    let mut say = |line: &str| {
        let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
        written.map_err(|error| Failure(format!("stdout: {error}")))
    };
    say("ready")?;
    let mut stdin = std::io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = stdin.read_until(b'\n', &mut line).map_err(|error| Failure(format!("stdin: {error}")))?;
        let word = String::from_utf8_lossy(&line);
        match word.trim() {
            "" if count == 0 => return Ok(()),
            "quit" => return Ok(()),
            "run" => match subject.pass() {
                Ok(milliseconds) => say(&format!("{milliseconds:.3}"))?,
                Err(failure) => say(&format!("error: {}", failure.to_string().replace('\n', ";")))?,
            },
            other => say(&format!("error: expected `run` or `quit`, found {other:?}"))?,
        }
    }
}
