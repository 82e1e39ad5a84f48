//! `mmcv doctor`.

use serde_json::Value;

use crate::{Said, mmcv, run};

#[test]
fn json_has_these_keys() {
    let findings: Value = serde_json::from_str(&run(["doctor", "--json"]).done()).unwrap();
    for key in
        ["mmcv", "libtorch", "libtorch_folder", "threads", "cpu_capability", "cuda_devices", "cuda_error", "cache"]
    {
        assert!(findings.get(key).is_some(), "{key}: {findings}");
    }
    assert_eq!(findings["cache"]["state"], "ready");
    assert_eq!(findings["mmcv"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_file_in_the_place_of_the_cache_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let findings: Value = serde_json::from_str(&Said::by(&mut mmcv(&file, ["doctor", "--json"])).done()).unwrap();
    assert_eq!(findings["cache"]["state"], "not a folder");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_whose_name_is_no_text_is_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"a\xff"));
    for arguments in [&["doctor"][..], &["doctor", "--json"]] {
        assert!(Said::by(&mut mmcv(&odd, arguments)).done().contains("a\u{fffd}"));
    }
}
