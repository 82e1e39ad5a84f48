//! The example of a type of one's own, run as a test.

#[path = "../../crates/mmcv/examples/custom_layer/main.rs"]
mod example;

#[test]
fn the_example_runs() {
    example::main().unwrap();
}
