//! Distributed training: two processes of mmcv-rs and two of PyTorch.

use std::net::TcpListener;
use std::process::Command;

use anyhow::{Context, Result};

use super::sides::{Processes, Side, in_turns};
use super::table::{heading, line, or_nothing, ratio};
use super::{Network, Setting, network, python};
use crate::process::stage;

const PROCESSES: usize = 2;
/// The program of mmcv-rs.
pub(super) const EXAMPLE: &str = "measure_distributed";
/// The network of the training step.
pub(super) const NETWORK: &str = "resnet18";

/// What the processes do together.
struct Task {
    /// In the row of the table.
    title: &'static str,
    /// On the command lines.
    name: &'static str,
    pytorch: bool,
}

const TASKS: [Task; 4] = [
    Task { title: "sum of 100 MB of each process (Gloo)", name: "all-reduce", pytorch: true },
    Task { title: "training step, ResNet-18, 4 images in each process", name: "step", pytorch: true },
    Task { title: "BN, forward and backward, 8 x 64 x 56 x 56 in each process", name: "bn", pytorch: true },
    Task { title: "SyncBN, the same", name: "sync-bn", pytorch: false },
];

/// Measures all tasks; returns their section of the page.
pub(super) fn measure(setting: &Setting) -> Result<String> {
    let network = network(NETWORK)?;
    let columns = ["mmcv-rs, ms", "PyTorch, ms", "times as fast as PyTorch"];
    let mut table = heading("task", &columns.map(str::to_owned));
    for Task { title, name, pytorch } in TASKS {
        stage(format_args!("{PROCESSES} processes, {title}"));
        let mut sides = vec![side("mmcv-rs", || ours(name, network, setting))?];
        if pytorch {
            sides.push(side("PyTorch", || theirs(name, network, setting))?);
        }
        let results = in_turns(name, sides, setting);
        let time = |side: usize| Some(results.get(side)?.1.as_ref().ok()?.time);
        let speed = time(0).zip(time(1)).map(|(ours, theirs)| theirs / ours);
        let cell = |time: Option<f64>| or_nothing(time.map(|time| format!("{time:.1}")));
        table.push_str(&line(title, &[cell(time(0)), cell(time(1)), ratio(speed)]));
    }
    Ok(format!(
        "\n## Distributed training\n\n{PROCESSES} processes with one thread each; the time until the last of them is done. A step is \
         that of the table above, and PyTorch's that of `DistributedDataParallel`. PyTorch's SyncBN refuses tensors on the \
         CPU.\n\n{table}"
    ))
}

/// The processes of a side, which find each other as with torchrun.
fn side(title: &str, command: impl Fn() -> Command) -> Result<Side> {
    let port = free_port().context("cannot find a free port")?;
    let mut commands = Vec::new();
    for rank in 0..PROCESSES {
        let mut command = command();
        let numbers =
            [("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", PROCESSES), ("LOCAL_WORLD_SIZE", PROCESSES)];
        for (name, number) in numbers {
            command.env(name, number.to_string());
        }
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string()).env("OMP_NUM_THREADS", "1");
        commands.push(command);
    }
    Ok(Side { title: title.to_owned(), processes: Processes::Waiting(commands) })
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn ours(task: &str, network: Network, setting: &Setting) -> Command {
    let mut command = Command::new(setting.mmcv.with_file_name("examples").join(EXAMPLE));
    command.arg(task);
    if task == "step" {
        command.arg(network.path()).arg("--checkpoint").arg(setting.network_folder(network).join("weights.pth"));
    }
    command
}

fn theirs(task: &str, network: Network, setting: &Setting) -> Command {
    let mut command = python::peer(setting);
    command.arg(task).arg(network.path()).arg("--folder").arg(setting.network_folder(network));
    command
}
