//! `cargo xtask demo`: from a bare machine to a classified image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::process::{cargo, run, stage};
use crate::setup::{Variant, ensure_libtorch};
use crate::weights;
use crate::workspace::{mmcv, root, target};

/// Sets up libtorch, builds, fetches the weights of MobileNetV2, and classifies images.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask demo
  cargo xtask demo cat.jpg dog.jpg

The images with their classes are written to target/demo/.")]
pub(crate) struct Demo {
    /// The images; without any, the bundled photo of a cat.
    #[arg(value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self) -> Result<()> {
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        stage("Building the mmcv command");
        run(cargo(&libtorch).args(["build", "--release", "--package", "mmcv-cli"]))?;
        stage("Fetching the weights");
        weights::fetch(&mmcv())?;
        let images = if self.images.is_empty() { vec![root().join("tests/data/chelsea.png")] } else { self.images };
        for image in images {
            classify(&image)?;
        }
        Ok(())
    }
}

/// Prints the five best classes of an image, and draws them.
fn classify(image: &Path) -> Result<()> {
    let folder = target().join("demo");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let name = image.file_name().with_context(|| format!("{} is not an image file", image.display()))?;
    let drawing = folder.join(name).with_extension("png");
    stage(format_args!("Classifying {}", image.display()));
    let config = root().join("model_zoo/configs/mobilenet_v2.yaml");
    run(Command::new(mmcv()).arg("predict").arg(config).arg(image).args(["--topk", "5", "--out"]).arg(&drawing))
}
