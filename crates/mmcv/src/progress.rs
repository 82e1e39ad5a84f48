//! Progress bars on stderr; nothing is drawn where it is no terminal.

use indicatif::{ProgressBar, ProgressStyle};
use mmcv_zoo::Progress;

/// The progress of one download: bytes, rate, time left. It shows no URL, which may hold a password.
#[derive(Debug)]
pub(crate) struct Download(ProgressBar);

impl Download {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::no_length();
        let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    pub(crate) fn show(&self, progress: Progress) {
        if let Some(total) = progress.total {
            self.0.set_length(total);
        }
        self.0.set_position(progress.received);
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.0.finish_and_clear();
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
