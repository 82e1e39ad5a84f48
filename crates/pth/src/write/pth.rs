//! Writing `.pth` files as `torch.save` does since torch 1.6.

use std::path::Path;

use serde_json::{Map, Value as JsonValue};

use crate::error::{Error, ErrorKind};
use crate::raw::RawTensor;
use crate::write::pickle::{self, Pickled};
use crate::write::tree::{Loss, Tree, TreePickler};
use crate::write::zip::ZipWriter;
use crate::write::{Item, Progress, TensorData, atomic};

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
    let write = || write_file(path, &pickle::pickle(|pickler| pickler.item(root, 0))?, None);
    write().map_err(|kind| Error::new(path, kind))
}

/// Writes a value of an open checkpoint. What the file cannot hold is left out, and returned; where `strict`, it is an
/// error instead.
pub(crate) fn write_tree<'a, F: Fn(u32) -> RawTensor<'a>>(
    path: &Path,
    tree: &Tree<'a, F>,
    strict: bool,
    progress: Progress<'_>,
) -> Result<Vec<Loss>, ErrorKind> {
    let mut losses = Vec::new();
    let pickled = pickle::pickle(|pickler| {
        let mut writer = TreePickler::new(pickler, tree);
        writer.value(tree.root)?;
        losses = writer.losses;
        Ok(())
    })?;
    if strict && !losses.is_empty() {
        return Err(ErrorKind::Unwritable(losses));
    }
    write_file(path, &pickled, progress)?;
    Ok(losses)
}

/// Writes tensors as one mapping that has these Python attributes.
pub(crate) fn write_flat(
    path: &Path,
    tensors: &[(String, TensorData<'_>)],
    attributes: &Map<String, JsonValue>,
    progress: Progress<'_>,
) -> Result<(), ErrorKind> {
    let pickled = pickle::pickle(|pickler| {
        let tensors = tensors.iter().map(|(key, tensor)| (key, tensor));
        pickler.mapping(tensors, |pickler, tensor| pickler.tensor(tensor), attributes, 0)
    })?;
    write_file(path, &pickled, progress)
}

fn write_file(path: &Path, pickled: &Pickled<'_>, progress: Progress<'_>) -> Result<(), ErrorKind> {
    atomic::write_file(path, progress, |writer| {
        let mut zip = ZipWriter::new(writer);
        zip.entry(&format!("{FOLDER}/data.pkl"), &pickled.pickle)?;
        zip.entry(&format!("{FOLDER}/byteorder"), b"little")?;
        for (number, storage) in pickled.storages.iter().enumerate() {
            zip.stored(&format!("{FOLDER}/data/{number}"), storage)?;
        }
        zip.entry(&format!("{FOLDER}/version"), VERSION)?;
        zip.finish().map_err(ErrorKind::from)
    })
}
