//! Prints what a checkpoint holds: `inspect [--json] [--digest] FILE`.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let mut flag = |name: &str| {
        let length = arguments.len();
        arguments.retain(|argument| argument != name);
        arguments.len() < length
    };
    let (json, digest) = (flag("--json"), flag("--digest"));
    let [file] = arguments.as_slice() else {
        let _ = writeln!(io::stderr(), "usage: inspect [--json] [--digest] FILE");
        return ExitCode::from(2);
    };
    let inspection = match mmcv_pth::inspect(file, &mmcv_pth::OpenOptions::new(), digest) {
        Ok(inspection) => inspection,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            return ExitCode::from(1);
        }
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if json {
        serde_json::to_writer(&mut out, &inspection).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        write!(out, "{inspection}")
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    }
}
