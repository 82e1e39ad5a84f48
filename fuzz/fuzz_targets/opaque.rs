//! The pickle of a file of `torch.save`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = mmcv_fuzz::checkpoints::read_opaque_pickle(bytes);
});
