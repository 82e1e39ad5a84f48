//! Detectron2's names of the tensors of a ResNet. Reference: detectron2/modeling/backbone/resnet.py.

use mmcv_layers::{KeyMapping, Module, Parts};

use super::stage::ResLayer;

/// Stages are `res2` to `res5`, norms are inside their convolutions, and `downsample` is `shortcut`.
pub(super) fn dialect(stages: &[ResLayer]) -> KeyMapping {
    let mut pairs =
        vec![("stem.conv1.".to_owned(), "conv1.".to_owned()), ("stem.conv1.norm.".to_owned(), "bn1.".to_owned())];
    for (stage, layer) in stages.iter().enumerate() {
        for (block, module) in layer.blocks().enumerate() {
            let (theirs, ours) = (format!("res{}.{block}.", stage + 2), format!("layer{}.{block}.", stage + 1));
            for (child, module) in Parts::of(module).children {
                let prefix = format!("{ours}{child}.");
                if child == "downsample" {
                    pairs.extend(shortcut(&format!("{theirs}shortcut."), &prefix, module));
                } else if child.starts_with("conv") {
                    pairs.push((format!("{theirs}{child}."), prefix));
                } else if let Some(number @ '0'..='9') = child.chars().next_back() {
                    pairs.push((format!("{theirs}conv{number}.norm."), prefix));
                }
            }
        }
    }
    KeyMapping::new("detectron2").with_head("linear.").with(pairs)
}

/// The convolution of a shortcut, and its norm.
fn shortcut(theirs: &str, ours: &str, downsample: &dyn Module) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (child, module) in Parts::of(downsample).children {
        if !Parts::of(module).parameters.is_empty() {
            let theirs = if pairs.is_empty() { theirs.to_owned() } else { format!("{theirs}norm.") };
            pairs.push((theirs, format!("{ours}{child}.")));
        }
    }
    pairs
}
