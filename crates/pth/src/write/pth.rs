//! Writing `.pth` files as `torch.save` does since torch 1.6.

use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::write::zip::ZipWriter;
use crate::write::{Item, atomic, pickle};

/// The folder within the archive; any name will do.
const FOLDER: &str = "archive";
/// The version of the format that torch writes since 1.6.
const VERSION: &[u8] = b"3\n";

/// Writes `root` as a `.pth` file that `torch.load(weights_only=True)` reads: order, shared storages and `_metadata`
/// are kept. The file appears under its name only when it is complete.
///
/// # Errors
/// The file cannot be written, a mapping has a key twice, or nesting is too deep.
pub fn write_pth(path: impl AsRef<Path>, root: &Item<'_>) -> Result<(), Error> {
    let path = path.as_ref();
    let write = || {
        let pickled = pickle::pickle(root)?;
        atomic::write_file(path, |writer| {
            let mut zip = ZipWriter::new(writer);
            zip.entry(&format!("{FOLDER}/data.pkl"), &pickled.pickle)?;
            zip.entry(&format!("{FOLDER}/byteorder"), b"little")?;
            for (number, storage) in pickled.storages.iter().enumerate() {
                zip.entry(&format!("{FOLDER}/data/{number}"), storage)?;
            }
            zip.entry(&format!("{FOLDER}/version"), VERSION)?;
            zip.finish().map_err(ErrorKind::from)
        })
    };
    write().map_err(|kind| Error::new(path, kind))
}
