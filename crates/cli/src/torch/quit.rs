//! The end of the process.

use std::io::Write;

/// Ends the process at once, without libtorch's destructors: they take a tenth of a second to free what the system frees anyway.
pub(crate) fn quit(status: u8) -> ! {
    // If stdout is closed, there is nowhere to report that.
    let _ = std::io::stdout().flush();
    #[allow(unsafe_code)]
    // SAFETY: it takes a number, and touches no memory.
    unsafe {
        libc::_exit(status.into())
    }
}
