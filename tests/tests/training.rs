//! The example `train_digits`: its losses and its accuracy are Python's, and an interruption changes no number.
//!
//! The expected numbers were made by `tests/fixtures/train_digits/train_in_python.py`.

#[allow(dead_code)]
#[path = "../../crates/mmcv/examples/train_digits/main.rs"]
pub(crate) mod example;

use std::path::Path;

use clap::Parser;
use example::{Arguments, Epoch, Trainer, TrainingConfig};
use mmcv::prelude::*;

fn config(options: &[&str]) -> TrainingConfig {
    let mut arguments = Arguments::parse_from(["train_digits"]);
    arguments.cfg_options = options.iter().map(|option| (*option).to_owned()).collect();
    example::read_config(&arguments).unwrap()
}

/// A network that learns in a moment.
pub(crate) fn small() -> TrainingConfig {
    let model = dict! {
        type: "Sequential",
        modules: [
            { type: "ConvModule", in_channels: 1, out_channels: 16, kernel_size: 3, stride: 2, norm_cfg: { type: "BN" } },
            { type: "GlobalAveragePooling" },
            { type: "Linear", in_features: 16, out_features: 10 },
        ],
    };
    TrainingConfig { model, ..config(&["multi_step_lr.milestones=[1]"]) }
}

fn epochs(trainer: &mut Trainer, count: usize) -> Vec<f64> {
    let mut losses = Vec::new();
    for _ in 0..count {
        trainer.run_epoch(|step| losses.push(step.loss)).unwrap();
    }
    losses
}

/// What Python's training returned.
#[derive(serde::Deserialize)]
struct InPython {
    losses: Vec<f64>,
    epochs: Vec<EpochInPython>,
}

#[derive(serde::Deserialize)]
struct EpochInPython {
    test_loss: f64,
    test_accuracy: f64,
}

#[test]
fn losses_and_accuracy_are_those_of_python() {
    let expected: InPython = serde_json::from_str(include_str!("../fixtures/train_digits/python.json")).unwrap();
    assert_eq!((expected.losses.len(), expected.epochs.len()), (50, 12));
    let mut trainer = Trainer::new(config(&[])).unwrap();
    let losses = epochs(&mut trainer, 12);
    for (step, (found, expected)) in losses.iter().zip(&expected.losses).enumerate() {
        // Rounding differs with the processor's vector instructions, and grows from step to step.
        let tolerance = if step < 20 { 1e-5 } else { 1e-4 };
        assert!((found - expected).abs() < tolerance, "step {step}: {found}, in Python {expected}");
    }
    for (found, expected) in trainer.history().iter().zip(&expected.epochs) {
        // Until the learning rate falls, the test loss is as restless as the weights.
        let (loss, accuracy) = if found.epoch > 8 { (5e-3, 0.006) } else { (0.5, 0.06) };
        let is_near = (found.test_loss - expected.test_loss).abs() < loss
            && (found.test_accuracy - expected.test_accuracy).abs() < accuracy;
        assert!(is_near, "{found:?}, in Python {} and {}", expected.test_loss, expected.test_accuracy);
    }
}

#[test]
fn a_short_training_recognizes_most_digits() {
    let mut trainer = Trainer::new(config(&["multi_step_lr.milestones=[1]"])).unwrap();
    epochs(&mut trainer, 2);
    let [Epoch { lr: before, .. }, Epoch { lr: after, test_accuracy, .. }] = trainer.history() else {
        panic!("two epochs: {:?}", trainer.history())
    };
    assert!((after / before - 0.1).abs() < 1e-9, "the learning rate falls after epoch 1: {before}, {after}");
    assert!(*test_accuracy > 0.9, "{test_accuracy}");
}

#[test]
fn an_interruption_changes_no_number() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.pth");
    let mut whole = Trainer::new(small()).unwrap();
    let expected = epochs(&mut whole, 3);

    let mut before = Trainer::new(small()).unwrap();
    let mut found = epochs(&mut before, 1);
    before.save(&file).unwrap();
    let mut after = Trainer::resume(small(), &file).unwrap();
    assert_eq!(after.history(), before.history());
    found.extend(epochs(&mut after, 2));
    assert_eq!(found, expected);
    assert_eq!(after.history(), whole.history());

    // Saving is no interruption either.
    let rest = epochs(&mut before, 2);
    assert_eq!(rest, expected[expected.len() - rest.len()..]);
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.pth");
    Trainer::new(small()).unwrap().save(&file).unwrap();
    let refused = |config: TrainingConfig, file: &Path| format!("{:#}", Trainer::resume(config, file).unwrap_err());

    let message = refused(TrainingConfig { seed: 7, ..small() }, &file);
    assert!(message.contains("seed 0") && message.contains("has 7"), "{message}");
    let message = refused(config(&[]), &file);
    assert!(message.contains("last.pth") && message.contains("conv.weight"), "{message}");
    let message = refused(small(), &folder.path().join("none.pth"));
    assert!(message.contains("none.pth"), "{message}");

    let network = small().build_network().unwrap();
    let plain = folder.path().join("plain.pth");
    mmcv::checkpoint::save_checkpoint(&*network, &plain, &mmcv::checkpoint::SaveOptions::default()).unwrap();
    let message = refused(small(), &plain);
    assert!(message.contains("plain.pth"), "{message}");
}

