//! Writing the files of an export.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mmcv_cli::output::{create_parent, display};
use mmcv_fuse::graph::TraceOptions;
use mmcv_fuse::save_torchscript;
use mmcv_layers::Module;
use mmcv_onnx::{Model, data_name};
use mmcv_registry::Dict;
use tch::Tensor;

/// Writes the ONNX file, and the weights to a file beside it if they are too large or `external_data`. Returns the path of that file.
pub(super) fn save(model: &Model, file: &Path, external_data: bool) -> Result<Option<PathBuf>> {
    create_parent(file)?;
    try_save(model, file, external_data).with_context(|| format!("cannot write {}", display(file)))
}

fn try_save(model: &Model, file: &Path, external_data: bool) -> Result<Option<PathBuf>> {
    if !external_data && !model.needs_external_data() {
        mmcv_pth::replace_file(file, |temporary| -> Result<()> { Ok(model.save(temporary)?) })?;
        return Ok(None);
    }
    let location = data_name(file)?;
    let data_file = file.with_file_name(&location);
    mmcv_pth::replace_file(file, |temporary| {
        // The file with the weights gets its name first.
        mmcv_pth::replace_file(&data_file, |temporary_data| -> Result<()> {
            let (mut output, mut data) = (create(temporary)?, create(temporary_data)?);
            model.write_external(&location, &mut output, &mut data)?;
            output.flush()?;
            Ok(data.flush()?)
        })
    })?;
    Ok(Some(data_file))
}

fn create(file: &Path) -> std::io::Result<BufWriter<File>> {
    Ok(BufWriter::with_capacity(1 << 20, File::create(file)?))
}

/// Writes the TorchScript file.
pub(super) fn save_script(network: &dyn Module, input: &Tensor, options: TraceOptions, file: &Path) -> Result<()> {
    create_parent(file)?;
    mmcv_pth::replace_file(file, |temporary| -> Result<()> {
        save_torchscript(network, &[input], &Dict::new(), options, temporary)
            .with_context(|| format!("cannot write {}", display(file)))
    })
}
