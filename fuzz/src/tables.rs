//! What is done with a user's `open_mmlab.json`. Used by the fuzz target, and by the test of mmcv-zoo that replays the corpus.

use mmcv_zoo::{Error, Zoo};

/// Names that are resolved of a table.
const NAMES: usize = 20;

/// Merges the table with those of the zoo, and resolves its names; no request is made.
pub fn read(table: &[u8]) -> Result<(), Error> {
    let home = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(home.path().join("open_mmlab.json"), table).expect("a temporary file");
    let zoo = Zoo::new(home.path())?;
    for name in zoo.list()?.keys().take(NAMES) {
        // A name that leads nowhere is an error of its own.
        let _ = std::hint::black_box((zoo.resolve(name), zoo.path(name)));
    }
    Ok(())
}
