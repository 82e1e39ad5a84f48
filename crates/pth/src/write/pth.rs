//! Writing `.pth` files in the format of `torch.save` since torch 1.6.

use std::path::Path;

use serde_json::{Map, Value as JsonValue};

use crate::error::{Error, ErrorKind};
use crate::write::pickler::{self, Pickled};
use crate::write::tree_pickler::{Loss, Tree, TreePickler};
use crate::write::zip_writer::ZipWriter;
use crate::write::{Progress, PthItem, TensorData, atomic};

/// The folder in the archive; readers accept any name.
const FOLDER: &str = "archive";
/// The version of the format written by torch since 1.6.
const VERSION: &[u8] = b"3\n";

/// Writes `root` as a `.pth` file that `torch.load(weights_only=True)` can read. Order, shared storages and `_metadata` are
/// preserved. The file gets its name only when it is complete.
///
/// # Errors
/// Returns an error if the file cannot be written, a mapping has a key twice, or nesting is too deep.
pub fn write_pth(path: impl AsRef<Path>, root: &PthItem<'_>) -> Result<(), Error> {
    let path = path.as_ref();
    write_item(path, root).map_err(|kind| Error::new(path, kind))
}

fn write_item(path: &Path, root: &PthItem<'_>) -> Result<(), ErrorKind> {
    let pickled = pickler::pickle(|pickler| pickler.item(root, 0))?;
    write_file(path, &pickled, None)
}

/// Writes a value of an open checkpoint. Values that the format cannot hold are left out and returned, or with `strict`, are
/// an error.
pub(crate) fn write_tree(
    path: &Path,
    tree: &Tree<'_>,
    strict: bool,
    progress: Progress<'_>,
) -> Result<Vec<Loss>, ErrorKind> {
    let mut losses = Vec::new();
    let pickled = pickler::pickle(|pickler| {
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

/// Writes tensors as a single mapping with Python attributes.
pub(crate) fn write_flat(
    path: &Path,
    tensors: &[(String, TensorData<'_>)],
    attributes: &Map<String, JsonValue>,
    progress: Progress<'_>,
) -> Result<(), ErrorKind> {
    let pickled =
        pickler::pickle(|pickler| pickler.mapping(tensors, |pickler, tensor| pickler.tensor(tensor), attributes, 0))?;
    write_file(path, &pickled, progress)
}

fn write_file(path: &Path, pickled: &Pickled<'_>, progress: Progress<'_>) -> Result<(), ErrorKind> {
    atomic::write_file(path, progress, |writer| {
        let mut zip = ZipWriter::new(writer);
        zip.entry(&format!("{FOLDER}/data.pkl"), &pickled.pickle)?;
        zip.entry(&format!("{FOLDER}/byteorder"), b"little")?;
        for (number, storage) in pickled.storages.iter().enumerate() {
            zip.storage(&format!("{FOLDER}/data/{number}"), storage)?;
        }
        zip.entry(&format!("{FOLDER}/version"), VERSION)?;
        zip.finish()?;
        Ok(())
    })
}
