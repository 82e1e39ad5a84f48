//! Zip archives that two readers could understand differently.

use crate::forge::{self, Entry, root, storage, tensor, zip};

fn pickle() -> Vec<u8> {
    root(&tensor(&storage("FloatStorage", "0", 4), 0, &[4], &[1]))
}

/// A good archive: pickle, storage, byte order.
fn entries() -> Vec<Entry> {
    vec![
        Entry::new("a/data.pkl", &pickle()),
        Entry::new("a/data/0", &(0..16).collect::<Vec<u8>>()),
        Entry::new("a/byteorder", b"little"),
    ]
}

/// The error of the good archive with one entry changed.
fn changed(index: usize, change: impl FnOnce(&mut Entry)) -> String {
    let mut entries = entries();
    change(&mut entries[index]);
    forge::error(&zip(&entries))
}

#[test]
fn good_archives_are_read() {
    let stored = forge::read(&zip(&entries())).unwrap();
    let mut deflated = entries();
    deflated[0] = Entry::deflated("a/data.pkl", &pickle());
    deflated[1] = Entry::deflated("a/data/0", &(0..16).collect::<Vec<u8>>());
    assert_eq!(forge::read(&zip(&deflated)).unwrap(), stored);
    // A recorded checksum of 0 stands for none.
    let mut unchecked = entries();
    unchecked.iter_mut().for_each(|entry| entry.crc = 0);
    assert_eq!(forge::read(&zip(&unchecked)).unwrap(), stored);
    // Any folder, and other files beside.
    let mut renamed = entries();
    renamed.iter_mut().for_each(|entry| entry.name = entry.name.replacen("a/", "any name é/", 1));
    renamed.push(Entry::new("README", b"hello"));
    assert_eq!(forge::read(&zip(&renamed)).unwrap(), stored);
}

#[test]
fn big_endian_numbers_are_turned() {
    let mut big = entries();
    big[2] = Entry::new("a/byteorder", b"big");
    big[1] = Entry::new("a/data/0", &[3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]);
    assert_eq!(forge::read(&zip(&big)).unwrap(), forge::read(&zip(&entries())).unwrap());
    for order in [b"middle".as_slice(), b"Little", b"little\n", b""] {
        let mut wrong = entries();
        wrong[2] = Entry::new("a/byteorder", order);
        assert!(forge::error(&zip(&wrong)).contains("byteorder"));
    }
}

#[test]
fn names_are_unique_and_there_is_one_pickle() {
    for (name, word) in [
        ("a/data.pkl", "are named"),
        ("a/DATA.PKL", "are named"),
        ("A/data/0", "are named"),
        ("b/data.pkl", "found 2"),
        ("b/Data.pkl", "found 2"),
    ] {
        let mut twice = entries();
        twice.push(Entry::new(name, b"N."));
        assert!(forge::error(&zip(&twice)).contains(word), "{name}");
    }
    assert!(changed(0, |entry| entry.name = "data.pkl".into()).contains("found 0"));
    assert!(changed(0, |entry| entry.name = "/data.pkl".into()).contains("found 0"));
    assert!(changed(0, |entry| entry.name = "a/b/data.pkl".into()).contains("found 0"));
    assert!(changed(0, |entry| entry.name = "a/DATA.pkl".into()).contains("found 1"));
    assert!(changed(1, |entry| entry.name = "a/data/1".into()).contains("no entry `a/data/0`"));
    assert!(changed(1, |entry| entry.name = "b/data/0".into()).contains("no entry `a/data/0`"));
}

#[test]
fn headers_agree() {
    for index in 0..3 {
        assert!(changed(index, |entry| entry.local_name = Some(entry.name.replace('a', "b"))).contains("another name"));
        assert!(changed(index, |entry| entry.local_method = Some(8)).contains("another name or method"));
        assert!(changed(index, |entry| entry.local_size = Some(3)).contains("other sizes"));
        assert!(changed(index, |entry| entry.local_size = Some(0)).contains("other sizes"));
        assert!(changed(index, |entry| entry.flags = 1).contains("encrypted"));
        assert!(changed(index, |entry| entry.method = 12).contains("neither stored nor deflate"));
        assert!(changed(index, |entry| entry.crc ^= 1).contains("checksum"));
        assert!(changed(index, |entry| entry.header = Some(1)).contains("local header"));
        assert!(changed(index, |entry| entry.header = Some(u32::MAX - 1)).contains("local header"));
    }
    assert!(changed(1, |entry| entry.size = 12).contains("12 bytes are stored"));
    // With the sizes behind the data, those of the local header may be 0.
    let mut streamed = entries();
    streamed[1].flags = 8;
    streamed[1].local_size = Some(0);
    assert!(forge::read(&zip(&streamed)).is_ok());
}

#[test]
fn damaged_deflate_is_found() {
    let deflated = Entry::deflated("a/data/0", &(0..16).collect::<Vec<u8>>());
    for change in [
        |entry: &mut Entry| entry.data.truncate(3),
        |entry: &mut Entry| entry.data.push(0),
        |entry: &mut Entry| entry.data = vec![0xff; 20],
        |entry: &mut Entry| entry.data.clear(),
    ] {
        let mut entries = entries();
        entries[1] = deflated.clone();
        change(&mut entries[1]);
        assert!(forge::error(&zip(&entries)).contains("compressed data"));
    }
}

#[test]
fn the_end_is_unambiguous() {
    let good = zip(&entries());
    let end = good.len() - 22;
    let replaced = |place: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[place..place + bytes.len()].copy_from_slice(bytes);
        forge::error(&file)
    };
    assert!(forge::error(&[good.as_slice(), b"x"].concat()).contains("end of central directory"));
    assert!(forge::error(&[b"PK\x03\x04".as_slice(), &good].concat()).contains("place of the central directory"));
    // More or fewer entries, another disk, a directory elsewhere.
    for (place, bytes) in [
        (8, [2, 0, 2, 0]),
        (8, [4, 0, 4, 0]),
        (8, [3, 0, 2, 0]),
        (4, [1, 0, 0, 0]),
        (12, [0, 0, 0, 0]),
        (16, [0, 0, 0, 0]),
    ] {
        replaced(end + place, &bytes);
    }
    // A comment is fine, but not one that holds another end.
    let mut commented = good.clone();
    commented[end + 20] = 5;
    commented.extend(b"hello");
    assert!(forge::read(&commented).is_ok());
    let mut twice = good.clone();
    twice[end + 20] = 22;
    twice.extend(&good[end..]);
    assert!(forge::error(&twice).contains("end of central directory"));
}

#[test]
fn entries_do_not_overlap() {
    // The storage lies inside the byte order's extra data: a second local header within the data of another entry.
    let mut all = entries();
    let inner = zip(&[Entry::new("a/data/0", &[1; 16])]);
    all[0] = Entry::new("a/data.pkl", &[text_with(&inner[..54]), pickle()].concat());
    let place = zip(&all).windows(4).skip(1).position(|window| window == b"PK\x03\x04").unwrap() + 1;
    all[1] = Entry { header: Some(place as u32), ..Entry::new("a/data/0", &[1; 16]) };
    assert!(forge::error(&zip(&all)).contains("overlap"));
}

/// Bytes that a pickle pushes and drops.
fn text_with(bytes: &[u8]) -> Vec<u8> {
    [b"B".as_slice(), &(bytes.len() as u32).to_le_bytes(), bytes, b"0"].concat()
}
