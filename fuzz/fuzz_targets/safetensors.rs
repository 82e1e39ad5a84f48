//! A whole file, from seeds that the safetensors library wrote.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = mmcv_fuzz::checkpoints::read(bytes);
});
