//! Set-up, demo, tests, parity and checks of the workspace.
fn main() {}
