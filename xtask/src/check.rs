//! `cargo xtask check`: what holds of the sources, the cheapest first.

use anyhow::{Result, ensure};
use clap::Args;

use crate::process::{cargo, output, plain_cargo, run, stage};
use crate::setup::{Variant, ensure_libtorch};
use crate::test::{LIGHT, light};
use crate::{deny, tidy};

/// Format, tidy, dependency directions, licenses, light tests, lints and documentation.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask check")]
pub(crate) struct Check {}

impl Check {
    pub(crate) fn run(self) -> Result<()> {
        stage("Format");
        run(plain_cargo().args(["fmt", "--all", "--check"]))?;
        stage("Tidy");
        tidy::check()?;
        stage("Directions of dependencies");
        directions()?;
        deny::check()?;
        light(&[])?;
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        stage("Lints");
        run(cargo(&libtorch).args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
        stage("Documentation");
        run(cargo(&libtorch).args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
    }
}

/// What users of the library must not have to compile.
const COMMAND_LINE: [&str; 6] = ["ab_glyph", "anyhow", "clap", "env_logger", "image", "indicatif"];

/// The light packages must not depend on libtorch, not even in their tests, and the library must not depend on what only the
/// command needs.
fn directions() -> Result<()> {
    for package in LIGHT {
        let tree = output(plain_cargo().args(["tree", "--prefix", "none", "--package", package]))?;
        let found = tree.lines().find(|line| line.starts_with("tch ") || line.starts_with("torch-sys "));
        ensure!(found.is_none(), "{package} must not depend on libtorch, and `cargo tree -p {package}` has {found:?}");
    }
    let library = ["tree", "--prefix", "none", "--edges", "normal", "--package", "mmcv"];
    let tree = output(plain_cargo().args(library))?;
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        ensure!(
            !COMMAND_LINE.contains(&name),
            "mmcv must not depend on {name}, and `cargo tree -p mmcv -e normal` has {line:?}"
        );
    }
    Ok(())
}
