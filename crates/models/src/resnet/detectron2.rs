//! The names that Detectron2 gives to the tensors of a ResNet. Reference: detectron2/modeling/backbone/resnet.py.

use mmcv_layers::{KeyMapping, Module, Parts};

use super::stage::ResLayer;

/// A stage is `res2` to `res5`, a norm stands inside its convolution, and `downsample` is `shortcut`.
pub(super) fn dialect(stages: &[ResLayer]) -> KeyMapping {
    let mut pairs =
        vec![("stem.conv1.".to_owned(), "conv1.".to_owned()), ("stem.conv1.norm.".to_owned(), "bn1.".to_owned())];
    for (stage, layer) in stages.iter().enumerate() {
        for (block, module) in layer.blocks().enumerate() {
            let (theirs, ours) = (format!("res{}.{block}.", stage + 2), format!("layer{}.{block}.", stage + 1));
            for (child, module) in Parts::of(module).children {
                let own = format!("{ours}{child}.");
                if child == "downsample" {
                    pairs.extend(shortcut(&format!("{theirs}shortcut."), &own, module));
                } else if child.starts_with("conv") {
                    pairs.push((format!("{theirs}{child}."), own));
                } else if let Some(number) = child.chars().next_back().filter(char::is_ascii_digit) {
                    pairs.push((format!("{theirs}conv{number}.norm."), own));
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
