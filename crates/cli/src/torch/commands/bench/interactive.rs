//! `mmcv bench --interactive`: another program controls when to measure.

use std::io::{BufRead, Write};
use std::path::Path;

use super::subject::Subject;
use crate::failure::TEXTS;
use mmcv_cli::Failure;
use mmcv_cli::output::{Stdout, stdout_failure};

/// Prints `ready`, and then answers each line of stdin with one line: `run` with the milliseconds of a pass, `output FILE`
/// with the numbers that the network returns, anything else with `error: ...`. Ends at `quit` and at the end of stdin.
pub(super) fn serve(subject: &mut Subject) -> Result<(), Failure> {
    let mut stdout = Stdout::lock();
    write_line(&mut stdout, "ready")?;
    let mut stdin = std::io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = stdin.read_until(b'\n', &mut line).map_err(|error| Failure::Text(format!("stdin: {error}")))?;
        let request = String::from_utf8_lossy(&line);
        let answer = match request.trim() {
            "" if count == 0 => return Ok(()),
            "quit" => return Ok(()),
            "run" => subject.pass().map(|milliseconds| format!("{milliseconds:.3}")),
            other => match other.strip_prefix("output ") {
                Some(file) => subject.output(Path::new(file)).map(|numbers| text(&numbers)),
                None => Err(Failure::Text(format!("expected `run`, `output FILE` or `quit`, found {other:?}"))),
            },
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => format!("error: {}", failure.describe(&TEXTS).replace('\n', ";")),
        };
        write_line(&mut stdout, &answer)?;
    }
}

/// The numbers, separated by spaces.
fn text(numbers: &[f32]) -> String {
    let words: Vec<String> = numbers.iter().map(|number| format!("{number:e}")).collect();
    words.join(" ")
}

fn write_line(stdout: &mut Stdout, line: &str) -> Result<(), Failure> {
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(stdout_failure)
}
