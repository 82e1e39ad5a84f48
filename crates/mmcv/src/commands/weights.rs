//! The weights of a network: where they come from, and how they are loaded.

use anyhow::Result;
use clap::Args;
use mmcv_checkpoint::open_checkpoint;
use mmcv_layers::{Module, init};
use mmcv_models::CheckpointConfig;
use mmcv_zoo::FetchOptions;

use super::zoo::Verification;
use crate::progress::Download;

/// The arguments for weights.
#[derive(Debug, Args)]
pub(super) struct Weights {
    /// The weights, in place of the config's: a path, a URL, torchvision://NAME or open-mmlab://NAME.
    #[arg(long, value_name = "SOURCE")]
    checkpoint: Option<String>,
    #[command(flatten)]
    verification: Verification,
}

impl Weights {
    /// Whether the command line names weights.
    pub(super) fn are_given(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// The weights of the command line, loaded as the config says, or else those of the config.
    pub(super) fn chosen(&self, config: Option<&CheckpointConfig>) -> Option<CheckpointConfig> {
        let mut chosen = config.cloned();
        if let Some(source) = &self.checkpoint {
            chosen.get_or_insert_with(|| CheckpointConfig::new(String::new())).source.clone_from(source);
        }
        chosen
    }

    /// Builds a network and loads weights into it, which are fetched, with a progress bar, where they are not there yet.
    pub(super) fn load(
        &self,
        checkpoint: &CheckpointConfig,
        build: impl FnOnce() -> mmcv_layers::Result<Box<dyn Module>>,
    ) -> Result<Box<dyn Module>> {
        // What is loaded as a whole needs no initial values.
        let network = if checkpoint.strict { init::without_draws(build) } else { build() }?;
        let bar = Download::new();
        let show = |progress| bar.show(progress);
        let fetch = FetchOptions { progress: Some(&show), ..self.verification.options() };
        let file = open_checkpoint(&checkpoint.source, &fetch)?;
        drop(bar);
        file.load_into(&*network, &checkpoint.options()?)?;
        Ok(network)
    }
}
