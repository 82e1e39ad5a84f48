//! Several processes, each with its share, against one process with the whole batch.

use mmcv_distributed::{DataParallel, DataParallelOptions, Group, Result};
use mmcv_layers::norm::revert_sync_batchnorm;
use mmcv_layers::{Forward, LayerConfig, LinearConfig, ModuleExt};
use serde_json::Value;
use tch::nn::{OptimizerConfig, Sgd};
use tch::{Kind, Reduction, Tensor};

use super::harness::{Job, variable};
use super::network::{Network, difference, state};

const STEPS: i64 = 20;
/// The images of a batch, over all ranks.
const BATCH: i64 = 12;

/// How a test trains.
#[derive(Debug, Clone)]
struct Plan {
    kind: Kind,
    /// The images of each rank in a batch.
    shares: Vec<i64>,
    /// How many batches make a step.
    accumulated: i64,
    /// Whether rank 0 alone uses `extra`, in every other step, and nobody `never`.
    unused: bool,
    /// Whether gradients are averaged; not in the control.
    syncs: bool,
}

impl Plan {
    fn new(shares: &[i64]) -> Self {
        Self { kind: Kind::Float, shares: shares.to_vec(), accumulated: 1, unused: false, syncs: true }
    }

    fn job(&self) -> Job {
        Job::new("train", self.shares.len())
            .variable("MMCV_KIND", if self.kind == Kind::Double { "double" } else { "float" })
            .variable("MMCV_SHARES", serde_json::to_string(&self.shares).unwrap())
            .variable("MMCV_ACCUMULATED", self.accumulated)
            .variable("MMCV_UNUSED", self.unused)
            .variable("MMCV_SYNCS", self.syncs)
    }

    fn from_variables() -> Self {
        Self {
            kind: if variable("MMCV_KIND") == "double" { Kind::Double } else { Kind::Float },
            shares: serde_json::from_str(&variable("MMCV_SHARES")).unwrap(),
            accumulated: variable("MMCV_ACCUMULATED").parse().unwrap(),
            unused: variable("MMCV_UNUSED") == "true",
            syncs: variable("MMCV_SYNCS") == "true",
        }
    }

    /// Images and labels of a whole batch, the same on all ranks.
    fn batch(&self, number: i64) -> (Tensor, Tensor) {
        tch::manual_seed(1000 + number);
        let images = Tensor::randn([BATCH, 3, 7, 7], (Kind::Double, tch::Device::Cpu)).to_kind(self.kind) * 2.0 + 0.5;
        (images, Tensor::randint(5, [BATCH], (Kind::Int64, tch::Device::Cpu)))
    }

    /// The loss of a share, such that the mean over the ranks is the loss of the whole batch.
    fn loss(&self, scores: &Tensor, labels: &Tensor, ranks: usize) -> Tensor {
        let sum = scores.cross_entropy_loss(labels, None::<&Tensor>, Reduction::Sum, -100, 0.0);
        sum * (ranks as f64 / (BATCH * self.accumulated) as f64)
    }

    fn uses_extra(&self, step: i64) -> bool {
        self.unused && step % 2 == 0
    }

    /// One process with the whole batch.
    fn alone(&self) -> Value {
        tch::set_num_threads(1);
        let network = Network::new(0, self.kind);
        if !self.unused {
            network.freeze_unused();
        }
        let mut optimizer = sgd().build(&network.var_store(), 0.1).unwrap();
        for step in 0..STEPS {
            optimizer.zero_grad();
            for part in 0..self.accumulated {
                let (images, labels) = self.batch(step * self.accumulated + part);
                let mut scores = network.forward(&images).unwrap();
                if self.uses_extra(step) {
                    let share = self.shares[0];
                    let extra = network.extra.forward(&scores.narrow(0, 0, share)).unwrap();
                    scores = Tensor::cat(&[extra, scores.narrow(0, share, BATCH - share)], 0);
                }
                self.loss(&scores, &labels, 1).backward();
            }
            optimizer.step();
        }
        state(&network)
    }

    /// This rank of several.
    fn share(&self, group: &Group) -> Result<Value> {
        // Another seed than that of rank 0, whose weights all get.
        let network = Network::new(group.rank() as i64, self.kind);
        if variable("MMCV_REVERT") == "1" {
            assert_eq!(revert_sync_batchnorm(&network), 2);
        }
        if !self.unused {
            network.freeze_unused();
        }
        let options = DataParallelOptions::default().with_find_unused_parameters(self.unused).with_bucket_cap_mb(1);
        let network = DataParallel::new(group, Extra { network }, &options)?;
        let mut optimizer = sgd().build(&network.module().var_store(), 0.1)?;
        let start: i64 = self.shares[..group.rank()].iter().sum();
        let length = self.shares[group.rank()];
        for step in 0..STEPS {
            optimizer.zero_grad();
            for part in 0..self.accumulated {
                let (images, labels) = self.batch(step * self.accumulated + part);
                let (images, labels) = (images.narrow(0, start, length), labels.narrow(0, start, length));
                let is_last = part + 1 == self.accumulated;
                let guard = if is_last && self.syncs { None } else { Some(network.no_sync()) };
                let flag = Tensor::from(self.uses_extra(step) && group.rank() == 0);
                let output = network.call(&[&images, &flag], &mmcv_layers::Dict::new())?;
                network.backward(&self.loss(&output.single()?, &labels, group.world_size()))?;
                drop(guard);
            }
            optimizer.step();
        }
        Ok(state(&network.module().network))
    }
}

