//! A whole file, from seeds that `torch.save` and `torch.jit.save` wrote.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = mmcv_fuzz::checkpoints::read(bytes);
});
