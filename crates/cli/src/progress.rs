//! Progress bars on stderr. Nothing is drawn if stderr is not a terminal.

use std::io::Read;

use indicatif::{ProgressBar, ProgressStyle};
use mmcv_zoo::Progress;

/// Progress in bytes: amount, rate and time left. It is cleared when it is dropped.
#[derive(Debug)]
pub struct ByteProgress(ProgressBar);

impl ByteProgress {
    /// A bar whose total is not known yet.
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        bar.set_style(style("{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left"));
        Self(bar)
    }

    pub fn with_total(total: u64) -> Self {
        let bar = Self::new();
        bar.0.set_length(total);
        bar
    }

    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    pub fn set_of(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.set(done);
    }

    /// Wraps a reader so that the bytes read from it are counted.
    pub fn wrap_read(&self, source: impl Read) -> impl Read {
        self.0.wrap_read(source)
    }

    /// Shows the state of a download. It contains no URL, which may hold a password.
    pub fn show(&self, progress: Progress) {
        match progress.total {
            Some(total) => self.set_of(progress.received, total),
            None => self.set(progress.received),
        }
    }
}

impl Drop for ByteProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Progress over `count` items, such as `images`; hidden for a single one.
pub fn items(count: usize, noun: &str) -> ProgressBar {
    let bar = if count > 1 { ProgressBar::new(count as u64) } else { ProgressBar::hidden() };
    bar.with_style(style(&format!("{{bar:30}} {{pos}}/{{len}} {noun}, {{per_sec}}, {{eta}} left")))
}

/// Progress through a list whose entries have not been counted. It is cleared when it is dropped.
#[derive(Debug)]
pub struct ListProgressBar {
    bar: ProgressBar,
    has_size: bool,
}

impl ListProgressBar {
    /// A bar for a list of so many bytes, if that is known.
    pub fn new(size: Option<u64>) -> Self {
        let (bar, template) = match size {
            Some(size) => (ProgressBar::new(size), "{bar:30} {percent}% of the list, {msg} images, {eta} left"),
            None => (ProgressBar::no_length(), "{spinner} {pos} images, {per_sec}"),
        };
        Self { bar: bar.with_style(style(template)), has_size: size.is_some() }
    }

    /// Shows how many bytes of the list were read, and how many images are done.
    pub fn set(&self, position: u64, images: u64) {
        if self.has_size {
            self.bar.set_message(images.to_string());
            self.bar.set_position(position);
        } else {
            self.bar.set_position(images);
        }
    }

    /// Clears the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
