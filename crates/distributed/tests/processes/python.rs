//! A Python rank in the same job.

use std::process::{Command, Stdio};

use mmcv_distributed::{DataParallel, DataParallelOptions, Group, Result};
use mmcv_layers::{Builder, Forward, MODELS};
use mmcv_registry::config;
use serde_json::Value;
use tch::nn::{OptimizerConfig, Sgd};
use tch::{Kind, Tensor};

use super::harness::{Job, variable};
use super::network::{difference, state};

const SCRIPT: &str = r#"
import json
import torch
import torch.distributed as dist
from torch import nn

torch.set_num_threads(1)
dist.init_process_group("gloo")
torch.manual_seed(3)
model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))
ddp = nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1, momentum=0.9)
for step in range(5):
    images = torch.linspace(-1, 1, 24).reshape(6, 4) * (step + 1)
    optimizer.zero_grad()
    ddp(images).square().sum().backward()
    optimizer.step()
total = torch.tensor([1.0])
dist.all_reduce(total)
assert total.item() == 3.0, total
tensors = dict(model.state_dict())
tensors.update((name + ".grad", parameter.grad) for name, parameter in model.named_parameters())
print(json.dumps({name: tensor.double().flatten().tolist() for name, tensor in tensors.items()}))
dist.destroy_process_group()
"#;

pub(crate) fn rank(group: &Group) -> Result<Value> {
    let config = config! {
        type: "Sequential",
        modules: [
            { type: "Linear", in_features: 4, out_features: 8 },
            { type: "BN1d", num_features: 8 },
            { type: "Tanh" },
            { type: "Linear", in_features: 8, out_features: 2 },
        ],
    };
    let network = Builder::new(&MODELS).model(&config)?;
    let network = DataParallel::new(group, network, &DataParallelOptions::default())?;
    let sgd = Sgd { momentum: 0.9, ..Sgd::default() };
    let mut optimizer = sgd.build(&mmcv_layers::ModuleExt::var_store(network.module()), 0.1)?;
    for step in 0..5 {
        let images = Tensor::linspace(2, -3, 12, tch::kind::FLOAT_CPU).reshape([3, 4]) * f64::from(step + 1);
        optimizer.zero_grad();
        network.backward(&network.forward(&images)?.square().sum(Kind::Float))?;
        optimizer.step();
    }
    let mut total = Tensor::from_slice(&[2.0f32]);
    group.all_reduce(&mut total, mmcv_distributed::ReduceOp::Sum)?;
    assert_eq!(total.double_value(&[0]), 3.0);
    Ok(state(network.module()))
}

/// Rank 0 is `torch.nn.parallel.DistributedDataParallel`, rank 1 is ours: weights, buffers and gradients end equal.
#[test]
fn a_python_rank_trains_along() {
    let python = variable("MMCV_TORCH_PYTHON");
    if python.is_empty() {
        println!("not run: set MMCV_TORCH_PYTHON to a Python that has torch 2.13");
        return;
    }
    let mut job = Job::new("python", 2).variable("MMCV_COMPARES", 0);
    let child = Command::new(python)
        .args(["-c", SCRIPT])
        .envs(job.environment(0))
        // Another libtorch than that of the Python package.
        .env_remove("LD_LIBRARY_PATH")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    job.start(1, &[]);
    let ours = job.end(1);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with('{')).unwrap();
    let mut theirs: Value = serde_json::from_str(line).unwrap();
    let mut ours = ours.unwrap();
    // Buffers are those of each rank between two forward passes, which begin with those of rank 0.
    for state in [&mut ours, &mut theirs] {
        state.as_object_mut().unwrap().retain(|name, _| !name.contains("running"));
    }
    let largest = difference(&ours, &theirs);
    println!("{largest:.2e}");
    assert!(largest <= 1e-6, "{largest}");
}
