//! `mmcv bench --interactive`: another program controls when to measure.

use std::io::{BufRead, Write};

use super::subject::Subject;
use crate::failure::TEXTS;
use mmcv_cli::Failure;
use mmcv_cli::output::{Stdout, stdout_failure};

/// Prints `ready`, and then answers each line of stdin with one line: `run` with the milliseconds of a pass, anything else
/// with `error: ...`. Ends at `quit` and at the end of stdin.
pub(super) fn serve(subject: &mut Subject) -> Result<(), Failure> {
    let mut stdout = Stdout::lock();
    write_line(&mut stdout, "ready")?;
    let mut stdin = std::io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = stdin.read_until(b'\n', &mut line).map_err(|error| Failure::Text(format!("stdin: {error}")))?;
        let word = String::from_utf8_lossy(&line);
        match word.trim() {
            "" if count == 0 => return Ok(()),
            "quit" => return Ok(()),
            "run" => {
                let answer = match subject.pass() {
                    Ok(milliseconds) => format!("{milliseconds:.3}"),
                    Err(failure) => format!("error: {}", failure.describe(&TEXTS).replace('\n', ";")),
                };
                write_line(&mut stdout, &answer)?;
            }
            other => write_line(&mut stdout, &format!("error: expected `run` or `quit`, found {other:?}"))?,
        }
    }
}

fn write_line(stdout: &mut Stdout, line: &str) -> Result<(), Failure> {
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(stdout_failure)
}
