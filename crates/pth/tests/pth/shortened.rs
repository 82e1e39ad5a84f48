//! Files that become shorter while they are read: an error, never a signal. Each is read in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use mmcv_pth::{Checkpoint, CompareOptions, ConvertOptions, Dtype, Error, OutputFormat, PthItem, TensorData};
use mmcv_pth::{compare, convert, read_all, write_pth, write_safetensors};

use crate::forge::{self, Entry};

const VARIABLE: &str = "MMCV_PTH_SHORTENED";
const TRUNCATIONS: usize = 50;

/// Opens the file, waits until the parent has cut it, and then reads it in every way there is.
#[test]
fn reader() {
    let Ok(file) = std::env::var(VARIABLE) else { return };
    let open: Vec<_> = (0..8).map(|_| Checkpoint::open(&file).unwrap()).collect();
    println!("open");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    let target = format!("{file}.new");
    let to_memory = |checkpoint: &Checkpoint| {
        let mut memory: Vec<_> = checkpoint.tensors().map(|raw| vec![0; raw.byte_count() as usize]).collect();
        read_all(checkpoint.tensors().zip(memory.iter_mut().map(Vec::as_mut_slice)).collect())
    };
    let results: [Result<(), Error>; 8] = [
        open[0].tensors().try_for_each(|raw| raw.bytes().map(drop)),
        open[1].tensors().try_for_each(|raw| raw.for_each_chunk(|_| {})),
        to_memory(&open[2]),
        compare(&open[3], &open[4], &CompareOptions::default()).map(drop),
        convert(&open[5], &target, OutputFormat::Pth, &ConvertOptions::default()).map(drop),
        convert(&open[6], &target, OutputFormat::Safetensors, &ConvertOptions::default()).map(drop),
        open[7].verify(),
        Checkpoint::open(&file).and_then(|checkpoint| checkpoint.verify()),
    ];
    for result in results {
        println!("{}", result.map_or_else(|error| error.to_string(), |()| "read".to_owned()));
    }
}

/// What the reader said of a file of which all but `length` bytes went away.
fn read_cut(file: &Path, length: u64) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "shortened::reader", "--nocapture", "--test-threads=1"]).env(VARIABLE, file);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with("open")), "the file is opened");
    fs::File::options().write(true).open(file).unwrap().set_len(length).unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let said: Vec<_> = lines.filter(|line| line == "read" || line.contains("file")).collect();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "no signal: {status}");
    said
}

#[test]
fn a_file_that_becomes_shorter_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let bytes: Vec<u8> = (0..400_000_u32).map(|index| (index / 7) as u8).collect();
    let tensor = |count: usize| TensorData::new(Dtype::Float32, &[count as u64], &bytes[..4 * count]).unwrap();
    let turned = TensorData::view(Dtype::Float32, &[100, 100], &[1, 100], 0, &bytes).unwrap();
    let tensors = [("a", tensor(50_000)), ("b", turned), ("c", tensor(100_000))];
    let pth = folder.path().join("pth");
    write_pth(&pth, &PthItem::mapping(tensors.clone().map(|(name, tensor)| (name, PthItem::from(tensor))))).unwrap();
    let safetensors = folder.path().join("safetensors");
    write_safetensors(&safetensors, &tensors.map(|(name, tensor)| (name.to_owned(), tensor)), &[]).unwrap();
    let view = forge::tensor(&forge::storage("FloatStorage", "0", 100_000), 0, &[100_000], &[1]);
    let entries = [Entry::new("a/data.pkl", &forge::root(&view)), Entry::deflated("a/data/0", &bytes)];
    let contents = [fs::read(pth).unwrap(), fs::read(safetensors).unwrap(), forge::zip(&entries)];
    let names = fs::read_dir(folder.path()).unwrap().count() + 1;
    for index in 0..TRUNCATIONS {
        let content = &contents[index % contents.len()];
        fs::write(&file, content).unwrap();
        let length = content.len() * (index / contents.len()) / (TRUNCATIONS / contents.len() + 1);
        let said = read_cut(&file, length as u64);
        assert_eq!(said.len(), 8, "{said:?}");
        let shorter = said[..7].iter().filter(|line| line.ends_with("file: became shorter while it was read")).count();
        // Only safetensors have nothing that could be verified without an element being asked for.
        assert!(shorter >= 6, "cut to {length}: {said:?}");
        assert_ne!(said[7], "read");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names, "no temporary file stays");
    }
}
