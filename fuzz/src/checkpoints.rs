//! What is done with the bytes of a checkpoint: everything that a program would do with a file that was downloaded. Used by
//! the fuzz targets, and by the test of mmcv-pth that replays the corpus.

use std::io::Write;

use mmcv_pth::{Checkpoint, Error, FileCheckpoint, OpenOptions, UnknownClasses, inspect};
use tempfile::NamedTempFile;

/// Reads a whole file of any format: structure, digests, JSON, and each tensor.
pub fn read(bytes: &[u8]) -> Result<(), Error> {
    read_with(bytes, &OpenOptions::default())
}

/// The same, with unknown classes as opaque records.
pub fn read_opaque(bytes: &[u8]) -> Result<(), Error> {
    read_with(bytes, &OpenOptions::default().unknown_classes(UnknownClasses::Opaque))
}

fn read_with(bytes: &[u8], options: &OpenOptions) -> Result<(), Error> {
    let file = file_of(bytes);
    let inspection = inspect(file.path(), options, true)?;
    serde_json::to_vec(&inspection).expect("what was inspected is JSON");
    read_all(&FileCheckpoint::open_with(file.path(), options)?.into())
}

/// Reads a plain pickle of numpy arrays.
pub fn read_arrays(bytes: &[u8]) -> Result<(), Error> {
    let file = file_of(bytes);
    read_all(&Checkpoint::open(file.path())?)
}

fn file_of(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file");
    file
}

fn read_all(checkpoint: &Checkpoint) -> Result<(), Error> {
    for tensor in checkpoint.tensors() {
        let mut length = 0;
        // Sparse tensors and the like have no bytes, and say so.
        if tensor.unsupported().is_none() {
            tensor.for_each_chunk(|chunk| length += chunk.len())?;
        }
        std::hint::black_box(length);
    }
    // Where there is none, that is an error of its own.
    let _ = std::hint::black_box(checkpoint.find(None));
    Ok(())
}

/// Reads a file of `torch.save` whose pickle is given; it has a storage of 64 bytes, `0`.
pub fn read_pickle(pickle: &[u8]) -> Result<(), Error> {
    read(&pth(pickle))
}

/// The same, with unknown classes as opaque records.
pub fn read_opaque_pickle(pickle: &[u8]) -> Result<(), Error> {
    read_opaque(&pth(pickle))
}

fn pth(pickle: &[u8]) -> Vec<u8> {
    zip(&[("archive/data.pkl", pickle), ("archive/data/0", &[0; 64]), ("archive/version", b"3\n")])
}

/// A zip file with stored entries whose checksum is 0, which is: none.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let mut fields = Vec::new();
        // Flags, method, time, date, checksum.
        fields.extend([0_u8; 12]);
        let sizes = [u32::try_from(bytes.len()).unwrap_or(u32::MAX); 2];
        fields.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
        fields.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
        fields.extend([0_u8; 2]);
        let offset = u32::try_from(file.len()).unwrap_or(u32::MAX);
        directory.extend(b"PK\x01\x02\x14\x00\x14\x00".iter().chain(&fields));
        // Comment, disk, attributes.
        directory.extend([0_u8; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
        file.extend(b"PK\x03\x04\x14\x00".iter().chain(&fields));
        file.extend(name.as_bytes().iter().chain(*bytes));
    }
    let count = u16::try_from(entries.len()).unwrap_or(u16::MAX).to_le_bytes();
    let start = u32::try_from(file.len()).unwrap_or(u32::MAX).to_le_bytes();
    let length = u32::try_from(directory.len()).unwrap_or(u32::MAX).to_le_bytes();
    file.extend(directory);
    file.extend(b"PK\x05\x06\x00\x00\x00\x00".iter().chain(&count).chain(&count).chain(&length).chain(&start));
    file.extend([0_u8; 2]);
    file
}