/// Rounding of bfloat16 and nothing else tells the losses from those of f32.
#[test]
fn mixed_precision_trains_alike() {
    let expected = epochs(&mut Trainer::new(small()).unwrap(), 1);
    let losses = epochs(&mut Trainer::new(TrainingConfig { amp: true, ..small() }).unwrap(), 1);
    let mut largest = 0.0_f64;
    for (found, expected) in losses.iter().zip(&expected) {
        largest = largest.max((found - expected).abs());
    }
    assert_eq!(losses.len(), expected.len());
    assert!(largest > 0.0 && largest < 0.05, "{largest}");
}

#[test]
fn the_command_writes_checkpoint_and_picture() {
    let folder = tempfile::tempdir().unwrap();
    let run = |options: &[&str]| {
        let out = folder.path().to_str().unwrap();
        example::run(&Arguments::parse_from(["train_digits", "--out", out, "--json"].iter().chain(options))).unwrap();
    };
    run(&["--epochs", "1"]);
    let checkpoint = folder.path().join("last.pth");
    run(&["--epochs", "2", "--resume", checkpoint.to_str().unwrap()]);
    let meta = mmcv::pth::FileCheckpoint::open(&checkpoint).unwrap().meta();
    assert_eq!(meta["meta"]["history"].as_array().unwrap().len(), 2);
    let picture = std::fs::read(folder.path().join("training.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
}

/// A project's config means the same as one of the example, and its network learns.
#[test]
fn a_config_of_a_project() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/mmcv/examples/train_digits/resnet18_digits.py");
    let config = Config::from_file(&file).unwrap();
    let read = TrainingConfig::read(&config).unwrap();
    let own = config! {
        model: config.get("model").unwrap().clone(), seed: 0, max_epochs: 12, batch_size: 64,
        sgd: { lr: 0.05, momentum: 0.9, weight_decay: 0.0001 },
        multi_step_lr: { milestones: [8, 11], gamma: 0.1 },
    };
    assert_eq!(read, TrainingConfig::read(&own).unwrap());
    let mut trainer = Trainer::new(read).unwrap();
    epochs(&mut trainer, 1);
    assert!(trainer.history()[0].test_accuracy > 0.3, "{:?}", trainer.history());

    let mut mixed = config.clone();
    mixed.set_options(["optim_wrapper.type=AmpOptimWrapper"]).unwrap();
    assert!(TrainingConfig::read(&mixed).unwrap().amp);

    let refused = |options: &[&str]| {
        let mut changed = config.clone();
        changed.set_options(options).unwrap();
        TrainingConfig::read(&changed).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&["optim_wrapper.optimizer.type=AdamW"]),
        "optim_wrapper.optimizer.type: \"AdamW\": the example has only SGD"
    );
    assert!(refused(&["optim_wrapper.optimizer.nesterov=True"]).contains("nesterov"));
    assert!(refused(&["param_scheduler.type=CosineAnnealingLR"]).contains("the example has only MultiStepLR"));
}

#[test]
fn mistakes_in_the_config_are_named() {
    let read = |yaml: &str| TrainingConfig::read(&Config::from_yaml(yaml).unwrap()).unwrap_err().to_string();
    let message = read("{model: {type: Sequential}, sgd: {lr: 0.1, momentun: 0.9}}");
    assert!(message.contains("sgd.momentun") && message.contains("momentum"), "{message}");
    let message = read("{model: {}, sgd: {lr: 0.1}, batch_size: 1}");
    assert!(message.contains("batch_size"), "{message}");
}

/// A process of the tests below.
#[test]
#[ignore = "a process of other tests, which they start"]
fn rank_of_a_training() {
    let Ok(arguments) = std::env::var("MMCV_TEST_ARGUMENTS") else { return };
    example::run(&Arguments::parse_from(arguments.lines())).unwrap();
}

