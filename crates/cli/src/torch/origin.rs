//! Where the values were written that an error is about.

use std::error::Error;
use std::path::Path;

use mmcv_cli::Failure;
use mmcv_cli::output::display;
use mmcv_registry::{ConfigError, ConfigErrorKind, load_options};

/// The most places that are listed.
const MOST_PLACES: usize = 5;

/// Adds to an error of a Python config the files and lines of the values that it is about.
pub(crate) fn with_places(failure: Failure, config: Option<&str>) -> Failure {
    let (Failure::Error(error), Some(config)) = (&failure, config) else { return failure };
    if !config.ends_with(".py") {
        return failure;
    }
    let mut keys = Vec::new();
    for cause in error.chain() {
        if let Some(error) = config_error(cause) {
            add_keys(error, &mut keys);
        }
    }
    let lines = places(Path::new(config), &keys);
    if lines.is_empty() {
        return failure;
    }
    match failure {
        Failure::Error(error) => Failure::WithPlaces(error, lines),
        Failure::Text(_) | Failure::Status(..) | Failure::WithPlaces(..) => failure,
    }
}

fn config_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a ConfigError> {
    if let Some(error) = cause.downcast_ref::<mmcv_layers::Error>()
        && let mmcv_layers::ErrorKind::Config(error) = &*error.kind
    {
        return Some(error);
    }
    cause.downcast_ref()
}

fn add_keys(error: &ConfigError, keys: &mut Vec<String>) {
    match &*error.kind {
        ConfigErrorKind::Many(errors) => {
            for error in errors {
                add_keys(error, keys);
            }
        }
        _ => {
            let key = error.path.dotted();
            if !key.is_empty() && !keys.contains(&key) && keys.len() < MOST_PLACES {
                keys.push(key);
            }
        }
    }
}

/// A line for each key: where its value was written, or that of the dict or list around it.
fn places(config: &Path, keys: &[String]) -> Vec<String> {
    if keys.is_empty() {
        return Vec::new();
    }
    let Ok(config) = mmcv_pyconfig::load(config, &load_options()) else { return Vec::new() };
    let mut lines = Vec::new();
    for key in keys {
        let mut known = key.as_str();
        while config.find(known).is_none()
            && let Some((outer, _)) = known.rsplit_once('.')
        {
            known = outer;
        }
        if let Some(place) = config.place(known) {
            lines.push(format!("{known} is set in {}:{}", display(&place.file), place.line));
        }
    }
    lines.dedup();
    lines
}
