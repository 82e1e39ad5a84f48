//! Checkpoints that Python's libraries wrote, in each format and under the names of each, are loaded as a whole and give
//! Python's outputs. Files and outputs are made by `tests/fixtures/checkpoints/generate.py`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mmcv::checkpoint::load_file;
use mmcv::layers::init;
use mmcv::prelude::*;
use mmcv_tests::device;
use serde::Deserialize;
use tch::{Device, Tensor};

/// Largest difference, for each unit of the largest output.
const TOLERANCE: f64 = 1e-4;

/// A network, and the files with its weights.
#[derive(Deserialize)]
struct Network {
    name: String,
    config: Config,
    files: Vec<PathBuf>,
}

/// Loads all files in a folder, and gives their number.
fn replay(folder: &Path) -> usize {
    let device = device().unwrap();
    let networks: Vec<Network> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("networks.json")).unwrap()).unwrap();
    let outputs = Tensor::read_safetensors(folder.join("outputs.safetensors")).unwrap();
    let tensors: HashMap<String, Tensor> = outputs.into_iter().collect();
    let mut count = 0;
    for Network { name, config, files } in &networks {
        let module = init::without_draws(|| build_model(config)).unwrap_or_else(|error| panic!("{name}: {error}"));
        module.to_device(device).unwrap();
        module.train(false);
        let expected: Vec<_> = (0..).map_while(|index| tensors.get(&format!("{name}/out:{index}"))).collect();
        for file in files {
            // What another file left may not count.
            module.state_dict().iter().for_each(|(_, tensor)| drop(tch::no_grad(|| tensor.shallow_clone().fill_(9))));
            let report = load_file(&*module, &folder.join(file), &LoadOptions::default());
            let report = report.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert!(report.is_complete(), "{}: {report}", file.display());
            let picture = tensors[&format!("{name}/in")].to_device(device);
            let found = tch::no_grad(|| module.call(&[&picture], &Dict::new())).unwrap().into_vec();
            assert_eq!(found.len(), expected.len(), "{}", file.display());
            for (stage, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let difference = (found.to_device(Device::Cpu) - *expected).abs().max().double_value(&[]);
                let scale = expected.abs().max().double_value(&[]);
                let file = file.display();
                assert!(scale > 0.01 && expected.std(false).double_value(&[]) > 0.001 * scale, "{file}: all the same");
                assert!(difference <= TOLERANCE * scale, "{file}: stage {stage}: {difference} of {scale}");
            }
            count += 1;
        }
    }
    count
}

#[test]
fn narrow_networks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoints");
    assert_eq!(replay(&folder), 24);
}

/// The networks of the papers: `generate.py --full` says how.
#[test]
#[ignore = "needs a folder of several GB that the script makes"]
fn networks_of_the_papers() {
    let folder = std::env::var_os("MMCV_CHECKPOINTS").expect("MMCV_CHECKPOINTS is the folder that the script made");
    println!("{} files", replay(Path::new(&folder)));
}
