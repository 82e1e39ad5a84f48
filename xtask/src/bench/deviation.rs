//! The scores of an engine, compared with those of PyTorch eager in f32, which were exported with the network.

use std::fs;

use super::Setting;
use super::case::Case;
use super::peer::{Peer, scores};

/// The largest difference, relative to the largest score.
pub(super) fn deviation(peer: &mut Peer, case: &Case, setting: &Setting) -> Result<f64, String> {
    let file = case.file("scores", setting);
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let Some(expected) = scores(&text) else { return Err(format!("{} has other text than numbers", file.display())) };
    let found = peer.scores(&case.file("images", setting))?;
    compare(&found, &expected)
}

fn compare(found: &[f64], expected: &[f64]) -> Result<f64, String> {
    if found.len() != expected.len() {
        return Err(format!("{} scores instead of {}", found.len(), expected.len()));
    }
    let (mut difference, mut largest) = (0.0_f64, 0.0_f64);
    for (found, expected) in found.iter().zip(expected) {
        if !found.is_finite() {
            return Err(format!("{found} among the scores"));
        }
        difference = difference.max((found - expected).abs());
        largest = largest.max(expected.abs());
    }
    Ok(difference / largest)
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn scores_deviate_relative_to_the_largest() {
        assert_eq!(compare(&[1.0, -4.5], &[1.0, -4.0]), Ok(0.125));
        assert!(compare(&[1.0], &[1.0, 2.0]).is_err());
        assert!(compare(&[f64::NAN], &[1.0]).is_err());
    }
}
