//! The conditions of a measurement: machine, versions, date.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Setting, python};
use crate::process::output;
use crate::workspace::{LIBTORCH_VERSION, root};

/// Instruction sets that determine the speed of networks.
const INSTRUCTIONS: [&str; 7] =
    ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8"];

/// Lines of a list in Markdown.
pub(super) fn describe(setting: &Setting) -> String {
    let commit = match output(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root())) {
        Ok(commit) => format!(", commit {}", commit.trim()),
        Err(_) => String::new(),
    };
    let versions = output(python::peer(setting).arg("versions")).unwrap_or_default();
    let rust = output(Command::new("rustc").arg("--version")).unwrap_or_default();
    let packages: Vec<&str> = versions.lines().collect();
    format!(
        "- date: {}\n- machine: {}\n- mmcv-rs {}{commit}, libtorch {LIBTORCH_VERSION}, {}\n- {}\n- {} threads for each \
         engine\n",
        date(),
        hardware(),
        env!("CARGO_PKG_VERSION"),
        rust.split(" (").next().unwrap_or_default().trim(),
        packages.join(", "),
        setting.threads
    )
}

fn hardware() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = value_of(&info, "model name").unwrap_or(std::env::consts::ARCH);
    let flags: Vec<&str> = value_of(&info, "flags").unwrap_or_default().split(' ').collect();
    let mut known = INSTRUCTIONS.to_vec();
    known.retain(|name| flags.contains(name));
    let cores = match std::thread::available_parallelism() {
        Ok(cores) => cores.get(),
        Err(_) => 0,
    };
    let memory = match memory() {
        Some(gibibytes) => format!(", {gibibytes:.0} GiB"),
        None => String::new(),
    };
    format!("{model}, {cores} cores{memory} ({})", known.join(", "))
}

/// The value of the first line `key : value`.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    for line in text.lines() {
        if line.starts_with(key) {
            return Some(line.split_once(':')?.1.trim());
        }
    }
    None
}

/// The memory of the machine in GiB.
fn memory() -> Option<f64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let total = value_of(&text, "MemTotal")?;
    let kilobytes: f64 = total.trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes / (1 << 20) as f64)
}

/// The date in UTC: `2026-11-27`.
fn date() -> String {
    let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(time) => time.as_secs(),
        Err(_) => 0,
    };
    let (year, month, day) = civil(seconds / 86400);
    format!("{year}-{month:02}-{day:02}")
}

/// Year, month and day of a number of days after 1970-01-01.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let mut year = 1970;
    while days >= 365 + leap_day(year) {
        days -= 365 + leap_day(year);
        year += 1;
    }
    let lengths = [31, 28 + leap_day(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (index, length) in lengths.into_iter().enumerate() {
        if days < length {
            return (year, index + 1, days + 1);
        }
        days -= length;
    }
    (year, 12, 31)
}

/// 1 in a leap year, else 0.
fn leap_day(year: u64) -> u64 {
    u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)))
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_have_dates() {
        for (days, date) in [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (20_784, (2026, 11, 27))] {
            assert_eq!(civil(days), date);
        }
    }
}
