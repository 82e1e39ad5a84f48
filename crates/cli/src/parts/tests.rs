//! Parts that are written, continued, merged, and refused.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use super::{Opened, Output, Part, PartError, Parts, Sidecar, Totals, merge, output};
use crate::list::{Blocks, Earlier, ListSource, Record};
use crate::shard::Shard;

/// A folder with a list of the names 0, 1, 2, ...
struct Run {
    folder: TempDir,
    block: u64,
    weights: &'static str,
}

impl Run {
    fn new(entries: u64, block: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let list: String = (0..entries).map(|index| format!("{index}.png\n")).collect();
        fs::write(folder.path().join("list"), list).unwrap();
        Self { folder, block, weights: "w" }
    }

    fn path(&self, index: u64, count: u64) -> PathBuf {
        self.folder.path().join(format!("{index}-of-{count}.jsonl"))
    }

    fn sidecar(&self, shard: Shard) -> Sidecar {
        let settings = BTreeMap::from([("weights".to_owned(), self.weights.to_owned())]);
        let command = ["predict", "a b.yaml", "--shard", "auto", "--output", "out/", "--resume"].map(str::to_owned);
        Sidecar::new(shard, self.block, settings, command.to_vec())
    }

    fn open(&self, shard: Shard, resume: bool) -> Result<Opened, PartError> {
        Part::open(&self.path(shard.index, shard.count), self.sidecar(shard), resume)
    }

    /// Writes `most` records of a part, and completes it if these are all.
    fn write(&self, shard: Shard, resume: bool, most: usize) -> (Box<Part>, Vec<u64>) {
        let Opened::Open(mut part, earlier) = self.open(shard, resume).unwrap() else { panic!("it is complete") };
        let written = self.fill(&mut part, earlier, shard, most);
        (part, written)
    }

    fn fill(&self, part: &mut Part, earlier: Earlier, shard: Shard, most: usize) -> Vec<u64> {
        let list = ListSource::File(self.folder.path().join("list"));
        let mut written = Vec::new();
        let blocks = Blocks::start(&list, shard, self.block, earlier).unwrap();
        for entry in blocks.flat_map(Result::unwrap).take(most) {
            let is_error = entry.index % 10 == 7;
            let result = json!({"class": entry.index * 3});
            let record = Record::new(&entry, if is_error { Err("bad") } else { Ok(&result) });
            part.write(&record.line().unwrap(), is_error).unwrap();
            written.push(entry.index);
        }
        part.flush().unwrap();
        written
    }

    fn complete(&self, shard: Shard) -> Totals {
        let Opened::Open(mut part, earlier) = self.open(shard, false).unwrap() else { panic!("it is complete") };
        self.fill(&mut part, earlier, shard, usize::MAX);
        let list = ListSource::File(self.folder.path().join("list"));
        part.finish(&list.end().unwrap()).unwrap()
    }

    fn complete_all(&self, count: u64) -> Vec<PathBuf> {
        (0..count)
            .map(|index| {
                self.complete(Shard { index, count });
                self.path(index, count)
            })
            .collect()
    }
}

fn merged(paths: &[PathBuf]) -> Result<String, PartError> {
    let mut text = Vec::new();
    merge(&Parts::open(paths)?, &mut text, Path::new("text"))?;
    Ok(String::from_utf8(text).unwrap())
}

