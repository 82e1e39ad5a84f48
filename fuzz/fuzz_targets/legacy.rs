//! A whole file, from seeds that `torch.save` wrote before torch 1.6.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = mmcv_fuzz::checkpoints::read(bytes);
});
