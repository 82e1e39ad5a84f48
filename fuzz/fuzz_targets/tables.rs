//! A user's `open_mmlab.json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = mmcv_fuzz::tables::read(bytes);
});
