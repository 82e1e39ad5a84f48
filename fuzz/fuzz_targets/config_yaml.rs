//! A YAML config, and the same text as a JSON config.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let _ = mmcv_fuzz::configs::read_as("config.yaml", text);
    let _ = mmcv_fuzz::configs::read_as("config.json", text);
});
