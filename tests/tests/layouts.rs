//! The order of an input's elements in memory changes no number: every parity case, in other layouts.

use std::path::Path;

use mmcv::registry::Config;
use mmcv_tests::parity::{self, Layout};

/// The groups of single layers and bricks.
const GROUPS: [&str; 10] =
    ["activation", "bricks", "conv", "conv_module", "dtypes", "norm", "padding", "plugins", "upsample", "wrappers"];

/// Dropout draws for the elements in the order in which they stand in memory, and the gradients of spectral norm cancel
/// out, so that the rounding of a kernel shows; here as in PyTorch.
fn depends_on_layout(file: &Path) -> bool {
    let cfg = parity::Case::read(file).unwrap().description.cfg;
    cfg.get("type").and_then(Config::as_str) == Some("Dropout")
        || cfg.get("with_spectral_norm") == Some(&Config::Bool(true))
}

fn replay_all(layout: Layout) {
    let device = mmcv_tests::device().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut failures = Vec::new();
    let files = GROUPS.iter().flat_map(|group| parity::find(&folder.join(group)).unwrap());
    for file in files.filter(|file| !depends_on_layout(file)) {
        if let Err(error) = parity::replay_as(&file, device, layout) {
            failures.push(format!("{}: {error:#}", file.display()));
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn channels_last() {
    replay_all(Layout::ChannelsLast);
}

#[test]
fn channels_last_with_weights() {
    replay_all(Layout::ChannelsLastWeights);
}

#[test]
fn with_gaps() {
    replay_all(Layout::Strided);
}
