//! The log: one JSON object for each batch and each epoch.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::trainer::{Epoch, Step};

/// `log.jsonl` of a training.
#[derive(Debug)]
pub struct Log {
    file: BufWriter<File>,
    failure: Option<std::io::Error>,
}

impl Log {
    /// Opens the log in the folder, which is created if it is missing. What it has of epochs after `done`, which were interrupted,
    /// is left out.
    pub fn open(folder: &Path, done: usize) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let path = folder.join("log.jsonl");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut log = Self { file: BufWriter::new(file), failure: None };
        for line in before.lines() {
            // The last line of a killed process may be cut.
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            if line["epoch"].as_u64().is_some_and(|epoch| epoch <= done as u64) {
                log.line(&line);
            }
        }
        Ok(log)
    }

    /// Notes a batch. [`Self::epoch`] reports a failure.
    pub fn step(&mut self, step: &Step, images_per_second: f64) {
        let Step { epoch, iter, lr, loss, .. } = step;
        let line =
            json!({ "epoch": epoch, "iter": iter, "lr": lr, "loss": loss, "images_per_second": images_per_second });
        self.line(&line);
    }

    /// Notes an epoch, and writes what was noted.
    pub fn epoch(&mut self, epoch: &Epoch) -> Result<()> {
        self.line(&json!(epoch));
        let written = self.file.flush();
        match self.failure.take() {
            Some(error) => Err(error),
            None => written,
        }
        .context("cannot write the log")
    }

    fn line(&mut self, line: &Value) {
        if let Err(error) = writeln!(self.file, "{line}") {
            self.failure.get_or_insert(error);
        }
    }
}

/// Images per second since the beginning of the epoch.
#[derive(Debug)]
pub struct Speed {
    start: Instant,
    images: i64,
}

impl Default for Speed {
    fn default() -> Self {
        Self { start: Instant::now(), images: 0 }
    }
}

impl Speed {
    /// The speed after these images more.
    pub fn after(&mut self, images: i64) -> f64 {
        self.images += images;
        self.images as f64 / self.start.elapsed().as_secs_f64().max(1e-9)
    }
}
