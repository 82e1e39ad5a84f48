//! Lists of all kinds, and the shards of them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::sync::atomic::Ordering;

use serde_json::json;
use tempfile::TempDir;

use super::{Blocks, Earlier, Entry, ListError, ListSource, MAX_LINE, Record};
use crate::shard::Shard;

struct List(TempDir);

impl List {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("list"), text).unwrap();
        Self(folder)
    }

    fn blocks(&self, shard: Shard, block: u64, earlier: Earlier) -> Blocks {
        Blocks::start(&ListSource::File(self.0.path().join("list")), shard, block, earlier).unwrap()
    }

    fn entries(&self) -> Vec<Entry> {
        self.blocks(Shard::WHOLE, 1, Earlier::default()).flat_map(Result::unwrap).collect()
    }

    /// The records of an earlier run, which had these paths.
    fn earlier(&self, paths: &[&str]) -> Earlier {
        let path = self.0.path().join("earlier");
        let mut file = fs::File::create(&path).unwrap();
        for (index, path) in paths.iter().enumerate() {
            writeln!(file, "{}", json!({"index": index, "path": path})).unwrap();
        }
        Earlier::new(fs::File::open(&path).unwrap(), "earlier".to_owned(), paths.len() as u64).unwrap()
    }
}

fn path(entry: &Entry) -> String {
    entry.item.as_ref().unwrap().path.to_str().unwrap().to_owned()
}

#[test]
fn lines_are_paths_or_json() {
    let text = "a.png\r\n\n \t\n{\"path\": \"b c.png\", \"id\": [1, null], \"label\": 3}\n  d.png \n{\"path\": \"e\", \"id\": null}";
    let entries = List::new(text).entries();
    assert_eq!(entries.iter().map(path).collect::<Vec<_>>(), ["a.png", "b c.png", "  d.png ", "e"]);
    assert_eq!(entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let ids: Vec<_> = entries.iter().map(|entry| entry.item.clone().unwrap().id).collect();
    assert_eq!(ids, [None, Some(json!([1, null])), None, Some(json!(null))]);
}

#[test]
fn a_line_that_names_no_image_is_an_entry_with_its_number() {
    let entries = List::new("\n{\"path\": 3}\na.png\n{\"id\": 3}\n{\"path\": \"\"}\n{\n").entries();
    assert_eq!(entries.len(), 5);
    for (index, words) in [(0, "line 2 of the list"), (2, "missing field `path`"), (3, "empty path"), (4, "line 6")] {
        let error = entries[index].item.as_ref().unwrap_err();
        assert!(error.contains(words), "{error}");
        let record = Record::<()>::new(&entries[index], Err(error)).line().unwrap();
        assert!(record.starts_with(&format!("{{\"index\":{index},\"error\":\"line")), "{record}");
    }
}

#[test]
fn records_echo_what_the_list_says() {
    let entries = List::new("{\"path\": \"a\\u009b.png\", \"id\": {\"b\": 1, \"a\": 2.5}}\nc.png\n").entries();
    let result = json!({"class": 3});
    let line = Record::new(&entries[0], Ok(&result)).line().unwrap();
    assert_eq!(line, "{\"index\":0,\"id\":{\"b\":1,\"a\":2.5},\"path\":\"a\\u009b.png\",\"class\":3}\n");
    assert_eq!(Record::new(&entries[1], Ok(&result)).line().unwrap(), "{\"index\":1,\"path\":\"c.png\",\"class\":3}\n");
    let record = Record::<()>::new(&entries[1], Err("cannot read the image"));
    assert_eq!(record.line().unwrap(), "{\"index\":1,\"path\":\"c.png\",\"error\":\"cannot read the image\"}\n");
}

#[test]
fn shards_share_the_list_in_blocks() {
    let list = List::new((0..23).map(|index| format!("{index}\n\n")).collect::<String>());
    for (count, block) in [(1, 1), (3, 1), (2, 4), (5, 4), (7, 30)] {
        let mut all = Vec::new();
        let mut ends = Vec::new();
        for index in 0..count {
            let blocks = list.blocks(Shard { index, count }, block, Earlier::default());
            let progress = blocks.progress();
            for entries in blocks.map(Result::unwrap) {
                let first = entries[0].index;
                assert!(first.is_multiple_of(block) && entries.len() as u64 == block.min(23 - first));
                all.extend(entries.iter().map(|entry| (entry.index, path(entry))));
            }
            ends.push(progress.end.get().unwrap().clone());
            assert_eq!(Some(progress.position.load(Ordering::SeqCst)), progress.size);
        }
        all.sort();
        assert_eq!(all, (0..23).map(|index| (index, index.to_string())).collect::<Vec<_>>());
        ends.dedup();
        let [end] = &ends[..] else { panic!("{ends:?}") };
        assert_eq!(end.entries, 23);
    }
}

#[test]
fn the_digest_is_that_of_what_is_listed() {
    let digest = |text: &str| {
        let list = List::new(text);
        let blocks = list.blocks(Shard::WHOLE, 1, Earlier::default());
        let progress = blocks.progress();
        assert!(blocks.count() > 0);
        progress.end.get().unwrap().sha256.clone()
    };
    assert_eq!(digest("a\nb\n"), digest("\na\r\nb"));
    assert_ne!(digest("a\nb\n"), digest("ab\n"));
    assert_ne!(digest("a\nb\n"), digest("b\na\n"));
}

#[test]
fn entries_with_a_record_are_left_out_if_they_are_the_same() {
    let list = List::new("a\nb\nc\n");
    let rest: Vec<_> = list.blocks(Shard::WHOLE, 1, list.earlier(&["a", "b"])).flat_map(Result::unwrap).collect();
    assert_eq!(rest.iter().map(|entry| (entry.index, path(entry))).collect::<Vec<_>>(), [(2, "c".to_owned())]);
    let error = list.blocks(Shard::WHOLE, 1, list.earlier(&["a", "x"])).next().unwrap().unwrap_err();
    assert!(matches!(&error, ListError::Changed { index: 1, found, expected, .. } if found == "x" && expected == "b"));
    let error = list.blocks(Shard::WHOLE, 1, list.earlier(&["a", "b", "c", "d"])).next().unwrap().unwrap_err();
    assert!(matches!(error, ListError::Shorter { index: 3, entries: 3, .. }), "{error}");
}

#[test]
fn what_is_no_list_is_refused() {
    let list = List::new([&b"a\n"[..], &vec![b'x'; MAX_LINE + 1]].concat());
    let mut blocks = list.blocks(Shard::WHOLE, 1, Earlier::default());
    assert_eq!(blocks.next().unwrap().unwrap().len(), 1);
    assert!(matches!(blocks.next(), Some(Err(ListError::LongLine { line: 2, .. }))));
    assert!(blocks.next().is_none());
    for path in [list.0.path().join("missing"), list.0.path().to_owned()] {
        let error = Blocks::start(&ListSource::File(path), Shard::WHOLE, 1, Earlier::default()).err().unwrap();
        assert!(matches!(error, ListError::Io { .. }), "{error}");
    }
}

/// The thread that reads is not waited for: the list may be one that nobody ends.
#[test]
fn reading_ends_when_nobody_wants_more() {
    let list = List::new((0..1000).map(|index| format!("{index}\n")).collect::<String>());
    let mut blocks = list.blocks(Shard::WHOLE, 1, Earlier::default());
    assert!(blocks.next().is_some());
    let progress = blocks.progress();
    progress.stop.store(true, Ordering::SeqCst);
    assert!(blocks.next().is_none());
    drop(blocks);
    assert!(progress.end.get().is_none());
}
