//! `mmcv zoo configs`: writes a config file for each model zoo name.

use std::path::PathBuf;

use clap::Args;
use mmcv_cli::Failure;
use mmcv_cli::output::{create_parent, print, write_text};
use mmcv_models::zoo_entries;

use super::config_text::recipe_text;

/// Writes a config file for each name that has a network in mmcv-rs: FOLDER/torchvision/resnet50.yaml and so on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo configs model_zoo/configs")]
pub(crate) struct Configs {
    /// The folder; existing files are replaced.
    folder: PathBuf,
}

impl Configs {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let entries = zoo_entries().map_err(anyhow::Error::from)?;
        for entry in &entries {
            let file = self.folder.join(entry.config_file());
            create_parent(&file)?;
            write_text(&file, &recipe_text(entry))?;
        }
        print(&format!("{} files\n", entries.len()))
    }
}
