//! `mmcv zoo configs`: a config file for each name of the zoo.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use mmcv_models::zoo_entries;

use crate::commands::config_text::recipe_text;
use crate::commands::{Failure, make_folder_of, print};

/// Writes a config file for each name that has a network here: FOLDER/torchvision/resnet50.yaml and so on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo configs model_zoo/configs")]
pub(crate) struct Configs {
    /// The folder; files of these names are replaced.
    folder: PathBuf,
}

impl Configs {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let entries = zoo_entries().map_err(anyhow::Error::from)?;
        for entry in &entries {
            let file = self.folder.join(entry.config_file());
            make_folder_of(&file)?;
            mmcv_pth::replace_file(&file, |temporary| {
                std::fs::write(temporary, recipe_text(entry))
                    .with_context(|| format!("cannot write {}", file.display()))
            })?;
        }
        print(&format!("{} files\n", entries.len()))
    }
}
