//! Configs of other packages: `mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py`.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::error::{Fault, Result};

/// The packages that mmengine knows, by their modules.
const PACKAGES: [&str; 19] = [
    "mmcls",
    "mmdet",
    "mmdet3d",
    "mmseg",
    "mmaction",
    "mmtrack",
    "mmpose",
    "mmedit",
    "mmocr",
    "mmgen",
    "mmfewshot",
    "mmrazor",
    "mmflow",
    "mmhuman3d",
    "mmrotate",
    "mmselfsup",
    "mmyolo",
    "mmpretrain",
    "mmagic",
];

static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\w*::\w*/\w*").ok());

/// The module and the file of a path with `::`.
pub(super) fn find(path: &str, folders: &[PathBuf]) -> Result<(String, PathBuf)> {
    let matches = PATTERN.as_ref().is_some_and(|pattern| pattern.is_match(path));
    let (module, rest) = path.split_once("::").unwrap_or((path, ""));
    if !matches || rest.contains("::") {
        return Err(Fault::value_error(format!(
            "expected a package and a path such as `mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py`, found {path:?}"
        )));
    }
    if !PACKAGES.contains(&module) {
        let message = format!("mmengine does not support to load {module} config; it knows {}", PACKAGES.join(", "));
        return Err(Fault::new(crate::error::ErrorKind::Python("AssertionError"), message));
    }
    match in_folders(module, Path::new(rest), folders) {
        Some(file) => Ok((module.to_owned(), file)),
        None => Err(missing(path, module, folders)),
    }
}

/// The file of a module such as `mmdet.configs.retinanet` in the folders.
pub(super) fn find_module(module: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let (package, rest) = module.split_once('.')?;
    let file = format!("{}.py", rest.replace('.', "/"));
    for folder in folders {
        let direct = folder.join(package).join(&file);
        if direct.is_file() {
            return Some(direct);
        }
        let installed = folder.join(package).join(".mim").join(&file);
        if installed.is_file() {
            return Some(installed);
        }
    }
    None
}

fn in_folders(module: &str, path: &Path, folders: &[PathBuf]) -> Option<PathBuf> {
    for folder in folders {
        for configs in [".mim/configs", "configs"] {
            let file = folder.join(module).join(configs).join(path);
            if file.is_file() {
                return Some(file);
            }
        }
    }
    None
}

pub(super) fn missing(path: &str, module: &str, folders: &[PathBuf]) -> Fault {
    let searched = if folders.is_empty() {
        "no folder is searched".to_owned()
    } else {
        let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        format!("searched in {}", folders.join(", "))
    };
    Fault::file(format!(
        "{path}: not found; {searched}: set MMCV_CONFIG_PATH to a folder that has {module}/configs or {module}/.mim/configs"
    ))
}
