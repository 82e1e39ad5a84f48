//! What a user of the command can do about an error of the libraries on libtorch, by its kind.

use std::error::Error;

use mmcv_checkpoint::Change;
use mmcv_cli::failure::{ErrorTexts, Hint, describe_chain, hint_line, of_reading, of_zoo};
use mmcv_models::ZooError;
use tch::TchError;

/// The errors of all libraries.
pub(crate) const TEXTS: ErrorTexts = ErrorTexts { line, hint };

/// An error with its causes in one line.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    describe_chain(error, &TEXTS).replace("\n  caused by: ", ": ").replace("\n  ", "; ")
}

fn line(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<TchError>() {
        Some(error) => mmcv_layers::first_line(error),
        None => error.to_string(),
    }
}

fn hint(error: &(dyn Error + 'static)) -> Hint {
    let mut hint = Hint::default();
    if let Some(error) = error.downcast_ref::<mmcv_zoo::Error>() {
        hint.line = of_zoo(error);
    } else if let Some(error) = error.downcast_ref::<mmcv_checkpoint::Error>() {
        hint.line = of_checkpoint(error);
        if let mmcv_checkpoint::ErrorKind::File(error) = &*error.kind {
            hint.end = of_reading(&error.kind);
        }
    } else if let Some(error) = error.downcast_ref::<ZooError>() {
        hint.line = of_network(error);
    }
    hint
}

fn of_checkpoint(error: &mmcv_checkpoint::Error) -> String {
    match &*error.kind {
        mmcv_checkpoint::ErrorKind::Zoo(error) => of_zoo(error),
        mmcv_checkpoint::ErrorKind::Mismatch(report) => {
            match report.suggestions.first().map(|suggestion| &suggestion.change) {
                Some(Change::Entry(_)) => {
                    hint_line("set the entry with `--entry`, or `checkpoint.entry` in the config")
                }
                Some(Change::Prefix(_)) => {
                    hint_line("set the prefix with `--prefix`, or `checkpoint.prefix` in the config")
                }
                Some(Change::Revise { .. }) => hint_line("set `checkpoint.revise_keys` in the config"),
                _ => String::new(),
            }
        }
        _ => String::new(),
    }
}

fn of_network(error: &ZooError) -> String {
    match error {
        ZooError::Zoo(error) => of_zoo(error),
        ZooError::Load(error) => of_checkpoint(error),
        ZooError::NoNetwork { name, .. } => hint_line(&format!("`mmcv zoo fetch {name}` downloads the file")),
        _ => String::new(),
    }
}
