//! What a user of the command can do about an error of the libraries, by its kind.

use std::error::Error;

use mmcv_checkpoint::Change;
use mmcv_models::ZooError;

/// A further line for an error and its causes; empty if there is nothing to add.
pub(super) fn of_chain<'a>(chain: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    for error in chain {
        let mut hint = String::new();
        if let Some(error) = error.downcast_ref::<mmcv_zoo::Error>() {
            hint = of_zoo(error);
        } else if let Some(error) = error.downcast_ref::<mmcv_checkpoint::Error>() {
            hint = of_checkpoint(error);
        } else if let Some(error) = error.downcast_ref::<ZooError>() {
            hint = of_network(error);
        }
        if !hint.is_empty() {
            return hint;
        }
    }
    String::new()
}

pub(super) fn of_zoo(error: &mmcv_zoo::Error) -> String {
    match error.kind() {
        mmcv_zoo::ErrorKind::NoDigest { .. } => {
            line("give the file's SHA-256 with `--sha256 HEX`, or accept any content with `--no-verify`")
        }
        _ => String::new(),
    }
}

/// The options that help after an error of the file reader, to follow its text; empty if there are none.
pub(super) fn of_reading(kind: &mmcv_pth::ErrorKind) -> &'static str {
    use mmcv_pth::{ErrorKind, FileSignature};
    match kind {
        ErrorKind::ForbiddenGlobal { .. } => {
            "; `--unknown-classes opaque` keeps the names of unknown classes and reads the tensors"
        }
        ErrorKind::Unwritable(_) => "; `--entry ENTRY` converts a part of the file, `--lossy` leaves these values out",
        ErrorKind::UnknownFormat { found: FileSignature::Pickle } => {
            "; `mmcv ckpt convert FILE NEW.pth` converts a pickle of NumPy arrays"
        }
        _ => "",
    }
}

fn of_checkpoint(error: &mmcv_checkpoint::Error) -> String {
    match &*error.kind {
        mmcv_checkpoint::ErrorKind::Zoo(error) => of_zoo(error),
        mmcv_checkpoint::ErrorKind::Mismatch(report) => {
            match report.suggestions.first().map(|suggestion| &suggestion.change) {
                Some(Change::Entry(_)) => line("set the entry with `--entry`, or `checkpoint.entry` in the config"),
                Some(Change::Prefix(_)) => line("set the prefix with `--prefix`, or `checkpoint.prefix` in the config"),
                Some(Change::Revise { .. }) => line("set `checkpoint.revise_keys` in the config"),
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
        ZooError::NoNetwork { name, .. } => line(&format!("`mmcv zoo fetch {name}` downloads the file")),
        _ => String::new(),
    }
}

fn line(hint: &str) -> String {
    format!("\n  hint: {hint}")
}
