//! Progress bars on stderr; nothing is drawn where it is no terminal.

use std::io::Read;

use indicatif::{ProgressBar, ProgressStyle};
use mmcv_zoo::Progress;

/// The progress over the bytes of a file: how many, rate, time left.
#[derive(Debug)]
pub(crate) struct Bytes(ProgressBar);

impl Bytes {
    /// Before it is known how many there will be.
    pub(crate) fn unknown() -> Self {
        let bar = ProgressBar::no_length();
        let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    pub(crate) fn of(total: u64) -> Self {
        let bar = Self::unknown();
        bar.0.set_length(total);
        bar
    }

    pub(crate) fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    pub(crate) fn of_total(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.at(done);
    }

    /// What is read through the result is counted.
    pub(crate) fn watch(&self, source: impl Read) -> impl Read {
        self.0.wrap_read(source)
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The progress of one download. It shows no URL, which may hold a password.
#[derive(Debug)]
pub(crate) struct Download(Bytes);

impl Download {
    pub(crate) fn new() -> Self {
        Self(Bytes::unknown())
    }

    pub(crate) fn show(&self, progress: Progress) {
        match progress.total {
            Some(total) => self.0.of_total(progress.received, total),
            None => self.0.at(progress.received),
        }
    }
}

/// The progress over a number of pictures.
pub(crate) fn pictures(count: usize) -> ProgressBar {
    counted(count, "pictures")
}

/// The progress over a number of networks.
pub(crate) fn networks(count: usize) -> ProgressBar {
    counted(count, "networks")
}

fn counted(count: usize, what: &str) -> ProgressBar {
    let bar = if count > 1 { ProgressBar::new(count as u64) } else { ProgressBar::hidden() };
    let style = format!("{{bar:30}} {{pos}}/{{len}} {what}, {{per_sec}}, {{eta}} left");
    bar.with_style(ProgressStyle::with_template(&style).unwrap_or_else(|_| ProgressStyle::default_bar()))
}
