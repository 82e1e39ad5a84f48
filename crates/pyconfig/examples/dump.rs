//! Prints configs as typed JSON, one line for each file: `dump ROOT FILE...`, with paths relative to the root.

use std::path::Path;

use mmcv_pyconfig::{LoadOptions, load};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().unwrap_or_default();
    let files: Vec<String> = arguments.collect();
    for file in files {
        let mut options = LoadOptions { package_path: vec![root.clone().into()], ..LoadOptions::default() };
        if let Some(path) = std::env::var_os("MMCV_CONFIG_PATH") {
            options.package_path.extend(std::env::split_paths(&path));
        }
        let outcome = load(&Path::new(&root).join(&file), &options).and_then(|config| config.to_typed_json());
        match outcome {
            Ok(json) => println!("{{\"file\": {}, \"config\": {json}}}", serde_json::json!(file)),
            Err(error) => println!("{}", serde_json::json!({ "file": file, "error": error.to_string() })),
        }
    }
}
