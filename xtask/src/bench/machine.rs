//! What the measurements depend on: machine, versions, date.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Setting, python};
use crate::process::output;
use crate::workspace::{LIBTORCH_VERSION, root};

/// Instructions that decide how fast networks run.
const INSTRUCTIONS: [&str; 7] =
    ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16"];

/// Lines of a list in Markdown.
pub(super) fn describe(setting: &Setting) -> String {
    let commit = output(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root()));
    let commit = commit.map_or_else(|_| String::new(), |commit| format!(", commit {}", commit.trim()));
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
    let value = |key: &str| {
        info.lines().find(|line| line.starts_with(key))?.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let flags = value("flags").unwrap_or_default();
    let known: Vec<&str> = INSTRUCTIONS.into_iter().filter(|name| flags.split(' ').any(|flag| flag == *name)).collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kilobytes = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().split(' ').next()?.parse::<f64>().ok())
    });
    let memory = kilobytes.map_or_else(String::new, |kilobytes| format!(", {:.0} GiB", kilobytes / (1 << 20) as f64));
    let model = value("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{model}, {cores} cores{memory} ({})", known.join(", "))
}

/// The date in UTC: `2026-11-27`.
fn date() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let (year, month, day) = civil(seconds / 86400);
    format!("{year}-{month:02}-{day:02}")
}

/// Year, month and day, so many days after 1970-01-01.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (month, length) in (1..).zip(lengths) {
        if days < length {
            return (year, month, days + 1);
        }
        days -= length;
    }
    (year, 12, 31)
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
