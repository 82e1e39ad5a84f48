//! `mmcv zoo`: names to verified files, and to networks.

mod config_text;
mod configs;
mod networks;
mod show;

use clap::Subcommand;
use mmcv_cli::Failure;
use mmcv_cli::commands::zoo::Files;

/// The model zoo: names, URLs and verified files.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  mmcv zoo list resnet50
  mmcv zoo show open-mmlab://detectron2/resnet50_caffe
  mmcv zoo fetch torchvision://mobilenet_v2
  mmcv zoo fetch open-mmlab://detectron2/resnet50_caffe
  mmcv zoo where torchvision://mobilenet_v2
  mmcv zoo verify
  mmcv zoo prune --dry-run
  mmcv zoo bundle /mnt/stick torchvision://resnet50 open-mmlab://resnet50_v1c

Files are cached in $MMCV_HOME, else $XDG_CACHE_HOME/mmcv, else ~/.cache/mmcv.
An open_mmlab.json there adds or replaces names. A config.json there may contain
  {\"mirrors\": {\"https://download.openmmlab.com/\": [\"https://mirror.example/\"]},
   \"digests\": {\"https://example.org/model.pth\": \"<its SHA-256>\"}}
MMCV_MIRRORS=\"PREFIX=MIRROR ...\" takes precedence over these mirrors; MMCV_OFFLINE=1 disables requests.
SSL_CERT_FILE and SSL_CERT_DIR replace the system's trusted certificates.")]
pub(crate) enum Zoo {
    #[command(flatten)]
    Files(Files),
    Show(show::Show),
    Networks(networks::Networks),
    Configs(configs::Configs),
}

impl Zoo {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Files(command) => command.run(),
            Self::Show(command) => command.run(),
            Self::Networks(command) => command.run(),
            Self::Configs(command) => command.run(),
        }
    }
}
