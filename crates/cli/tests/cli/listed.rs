//! `mmcv predict` and `features` with a list that several processes share, and `mmcv merge`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{CLASSIFIER, Said, mmcv};

/// The network, with a file of weights beside it.
fn config() -> String {
    format!("{CLASSIFIER}checkpoint: {{source: weights.pth}}\n")
}

/// The images, of which `bad.png` is none and `none.png` is not there.
const LIST: &str = "photos/0.png
photos/1.png

{\"path\": \"photos/2.png\", \"id\": {\"sku\": 17}, \"label\": 3}
bad.png
photos/3.png
{\"path\": 3}
photos/4.png
photos/0.png
none.png
photos/5.png
photos/6.png
photos/7.png
";

/// A folder with a network, its weights, images, and a list.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.yaml"), config()).unwrap();
    fs::write(folder.path().join("list.txt"), LIST).unwrap();
    fs::write(folder.path().join("bad.png"), "no image").unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    for seed in 0..8_u32 {
        let pixel =
            |x: u32, y: u32| Rgb([(x * (seed + 3)) as u8, (y * 5 + seed * 40) as u8, (x * y / (seed + 1)) as u8]);
        let image = RgbImage::from_fn(90 + seed, 80, pixel);
        image.save(folder.path().join(format!("photos/{seed}.png"))).unwrap();
    }
    save_weights(&config(), &folder.path().join("weights.pth"));
    folder
}

/// Random weights.
fn save_weights(config: &str, file: &Path) {
    tch::manual_seed(3);
    let recipe = mmcv_models::Recipe::read(&mmcv_registry::Config::from_yaml(config).unwrap()).unwrap();
    let network = recipe.build(&mmcv_models::MODELS).unwrap();
    mmcv_checkpoint::save_checkpoint(&*network, file, &mmcv_checkpoint::SaveOptions::default()).unwrap();
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

fn run(folder: &TempDir, command: &str) -> Said {
    Said::by(mmcv(folder.path(), words(command)).current_dir(folder.path()))
}

fn read(folder: &TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap()
}

fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The merged output of so many shards.
fn merged(folder: &TempDir, command: &str, count: usize) -> String {
    let out = tempfile::tempdir_in(folder.path()).unwrap();
    let out = out.path().file_name().unwrap().to_str().unwrap();
    for index in 0..count {
        run(folder, &format!("{command} --list list.txt --shard {index}/{count} --output {out}/")).done();
    }
    let parts: Vec<_> = (0..count).map(|index| format!("{out}/part-{index:05}-of-{count:05}.jsonl")).collect();
    run(folder, &format!("merge {}", parts.join(" "))).done()
}

#[test]
fn every_entry_has_a_record_in_the_order_of_the_list() {
    let folder = folder();
    let said = run(&folder, "predict net.yaml --list list.txt --topk 2");
    assert!(said.stderr.contains("3 of 12 records have an error"), "{}", said.stderr);
    let found = records(&said.done());
    assert_eq!(found.len(), 12);
    for (index, record) in found.iter().enumerate() {
        assert_eq!(record["index"], index);
        let is_error = [3, 5, 8].contains(&index);
        assert_eq!((record["error"].is_string(), record["predictions"].is_array()), (is_error, !is_error), "{record}");
    }
    assert_eq!((&found[2]["id"], &found[2]["path"]), (&json!({"sku": 17}), &json!("photos/2.png")));
    assert!(found[3]["error"].as_str().unwrap().contains("expected PNG, JPEG, WebP or BMP"), "{}", found[3]);
    assert!(found[5]["error"].as_str().unwrap().starts_with("line 7 of the list") && found[5].get("path").is_none());
    assert!(found[8]["error"].as_str().unwrap().contains("No such file"), "{}", found[8]);
    assert_eq!(found[0]["predictions"], found[7]["predictions"], "the same image twice");
    // As without a list, up to the rounding of a network that is fused.
    let alone: Value = serde_json::from_str(&run(&folder, "predict net.yaml photos/6.png --json").done()).unwrap();
    let (alone, listed) = (&alone[0]["predictions"][0], &found[10]["predictions"][0]);
    assert_eq!(alone["class"], listed["class"]);
    assert!((alone["score"].as_f64().unwrap() - listed["score"].as_f64().unwrap()).abs() < 1e-5);
}

#[test]
fn results_do_not_depend_on_the_number_of_shards() {
    let folder = folder();
    let quantize = "quantize net.yaml --checkpoint weights.pth --calibrate photos --crops 1 --out net.st";
    run(&folder, quantize).done();
    for (command, counts) in [
        ("predict net.yaml", &[2, 3, 5][..]),
        ("predict net.yaml --batch-size 4", &[2]),
        ("predict net.yaml --fuse=never", &[3]),
        ("predict net.yaml --quantized net.st", &[2]),
        ("features net.yaml --pooled --out-indices 1,3", &[3]),
    ] {
        let expected = merged(&folder, command, 1);
        assert_eq!((expected.lines().count(), expected.matches("\"error\":").count()), (12, 3), "{expected}");
        for count in counts {
            assert_eq!(merged(&folder, command, *count), expected, "{command}, {count} shards");
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let folder = folder();
    let with_threads = |threads: &str| {
        let mut command = mmcv(folder.path(), words("predict net.yaml --list list.txt"));
        Said::by(command.current_dir(folder.path()).env("OMP_NUM_THREADS", threads)).done()
    };
    assert_eq!(with_threads("1"), with_threads("2"));
}

/// One of many images that is too small, or too large, stops nobody.
#[test]
fn an_image_of_a_size_that_the_network_refuses_is_a_record() {
    const CONFIG: &str = "model:
  type: Sequential
  modules:
    - {type: Conv2d, in_channels: 3, out_channels: 8, kernel_size: 7}
    - {type: GlobalAveragePooling}
    - {type: Linear, in_features: 8, out_features: 5}
checkpoint: {source: free.pth}
";
    let folder = folder();
    fs::write(folder.path().join("free.yaml"), CONFIG).unwrap();
    save_weights(CONFIG, &folder.path().join("free.pth"));
    RgbImage::new(5, 5).save(folder.path().join("photos/1.png")).unwrap();
    let expected = merged(&folder, "predict free.yaml --batch-size 2", 1);
    assert_eq!(merged(&folder, "predict free.yaml --batch-size 2", 3), expected);
    let found = records(&expected);
    let error = found[1]["error"].as_str().unwrap();
    assert!(error.starts_with("model.modules[0].kernel_size: [7, 7] does not fit") && !error.contains('\n'), "{error}");
    assert!([0, 2, 4].iter().all(|index| found[*index]["predictions"].is_array()), "{expected}");
}

#[test]
fn features_are_vectors() {
    let folder = folder();
    let found = records(&run(&folder, "features net.yaml --pooled --list list.txt").done());
    let stages = found[11]["stages"].as_array().unwrap();
    assert_eq!((stages.len(), stages[0]["values"].as_array().unwrap().len()), (1, 64));
    let alone = run(&folder, "features net.yaml --pooled --json photos/7.png").done();
    let alone: Value = serde_json::from_str(&alone).unwrap();
    for (one, other) in
        stages[0]["values"].as_array().unwrap().iter().zip(alone[0]["stages"][0]["values"].as_array().unwrap())
    {
        assert!((one.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 1e-4);
    }
}

/// A command that reads its list from stdin.
fn start(folder: &TempDir, command: &str) -> Child {
    let mut command = mmcv(folder.path(), words(command));
    command.current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until a file has so many lines.
fn wait_for_lines(path: &Path, count: usize) {
    let start = Instant::now();
    while fs::read_to_string(path).unwrap_or_default().lines().count() < count {
        assert!(start.elapsed() < Duration::from_secs(120), "{} has no {count} lines", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_killed_run_goes_on_and_gives_the_same_bytes() {
    let folder = folder();
    for (shard, batch, before) in [("0/1", 1, 5), ("1/2", 1, 3), ("0/1", 4, 4)] {
        let command = format!("predict net.yaml --batch-size {batch} --list - --shard {shard} --output");
        let [whole, resumed] =
            ["whole", "resumed"].map(|name| format!("{name}-{}-{batch}.jsonl", shard.replace('/', "-")));
        let mut child = start(&folder, &format!("{command} {whole}"));
        child.stdin.take().unwrap().write_all(LIST.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());

        // The list does not end, so the records are there, and the process still runs when it is killed.
        let mut child = start(&folder, &format!("{command} {resumed}"));
        let mut input = child.stdin.take().unwrap();
        let lines: Vec<&str> = LIST.lines().collect();
        writeln!(input, "{}", lines[..9].join("\n")).unwrap();
        let partial = folder.path().join(format!("{resumed}.partial"));
        wait_for_lines(&partial, before);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!folder.path().join(&resumed).exists());
        let text = fs::read_to_string(&partial).unwrap();
        fs::write(&partial, text + "{\"index\": 99, \"pa").unwrap();

        let mut child = start(&folder, &format!("{command} {resumed} --resume"));
        child.stdin.take().unwrap().write_all(LIST.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(read(&folder, &resumed), read(&folder, &whole), "{shard}, batches of {batch}");
        assert!(!partial.exists());
    }
}

#[test]
fn what_is_complete_stays() {
    let folder = folder();
    let command = "predict net.yaml --list list.txt --output out.jsonl";
    run(&folder, command).done();
    let modified = || fs::metadata(folder.path().join("out.jsonl")).unwrap().modified().unwrap();
    let before = modified();
    let said = run(&folder, &format!("{command} --resume"));
    assert!(said.stderr.contains("out.jsonl is complete: 12 records, 3 of them with an error"), "{said:?}");
    said.done();
    assert_eq!(modified(), before);
    for (change, expected) in [("--topk 1", "--topk is 5 there, and 1 here"), ("--batch-size 2", "the batch size")] {
        let error = run(&folder, &format!("{command} --resume {change}")).failed();
        assert!(error.contains("out.jsonl is of another run") && error.contains(expected), "{error}");
    }
    fs::write(folder.path().join("list.txt"), "photos/0.png\n").unwrap();
    let error = run(&folder, &format!("{command} --resume")).failed();
    assert!(error.contains("another list"), "{error}");
    // Without --resume, it is replaced.
    run(&folder, command).done();
    assert_eq!(read(&folder, "out.jsonl").lines().count(), 1);
}

#[test]
fn a_partial_output_of_another_list_is_refused() {
    let folder = folder();
    let mut child = start(&folder, "predict net.yaml --list - --output out.jsonl");
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"photos/0.png\nphotos/1.png\n").unwrap();
    wait_for_lines(&folder.path().join("out.jsonl.partial"), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(folder.path().join("other.txt"), "photos/0.png\nphotos/2.png\n").unwrap();
    let error = run(&folder, "predict net.yaml --list other.txt --output out.jsonl --resume").failed();
    for words in ["out.jsonl.partial was written for another list", "photos/1.png", "photos/2.png", "--resume"] {
        assert!(error.contains(words), "{error}");
    }
}

/// As Ray, Spark or Dask use it: a question, an answer.
#[test]
fn a_partner_gets_each_answer_before_the_next_question() {
    let folder = folder();
    let mut child = start(&folder, "predict net.yaml --list - --topk 1");
    let mut input = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for (index, id) in ["x", "y", "z"].iter().enumerate() {
        writeln!(input, "{}", json!({"path": format!("photos/{index}.png"), "id": id})).unwrap();
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!((&answer["index"], &answer["id"]), (&json!(index), &json!(id)));
    }
    drop(input);
    assert!(answers.next().is_none());
    assert!(child.wait().unwrap().success());
}

/// Also if the list never ends.
#[test]
fn a_reader_that_went_away_ends_the_work() {
    let folder = folder();
    let mut child = start(&folder, "predict net.yaml --list -");
    let mut input = child.stdin.take().unwrap();
    drop(child.stdout.take());
    input.write_all(b"photos/0.png\n").unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(start.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success());
    drop(input);
}

#[test]
fn launchers_tell_the_shard() {
    let folder = folder();
    let command = "predict net.yaml --list list.txt --output out/ --shard";
    for (shard, variables) in [
        ("auto", &[("RANK", "0"), ("WORLD_SIZE", "3")][..]),
        ("auto", &[("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "3")]),
        ("auto/3", &[("JOB_COMPLETION_INDEX", "2")]),
    ] {
        let mut command = mmcv(folder.path(), words(&format!("{command} {shard}")));
        Said::by(command.current_dir(folder.path()).envs(variables.iter().copied())).done();
    }
    let parts = "out/part-00000-of-00003.jsonl out/part-00001-of-00003.jsonl out/part-00002-of-00003.jsonl";
    run(&folder, &format!("merge {parts} --output all.jsonl")).done();
    assert_eq!(read(&folder, "all.jsonl"), merged(&folder, "predict net.yaml", 1));
    let error = run(&folder, &format!("{command} auto")).failed();
    assert!(error.contains("--shard I/N") && error.contains("torchrun"), "{error}");
    let mut half = mmcv(folder.path(), words(&format!("{command} auto")));
    let error = Said::by(half.current_dir(folder.path()).env("RANK", "1")).failed();
    assert!(error.contains("WORLD_SIZE is not set, and RANK is"), "{error}");
    let program = env!("CARGO_BIN_EXE_mmcv");
    let command = "net.yaml --list list.txt --shard auto --output launched/";
    let said = run(&folder, &format!("launch -n 2 -- {program} predict {command}"));
    assert_eq!(said.code, 0, "{said:?}");
    let parts = "launched/part-00001-of-00002.jsonl launched/part-00000-of-00002.jsonl";
    assert_eq!(run(&folder, &format!("merge {parts}")).done(), read(&folder, "all.jsonl"));
}

#[test]
fn a_missing_shard_is_named_with_its_command() {
    let folder = folder();
    let command = "predict net.yaml --list list.txt --output out/";
    for index in [0, 2] {
        run(&folder, &format!("{command} --shard {index}/3")).done();
    }
    let error = run(&folder, "merge out/part-00000-of-00003.jsonl out/part-00002-of-00003.jsonl").failed();
    let (_, rerun) = error.trim().split_once("compute it: mmcv ").unwrap();
    assert!(error.contains("shard 1 of 3 is missing") && rerun.contains("--shard 1/3"), "{error}");
    run(&folder, rerun).done();
    let parts = "out/part-00000-of-00003.jsonl out/part-00001-of-00003.jsonl out/part-00002-of-00003.jsonl";
    run(&folder, &format!("merge {parts} --output new/all.jsonl")).done();
    let error = run(&folder, &format!("merge {parts} --output out/part-00001-of-00003.jsonl")).failed();
    assert!(error.contains("is one of the parts"), "{error}");
    run(&folder, "predict net.yaml --list list.txt --output own.jsonl --shard 0/3").done();
    let error = run(&folder, "merge own.jsonl").failed();
    assert!(error.contains("--output FILE --shard 1/3"), "{error}");
}

#[test]
fn mistakes_are_told() {
    let folder = folder();
    for (arguments, expected) in [
        ("--list none.txt", "none.txt"),
        ("--list photos", "photos"),
        ("--list list.txt --shard 0/2 --output {rank}", "{shard}"),
        ("--list list.txt --checkpoint none.pth", "none.pth"),
    ] {
        let error = run(&folder, &format!("predict net.yaml {arguments}")).failed();
        assert!(error.contains(expected), "{error}");
    }
    for arguments in [
        "--list list.txt --shard 2/2",
        "--list list.txt --shard x",
        "--list list.txt --resume",
        "--list list.txt photos",
        "--list list.txt --out x.png",
        "--shard 0/2 photos",
        "--output x.jsonl photos",
    ] {
        let said = run(&folder, &format!("predict net.yaml {arguments}"));
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{arguments}: {}", said.stderr);
    }
}
