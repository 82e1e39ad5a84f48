//! `cargo xtask check`: all checks of the sources, the cheapest first.

use anyhow::{Result, ensure};
use clap::Args;

use crate::measure::measure;
use crate::process::{cargo, output, plain_cargo, run, stage};
use crate::setup::{Variant, ensure_libtorch};
use crate::test::{LIGHT, light};
use crate::{deny, tidy};

/// Format, tidy, measures, dependency directions, licenses, light tests, lints and documentation.
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
        stage("Measures and house rules");
        measure(&[])?;
        stage("Directions of dependencies");
        directions()?;
        deny::check()?;
        light(&[])?;
        stage("The model zoo without downloads");
        run(plain_cargo().args(["test", "--quiet", "--package", "mmcv-zoo", "--no-default-features", "--lib"]))?;
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        stage("Lints");
        run(cargo(&libtorch).args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
        stage("Documentation");
        run(cargo(&libtorch).args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
    }
}

/// The libraries of a program, which users of the facade do not compile.
const PROGRAM: [&str; 7] = ["ab_glyph", "anyhow", "clap", "env_logger", "image", "indicatif", "mmcv-cli"];

/// Checks that the light packages do not depend on libtorch, not even in their tests, and the facade not on a program's
/// libraries, and without its features not on those for downloads.
fn directions() -> Result<()> {
    for package in LIGHT {
        forbid(package, &[], &["tch", "torch-sys"])?;
    }
    forbid("mmcv", &["--edges", "normal"], &PROGRAM)?;
    forbid("mmcv", &["--edges", "normal", "--no-default-features"], &["rustls", "ureq"])
}

fn forbid(package: &str, options: &[&str], forbidden: &[&str]) -> Result<()> {
    let tree = output(plain_cargo().args(["tree", "--prefix", "none", "--package", package]).args(options))?;
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        ensure!(
            !forbidden.contains(&name),
            "{package} must not depend on {name}: see `cargo tree -p {package} -i {name}`"
        );
    }
    Ok(())
}