/// Trains on several processes as a launcher starts them; the options are those of the command.
fn train_on(processes: usize, out: &Path, options: &[&str]) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let mut arguments = vec!["train_digits", "--json", "--timeout", "100", "--out", out.to_str().unwrap()];
    arguments.extend(options);
    let mut children = Vec::new();
    for rank in 0..processes {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["training::rank_of_a_training", "--exact", "--ignored"])
            .env("MMCV_TEST_ARGUMENTS", arguments.join("\n"))
            .envs([("RANK", rank.to_string()), ("LOCAL_RANK", rank.to_string())])
            .envs([("WORLD_SIZE", processes.to_string()), ("LOCAL_WORLD_SIZE", processes.to_string())])
            .envs([("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", &port)])
            .spawn();
        children.push(child.unwrap());
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

/// The losses of all batches, from the log.
fn logged(out: &Path) -> Vec<f64> {
    let log = std::fs::read_to_string(out.join("log.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter_map(|line| line["loss"].as_f64()).collect()
}

/// The network of `small`, with everything else that a training can have.
const SMALL: [&str; 8] = [
    "--cfg-options",
    "model.modules=[{type: ConvModule, in_channels: 1, out_channels: 16, kernel_size: 3, stride: 2, norm_cfg: {type: BN}, \
     act_cfg: {type: SiLU}}, {type: GlobalAveragePooling}, {type: Linear, in_features: 16, out_features: 10}]",
    "batch_size=63",
    "accumulative_counts=2",
    "clip_grad={max_norm: 2}",
    "warmup={iters: 10}",
    "multi_step_lr.milestones=[1]",
    "sgd.lr=0.1",
];

#[test]
fn several_processes_train_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut losses = Vec::new();
    for processes in [1, 2, 4] {
        let out = folder.path().join(processes.to_string());
        train_on(processes, &out, &[&["--epochs", "3"], &SMALL[..]].concat());
        losses.push(logged(&out));
        assert!(losses[0].len() >= 50);
    }
    for several in &losses[1..] {
        assert_eq!(several.len(), losses[0].len());
        let difference = several.iter().zip(&losses[0]).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max);
        println!("{difference:.2e}");
        assert!(difference < 1e-4, "{difference}");
    }
    // Norms of their own make another training: the comparison can fail.
    let out = folder.path().join("control");
    train_on(2, &out, &[&["--epochs", "3"], &SMALL[..], &["sync_bn=false"]].concat());
    let difference = logged(&out).iter().zip(&losses[0]).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max);
    assert!(difference > 1e-3, "{difference}");
}

/// As mmengine's samplers do by default.
#[test]
fn images_are_repeated_so_that_all_processes_have_as_many() {
    let train = example::Digits::read().unwrap().train;
    for (multiple, count) in [(1, 1437), (2, 1438), (4, 1440)] {
        let batches = train.shuffled(0, 64, multiple).unwrap();
        assert_eq!(batches.len() as u64, train.batches(64, multiple));
        assert_eq!(batches.iter().map(|batch| batch.len()).sum::<i64>(), count);
        assert!(batches.iter().all(|batch| batch.len() % multiple == 0));
    }
    let [first, last] = [0, 22].map(|batch| train.shuffled(0, 64, 4).unwrap().swap_remove(batch));
    let [first, last] = [first.images.narrow(0, 0, 3), last.images.narrow(0, last.len() - 3, 3)];
    assert_eq!(first, last, "the first three images are the last three");

    let folder = tempfile::tempdir().unwrap();
    let losses = [("true", "up"), ("false", "exact")].map(|(round_up, name)| {
        let out = folder.path().join(name);
        let options = ["batch_size=64".to_owned(), format!("round_up={round_up}")];
        train_on(2, &out, &[&["--epochs", "1"], &SMALL[..], &options.each_ref().map(String::as_str)].concat());
        logged(&out)
    });
    // Only the last batch has one more image.
    let [up, exact] = &losses;
    assert_eq!(up[..22], exact[..22]);
    assert_ne!(up[22], exact[22]);
}

#[test]
fn an_interruption_of_several_processes_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    train_on(2, &whole, &[&["--epochs", "3"], &SMALL[..]].concat());
    train_on(2, &parts, &[&["--epochs", "1"], &SMALL[..]].concat());
    let file = parts.join("last.pth");
    train_on(2, &parts, &[&["--epochs", "3", "--resume", file.to_str().unwrap()], &SMALL[..]].concat());
    assert_eq!(logged(&whole), logged(&parts));
    let weights = |out: &Path| {
        let checkpoint = mmcv::checkpoint::CheckpointFile::open(out.join("last.pth")).unwrap();
        checkpoint.tensors_below(&["state_dict"], tch::Device::Cpu).unwrap()
    };
    for ((name, left), (_, right)) in weights(&whole).iter().zip(&weights(&parts)) {
        assert_eq!(left, right, "{name}");
    }
}