#[test]
fn names_have_the_number_of_the_shard() {
    let shard = Shard { index: 3, count: 12 };
    let file = |pattern: &str, is_auto| match output(Path::new(pattern), shard, is_auto) {
        Ok(Output::File(path)) => path.to_str().unwrap().to_owned(),
        Ok(Output::Stdout) => "stdout".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(file("-", true), "stdout");
    assert_eq!(file("new/", true), "new/part-00003-of-00012.jsonl");
    assert_eq!(file("p-{shard:05}-of-{shards:05}.jsonl", true), "p-00003-of-00012.jsonl");
    assert_eq!(file("{shard}/{shards}/{shard:2}", true), "3/12/03");
    assert_eq!(file("x.jsonl", false), "x.jsonl");
    let folder = tempfile::tempdir().unwrap();
    assert!(file(folder.path().to_str().unwrap(), true).ends_with("/part-00003-of-00012.jsonl"));
    assert!(file("x.jsonl", true).contains("the same for all shards"));
    assert!(file("{shards}.jsonl", true).contains("the same for all shards"));
    for pattern in ["{rank}", "{shard:x}", "{shard:999}", "{shard", "{}"] {
        assert!(file(pattern, true).contains("is unknown: expected {shard}"), "{pattern}");
    }
}

#[test]
fn a_part_has_its_name_once_it_is_complete() {
    let run = Run::new(10, 1);
    let shard = Shard { index: 1, count: 3 };
    let (part, written) = run.write(shard, false, 2);
    assert_eq!(written, [1, 4]);
    assert!(!run.path(1, 3).exists());
    assert!(matches!(run.open(shard, true), Err(PartError::Busy { .. })), "{part:?} is being written");
    drop(part);
    let error = merged(&[run.path(1, 3)]).unwrap_err();
    assert!(matches!(error, PartError::Incomplete { .. }), "{error}");
    let totals = run.complete(shard);
    assert_eq!((totals.entries, totals.records, totals.errors), (10, 3, 1));
    let names: Vec<_> = fs::read_dir(run.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(matches!(run.open(shard, true), Ok(Opened::Complete(found)) if found == totals));
}

#[cfg(unix)]
#[test]
fn only_files_are_replaced() {
    let run = Run::new(3, 1);
    let shard = Shard::WHOLE;
    let open = |path: &Path| Part::open(path, run.sidecar(shard), false);
    assert!(matches!(open(Path::new("/dev/null")), Err(PartError::Io { action: "write", .. })));
    assert!(matches!(open(run.folder.path()), Err(PartError::Io { action: "write", .. })));
    let link = run.folder.path().join("link");
    std::os::unix::fs::symlink(run.path(0, 1), &link).unwrap();
    let Ok(Opened::Open(mut part, earlier)) = open(&link) else { panic!("a link is refused") };
    run.fill(&mut part, earlier, shard, 3);
    let list = ListSource::File(run.folder.path().join("list"));
    part.finish(&list.end().unwrap()).unwrap();
    assert!(link.is_symlink() && run.path(0, 1).is_file());
}

#[test]
fn a_part_is_continued_after_its_last_complete_block() {
    for block in [1, 4] {
        for torn in ["", "{\"index\":", "{\"index\":999}\n", "\0\0\0\n"] {
            let run = Run::new(40, block);
            let shard = Shard { index: 1, count: 2 };
            run.complete(shard);
            let expected = fs::read_to_string(run.path(1, 2)).unwrap();
            drop(run.write(shard, false, 9));
            let partial = run.folder.path().join("1-of-2.jsonl.partial");
            fs::write(&partial, fs::read_to_string(&partial).unwrap() + torn).unwrap();
            let (part, written) = run.write(shard, true, usize::MAX);
            assert_eq!(written.len() as u64, 20 - 9 / block * block);
            let errors = expected.matches("error").count() as u64;
            assert_eq!((part.records(), part.errors()), (20, errors));
            assert!(errors > 0);
            let list = ListSource::File(run.folder.path().join("list"));
            part.finish(&list.end().unwrap()).unwrap();
            assert_eq!(fs::read_to_string(run.path(1, 2)).unwrap(), expected, "{block} {torn:?}");
        }
    }
}

#[test]
fn a_part_of_another_run_is_not_continued() {
    let mut run = Run::new(10, 1);
    let shard = Shard { index: 1, count: 3 };
    drop(run.write(shard, false, 2));
    run.weights = "v";
    let error = run.open(shard, true).unwrap_err();
    assert!(matches!(&error, PartError::OtherRun { setting, found, expected, .. }
        if setting == "weights" && found == "w" && expected == "v"));
    run.weights = "w";
    run.block = 2;
    assert!(run.open(shard, true).unwrap_err().to_string().contains("the batch size is 1 there, and 2 here"));
    run.block = 1;
    run.complete(shard);
    run.weights = "v";
    assert!(matches!(run.open(shard, true), Err(PartError::OtherRun { .. })));
    fs::remove_file(run.folder.path().join("1-of-3.jsonl.run")).unwrap();
    assert!(matches!(run.open(shard, true), Err(PartError::Sidecar { .. })));
    // Without --resume, it is replaced.
    assert_eq!(run.complete(shard).records, 3);
}

#[test]
fn merging_restores_the_list_whatever_the_number_of_shards() {
    for (entries, block) in [(0, 1), (1, 1), (23, 1), (23, 4), (24, 4), (23, 100)] {
        let run = Run::new(entries, block);
        let expected = merged(&run.complete_all(1)).unwrap();
        assert_eq!(expected.lines().count() as u64, entries);
        for count in [2, 3, 5, 30] {
            let mut paths = run.complete_all(count);
            paths.reverse();
            assert_eq!(merged(&paths).unwrap(), expected, "{entries} entries, blocks of {block}, {count} shards");
        }
    }
}

#[test]
fn what_does_not_belong_together_is_not_merged() {
    let run = Run::new(10, 1);
    let paths = run.complete_all(3);
    let error = merged(&paths[..1]).unwrap_err().to_string();
    assert_eq!(
        error,
        "shards 1, 2 of 3 are missing; compute each of them, as in: mmcv predict 'a b.yaml' --output out/ --shard 1/3 --resume"
    );
    let run30 = Run::new(10, 1);
    let error = merged(&run30.complete_all(30)[..3]).unwrap_err().to_string();
    assert!(error.starts_with("shards 3, 4, 5, 6, 7, 8, 9, 10, 19 more of 30 are missing"), "{error}");
    let error = merged(&[paths[0].clone(), paths[2].clone()]).unwrap_err().to_string();
    assert!(error.starts_with("shard 1 of 3 is missing; compute it: mmcv"), "{error}");
    let error = merged(&[&paths[..], &paths[..1]].concat()).unwrap_err();
    assert!(matches!(&error, PartError::Twice { shard, .. } if shard == "0/3"), "{error}");
    let other = Run { weights: "v", ..Run::new(10, 1) }.complete_all(3);
    let error = merged(&[&paths[..2], &other[2..]].concat());
    assert!(error.is_err(), "the folder of {other:?} is gone");
}

#[test]
fn parts_of_other_runs_are_named() {
    let run = Run::new(10, 1);
    let paths = run.complete_all(2);
    for (other, words) in [
        (Run { weights: "v", ..Run::new(10, 1) }, "weights is"),
        (Run::new(10, 2), "the batch size is 1 and 2"),
        (Run::new(11, 1), "the list is one of 10 entries"),
    ] {
        let theirs = other.complete_all(2);
        let error = merged(&[paths[0].clone(), theirs[1].clone()]).unwrap_err();
        assert!(matches!(error, PartError::Mixed { .. }) && error.to_string().contains(words), "{error}");
    }
    let theirs = run.complete_all(3);
    let error = merged(&[paths[0].clone(), theirs[1].clone()]).unwrap_err().to_string();
    assert!(error.contains("the number of shards is 2 and 3"), "{error}");
}

#[test]
fn parts_that_were_changed_are_named() {
    let run = Run::new(10, 1);
    let paths = run.complete_all(2);
    let text = fs::read_to_string(&paths[1]).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (changed, words) in [
        (text[..text.len() - 5].to_owned(), "bytes, and had"),
        (text.replace("\"index\":5", "\"index\":7"), "record 7 is in the place of record 5"),
        (text.replace("\"index\":5", "\"index\":x"), "record 5 is missing or damaged"),
        ([lines[1], lines[0], lines[2], lines[3], lines[4], ""].join("\n"), "record 3 is in the place of record 1"),
    ] {
        fs::write(&paths[1], changed).unwrap();
        let error = merged(&paths).unwrap_err();
        assert!(matches!(error, PartError::Damaged { .. }) && error.to_string().contains(words), "{error}");
    }
    fs::write(&paths[1], text).unwrap();
    let sidecar = run.folder.path().join("1-of-2.jsonl.run");
    for text in ["", "{}", "{\"version\": 2}", "[1]"] {
        fs::write(&sidecar, text).unwrap();
        assert!(matches!(merged(&paths), Err(PartError::Sidecar { .. })), "{text}");
    }
    fs::remove_file(sidecar).unwrap();
    assert!(matches!(merged(&paths), Err(PartError::Sidecar { .. })));
}