/// The network, which uses `extra` if a second input says so.
#[derive(Debug, mmcv_layers::Module)]
struct Extra {
    #[module(child)]
    network: Network,
}

impl Forward for Extra {
    fn forward(&self, input: &Tensor) -> mmcv_layers::Result<Tensor> {
        self.network.forward(input)
    }

    fn call(&self, inputs: &[&Tensor], _: &mmcv_layers::Dict) -> mmcv_layers::Result<mmcv_layers::Output> {
        let scores = self.network.forward(inputs[0])?;
        let uses_extra = inputs[1].int64_value(&[]) != 0;
        let scores = if uses_extra { self.network.extra.forward(&scores)? } else { scores };
        Ok(mmcv_layers::Output::Tensor(scores))
    }
}

fn sgd() -> Sgd {
    Sgd { momentum: 0.9, ..Sgd::default() }
}

pub(crate) fn rank(group: &Group) -> Result<Value> {
    Plan::from_variables().share(group)
}

/// The largest difference of any rank to one process.
fn compare(plan: &Plan) -> f64 {
    let alone = plan.alone();
    let ranks = plan.job().run();
    let largest = ranks.iter().map(|rank| difference(rank, &alone)).fold(0.0, f64::max);
    println!("{plan:?}: {largest:.2e}");
    largest
}

fn check(plan: &Plan) {
    assert!(compare(plan) <= 1e-6, "{plan:?}");
    assert!(compare(&Plan { kind: Kind::Double, ..plan.clone() }) <= 1e-12, "{plan:?}");
}

#[test]
fn equal_shares() {
    check(&Plan::new(&[6, 6]));
    check(&Plan::new(&[3, 3, 3, 3]));
}

#[test]
fn unequal_and_empty_shares() {
    check(&Plan::new(&[9, 3]));
    check(&Plan::new(&[5, 0, 4, 3]));
}

#[test]
fn accumulated_gradients() {
    check(&Plan { accumulated: 3, ..Plan::new(&[7, 5]) });
    check(&Plan { accumulated: 2, ..Plan::new(&[3, 3, 3, 3]) });
}

#[test]
fn unused_parameters() {
    check(&Plan { unused: true, ..Plan::new(&[6, 6]) });
    check(&Plan { unused: true, accumulated: 2, ..Plan::new(&[4, 3, 3, 2]) });
}

/// Without averaging, the ranks go their own ways: the other tests can fail.
#[test]
fn control_without_averaging() {
    assert!(compare(&Plan { syncs: false, ..Plan::new(&[6, 6]) }) > 1e-2);
}

/// With norms of their own, the ranks differ from one process: the other tests can fail.
#[test]
fn control_without_shared_statistics() {
    let plan = Plan::new(&[6, 6]);
    let alone = plan.alone();
    let ranks = plan.job().variable("MMCV_REVERT", "1").run();
    assert!(difference(&ranks[1], &alone) > 1e-2);
}

pub(crate) fn unused(group: &Group) -> Result<Value> {
    let network = DataParallel::new(group, Network::new(0, Kind::Float), &DataParallelOptions::default())?;
    let images = Tensor::randn([4, 3, 7, 7], tch::kind::FLOAT_CPU);
    network.backward(&network.forward(&images)?.sum(Kind::Float))?;
    Ok(Value::Null)
}

#[test]
fn parameters_without_gradient_are_named() {
    for error in Job::new("unused", 2).errors() {
        let names = ["extra.weight", "extra.bias", "never.weight", "never.bias", "find_unused_parameters"];
        assert!(names.iter().all(|name| error.contains(name)) && !error.contains("conv1"), "{error}");
    }
}

pub(crate) fn modules(group: &Group) -> Result<Value> {
    let outputs = if group.rank() == 1 { 3 } else { 2 };
    let linear = LinearConfig::new(4, outputs).build()?;
    DataParallel::new(group, linear, &DataParallelOptions::default())?;
    Ok(Value::Null)
}

#[test]
fn different_modules_are_an_error() {
    let errors = Job::new("modules", 2).errors();
    assert!(
        errors[0].contains("weight (Float [2, 4])") && errors[0].contains("weight (Float [3, 4]) on rank 1"),
        "{errors:?}"
    );
    assert!(errors[1].starts_with("rank 1: ") && errors[1].contains("on rank 0"), "{errors:?}");
}
