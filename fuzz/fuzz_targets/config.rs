//! A Python config.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let _ = mmcv_fuzz::configs::read(text);
});
