//! Images from files: reading alone, and with a network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::case::Measured;
use super::sides::{Processes, Side, in_turns};
use super::table::{heading, line, or_nothing, ratio};
use super::{Network, Setting, network, python};
use crate::process::{run, stage};
use crate::workspace::root;

pub(super) const NETWORK: &str = "mobilenet_v2";
const FILES: usize = 500;

/// A config without a network, for reading alone.
const READING: &str = "model: {type: GlobalAveragePooling}
preprocess: {resize_edge: 256, crop_size: 224, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375], channel_order: rgb}
";

/// Measures both tasks; returns their section of the page.
pub(super) fn measure(setting: &Setting) -> Result<String> {
    let network = network(NETWORK)?;
    let folder = setting.folder.join("files");
    let list = prepare(&folder, setting)?;
    let reading = folder.join("reading.yaml");
    fs::write(&reading, READING).with_context(|| format!("cannot write {}", reading.display()))?;
    let mut text = format!(
        "\n## Images from files\n\n{FILES} JPEG files of 500 x 375, cached by the system, are decoded, resized, cropped and \
         normalized, and classified by MobileNetV2 in f32. `mmcv` is a new process each time, or two with a shard each, and its start \
         counts; PyTorch's `DataLoader` with two workers and its network are loaded before.\n"
    );
    let tasks = [
        ("Reading alone", features(&reading, &list, setting), vec!["loader"]),
        ("With the network", predict(network, &list, setting), vec!["eager", "openvino"]),
    ];
    for (title, mut sides, peers) in tasks {
        stage(format_args!("Images from files: {title}"));
        sides.extend(peers.into_iter().map(|peer| theirs(peer, network, &folder, setting)));
        text.push_str(&format!("\n{title}:\n\n{}", table(&in_turns(title, sides, setting))));
    }
    Ok(text)
}

/// Writes the images, unless they are there; returns the file that lists them.
fn prepare(folder: &Path, setting: &Setting) -> Result<PathBuf> {
    let images = folder.join("images");
    fs::create_dir_all(&images).with_context(|| format!("cannot create {}", images.display()))?;
    if written(&images)?.len() != FILES {
        stage(format_args!("Writing {FILES} JPEG files"));
        run(python::peer(setting).arg("jpegs").arg(&images).arg(FILES.to_string()))?;
    }
    let lines: Vec<String> = written(&images)?.iter().map(|file| file.display().to_string()).collect();
    let list = folder.join("list.txt");
    fs::write(&list, lines.join("\n")).with_context(|| format!("cannot write {}", list.display()))?;
    Ok(list)
}

/// The files in a folder, sorted.
fn written(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

/// `mmcv` with these arguments, in one process and in one for each of two shards.
fn ours(arguments: Vec<String>, list: &Path, setting: &Setting) -> Vec<Side> {
    let run = Run { mmcv: setting.mmcv.clone(), arguments, list: list.to_owned() };
    let sharded = run.clone();
    vec![
        Side { title: "mmcv-rs".to_owned(), processes: Processes::Started(Box::new(move || vec![run.command()])) },
        Side {
            title: "mmcv-rs, two shards".to_owned(),
            processes: Processes::Started(Box::new(move || vec![sharded.shard("0/2"), sharded.shard("1/2")])),
        },
    ]
}

/// A run of `mmcv` over a list of images.
#[derive(Clone)]
struct Run {
    mmcv: PathBuf,
    arguments: Vec<String>,
    list: PathBuf,
}

impl Run {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.mmcv);
        command.args(&self.arguments).arg("--list").arg(&self.list);
        command
    }

    /// One thread of it, with a share of the list.
    fn shard(&self, shard: &str) -> Command {
        let mut command = self.command();
        command.args(["--shard", shard]).env("OMP_NUM_THREADS", "1");
        command
    }
}

fn features(config: &Path, list: &Path, setting: &Setting) -> Vec<Side> {
    ours(vec!["features".to_owned(), config.display().to_string(), "--pooled".to_owned()], list, setting)
}

fn predict(network: Network, list: &Path, setting: &Setting) -> Vec<Side> {
    let config = root().join("model_zoo/configs").join(network.file).with_extension("yaml");
    let checkpoint = setting.network_folder(network).join("weights.pth");
    let (config, checkpoint) = (config.display().to_string(), checkpoint.display().to_string());
    // The weights have mmpretrain's names, not torchvision's as those of the config.
    let arguments = ["predict", &config, "--checkpoint", &checkpoint, "--cfg-options", "checkpoint.dialect=null"];
    ours(arguments.map(str::to_owned).to_vec(), list, setting)
}

/// PyTorch's loader, alone or with a network.
fn theirs(peer: &str, network: Network, folder: &Path, setting: &Setting) -> Side {
    let mut command = python::peer(setting);
    command.arg(format!("{peer}-files")).arg(network.path()).arg("--folder").arg(setting.network_folder(network));
    command.arg("--images").arg(folder.join("images"));
    let title = match peer {
        "openvino" => "DataLoader and OpenVINO, streams",
        "eager" => "DataLoader and PyTorch eager",
        _ => "DataLoader",
    };
    Side { title: title.to_owned(), processes: Processes::Waiting(vec![command]) }
}

/// A row for each side, with its speed relative to the third, the first that is not mmcv-rs.
fn table(results: &[(String, Result<Measured, String>)]) -> String {
    let rate = |side: &Result<Measured, String>| Some(1e3 * FILES as f64 / side.as_ref().ok()?.time);
    let baseline = results.get(2).and_then(|(_, side)| rate(side));
    let against = results.get(2).map(|(title, _)| format!("times as fast as {title}")).unwrap_or_default();
    let mut table = heading("program", &["images per second".to_owned(), against]);
    for (title, side) in results {
        let speed = rate(side).zip(baseline).map(|(rate, baseline)| rate / baseline);
        let cells = [or_nothing(rate(side).map(|rate| format!("{rate:.0}"))), ratio(speed)];
        table.push_str(&line(title, &cells));
    }
    table
}
