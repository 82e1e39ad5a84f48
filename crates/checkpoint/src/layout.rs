//! How the names in a checkpoint become those of a module: the layout that fits best is found.

use std::cmp::Reverse;

use mmcv_layers::KeyMapping;

use crate::error::ErrorKind;

/// Under these, checkpoints of whole classifiers and detectors hold the backbone; the last is Detectron2's, of detectors whose
/// backbone is a part of another.
const PLACES: [&str; 3] = ["", "backbone.", "backbone.bottom_up."];

/// A dialect, and what stands before its names.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    dialect: Option<KeyMapping>,
    place: &'static str,
}

/// How well a layout fits: the more tensors the better, and then the fewer without a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fitting {
    count: usize,
    unexpected: Reverse<usize>,
}

/// Our name of a tensor.
pub(crate) enum Renamed {
    /// A name that the module may have.
    To(String),
    /// It is a part of what stands on the backbone, and the module is the backbone alone.
    OfHead,
}

impl Layout {
    /// The layout whose names and shapes fit the most tensors; of equal ones the first, where our own names come before
    /// those of the dialects, in their order. `fits` tells whether the module has a tensor of that name and of the shape of
    /// the file's tensor with that number.
    pub(crate) fn choose(
        names: &[&str],
        dialects: Vec<KeyMapping>,
        wanted: Option<&str>,
        fits: impl Fn(usize, &str) -> bool,
    ) -> Result<Self, ErrorKind> {
        let known: Vec<String> = dialects.iter().map(|dialect| dialect.name().to_owned()).collect();
        let dialects: Vec<_> = match wanted {
            None => std::iter::once(None).chain(dialects.into_iter().map(Some)).collect(),
            Some(wanted) => dialects.into_iter().filter(|dialect| dialect.name() == wanted).map(Some).collect(),
        };
        if dialects.is_empty() {
            let name = wanted.unwrap_or_default().to_owned();
            return Err(ErrorKind::UnknownDialect { name, known });
        }
        // Only of networks that have dialects is it known that they are backbones.
        let places = if known.is_empty() { &PLACES[..1] } else { &PLACES[..] };
        let layouts = dialects
            .into_iter()
            .flat_map(|dialect| places.iter().map(move |place| Self { dialect: dialect.clone(), place }));
        let mut best: Option<(Fitting, Self)> = None;
        for layout in layouts {
            let fitting = layout.fitting(names, &fits);
            if best.as_ref().is_none_or(|(most, _)| fitting.count > 0 && fitting > *most) {
                best = Some((fitting, layout));
            }
            // Nothing can be better than all.
            if fitting.count == names.len() {
                break;
            }
        }
        Ok(best.map(|(_, layout)| layout).unwrap_or_default())
    }

    fn fitting(&self, names: &[&str], fits: impl Fn(usize, &str) -> bool) -> Fitting {
        let mut fitting = Fitting { count: 0, unexpected: Reverse(0) };
        for (index, name) in names.iter().enumerate() {
            match self.rename(name) {
                Renamed::To(name) if fits(index, &name) => fitting.count += 1,
                Renamed::To(_) => fitting.unexpected.0 += 1,
                Renamed::OfHead => {}
            }
        }
        fitting
    }

    pub(crate) fn rename(&self, name: &str) -> Renamed {
        let Some(name) = name.strip_prefix(self.place) else { return Renamed::OfHead };
        match &self.dialect {
            None => Renamed::To(name.to_owned()),
            Some(dialect) if dialect.is_of_head(name) => Renamed::OfHead,
            Some(dialect) => Renamed::To(dialect.rename(name)),
        }
    }

    /// The dialect, in words; `None` where the names are our own.
    pub(crate) fn description(&self) -> Option<String> {
        match (&self.dialect, self.place) {
            (None, "") => None,
            (None, place) => Some(format!("names under `{place}`")),
            (Some(dialect), "") => Some(format!("dialect {}", dialect.name())),
            (Some(dialect), place) => Some(format!("dialect {} under `{place}`", dialect.name())),
        }
    }
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

    fn chosen(names: &[&str]) -> Option<String> {
        Layout::choose(names, dialects(), None, |_, name| OWN.contains(&name)).unwrap().description()
    }

    #[test]
    fn our_own_names_come_first() {
        assert_eq!(chosen(&OWN), None);
        assert_eq!(chosen(&["a", "backbone.b"]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn the_dialect_that_fits_most_is_taken() {
        assert_eq!(chosen(&["stem.0.weight", "stem.1.weight"]).unwrap(), "dialect other");
        assert_eq!(chosen(&["backbone.conv1.weight", "head.fc.weight"]).unwrap(), "names under `backbone.`");
        let names = ["conv1.weight", "fc.weight"];
        assert_eq!(chosen(&names).unwrap(), "dialect torchvision");
        let names = ["backbone.stem.0.weight", "backbone.stem.1.weight", "head.x"];
        assert_eq!(chosen(&names).unwrap(), "dialect other under `backbone.`");
    }

    #[test]
    fn a_dialect_that_is_asked_for_has_to_be_known() {
        let error = Layout::choose(&OWN, dialects(), Some("torchvison"), |_, _| true).unwrap_err().to_string();
        assert!(error.contains("torchvison") && error.contains("torchvision"), "{error}");
        let layout = Layout::choose(&OWN, dialects(), Some("torchvision"), |_, _| true).unwrap();
        assert!(matches!(layout.rename("fc.weight"), Renamed::OfHead));
    }
}
