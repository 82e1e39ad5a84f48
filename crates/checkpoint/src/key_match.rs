//! Which key mapping fits the names of a checkpoint best.

use std::cmp::Reverse;

use mmcv_layers::KeyMapping;

use crate::error::ErrorKind;

/// Where checkpoints of whole classifiers and detectors have the backbone. The last prefix is Detectron2's, for detectors
/// whose backbone is a part of another.
const PLACES: [&str; 3] = ["", "backbone.", "backbone.bottom_up."];

/// A key mapping, and the prefix of its names.
#[derive(Debug, Default)]
pub(crate) struct KeyMatch {
    dialect: Option<KeyMapping>,
    place: &'static str,
}

/// How well a mapping fits: the more tensors fit the better, and then the fewer do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    fitting: usize,
    unexpected: Reverse<usize>,
}

/// The module's name for a tensor.
pub(crate) enum Renamed {
    /// A name that the module may have.
    To(String),
    /// The tensor belongs to a head, and the module is the backbone alone.
    OfHead,
}

impl KeyMatch {
    /// The mapping for which the most names and shapes fit. The first of equal ones wins; the module's own names come
    /// before those of the dialects. `fits` returns whether the module has a tensor with this name and the shape of the
    /// file's tensor with this index.
    pub(crate) fn choose(
        names: &[String],
        dialects: Vec<KeyMapping>,
        requested: Option<&str>,
        fits: impl Fn(usize, &str) -> bool,
    ) -> Result<Self, ErrorKind> {
        // Modules without dialects may not be backbones.
        let places = if dialects.is_empty() { &PLACES[..1] } else { &PLACES[..] };
        let mut candidates = Vec::new();
        for dialect in candidate_dialects(dialects, requested)? {
            for place in places {
                candidates.push(Self { dialect: dialect.clone(), place });
            }
        }
        let mut best: Option<(Score, Self)> = None;
        for candidate in candidates {
            let score = candidate.score(names, &fits);
            let is_better = match &best {
                None => true,
                Some((most, _)) => score.fitting > 0 && score > *most,
            };
            if is_better {
                best = Some((score, candidate));
            }
            if score.fitting == names.len() {
                break;
            }
        }
        Ok(best.map(|(_, best)| best).unwrap_or_default())
    }

    fn score(&self, names: &[String], fits: impl Fn(usize, &str) -> bool) -> Score {
        let mut score = Score { fitting: 0, unexpected: Reverse(0) };
        for (index, name) in names.iter().enumerate() {
            match self.rename(name) {
                Renamed::To(name) if fits(index, &name) => score.fitting += 1,
                Renamed::To(_) => score.unexpected.0 += 1,
                Renamed::OfHead => {}
            }
        }
        score
    }

    pub(crate) fn rename(&self, name: &str) -> Renamed {
        let Some(name) = name.strip_prefix(self.place) else { return Renamed::OfHead };
        match &self.dialect {
            None => Renamed::To(name.to_owned()),
            Some(dialect) if dialect.is_of_head(name) => Renamed::OfHead,
            Some(dialect) => Renamed::To(dialect.rename(name)),
        }
    }

    /// A description; `None` for the module's own names.
    pub(crate) fn description(&self) -> Option<String> {
        match (&self.dialect, self.place) {
            (None, "") => None,
            (None, place) => Some(format!("names under `{place}`")),
            (Some(dialect), "") => Some(format!("dialect {}", dialect.name())),
            (Some(dialect), place) => Some(format!("dialect {} under `{place}`", dialect.name())),
        }
    }
}

/// The requested dialect, or the module's own names (`None`) followed by all dialects.
fn candidate_dialects(
    dialects: Vec<KeyMapping>,
    requested: Option<&str>,
) -> Result<Vec<Option<KeyMapping>>, ErrorKind> {
    let Some(requested) = requested else {
        let mut candidates = vec![None];
        candidates.extend(dialects.into_iter().map(Some));
        return Ok(candidates);
    };
    let known = dialects.iter().map(|dialect| dialect.name().to_owned()).collect();
    for dialect in dialects {
        if dialect.name() == requested {
            return Ok(vec![Some(dialect)]);
        }
    }
    Err(ErrorKind::UnknownDialect { name: requested.to_owned(), known })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [&str; 3] = ["conv1.weight", "layer1.0.conv1.weight", "bn1.weight"];

    fn dialects() -> Vec<KeyMapping> {
        vec![
            KeyMapping::new("torchvision").with_head("fc."),
            KeyMapping::new("other").with([("stem.0.", "conv1."), ("stem.1.", "bn1.")]),
        ]
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn chosen(names: &[&str]) -> Option<String> {
        KeyMatch::choose(&owned(names), dialects(), None, |_, name| OWN.contains(&name)).unwrap().description()
    }

    #[test]
    fn the_modules_own_names_come_first() {
        assert_eq!(chosen(&OWN), None);
        assert_eq!(chosen(&["a", "backbone.b"]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn the_dialect_that_fits_best_is_chosen() {
        assert_eq!(chosen(&["stem.0.weight", "stem.1.weight"]).unwrap(), "dialect other");
        assert_eq!(chosen(&["backbone.conv1.weight", "head.fc.weight"]).unwrap(), "names under `backbone.`");
        let names = ["conv1.weight", "fc.weight"];
        assert_eq!(chosen(&names).unwrap(), "dialect torchvision");
        let names = ["backbone.stem.0.weight", "backbone.stem.1.weight", "head.x"];
        assert_eq!(chosen(&names).unwrap(), "dialect other under `backbone.`");
    }

    #[test]
    fn an_unknown_dialect_is_an_error() {
        let error =
            KeyMatch::choose(&owned(&OWN), dialects(), Some("torchvison"), |_, _| true).unwrap_err().to_string();
        assert!(error.contains("torchvison") && error.contains("torchvision"), "{error}");
        let key_match = KeyMatch::choose(&owned(&OWN), dialects(), Some("torchvision"), |_, _| true).unwrap();
        assert!(matches!(key_match.rename("fc.weight"), Renamed::OfHead));
    }
}
