//! A Python config with the right syntax.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = mmcv_fuzz::configs::read(mmcv_fuzz::configs::program(bytes).as_bytes());
});
