//! Where the daemon's own log goes while its steps are shown: a file, or standard error where
//! `RUST_LOG` asks for it.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

/// Whether the log goes to standard error.
pub fn is_on_terminal() -> bool {
    std::env::var_os("RUST_LOG").is_some_and(|value| !value.is_empty())
}

/// Once a process.
pub fn start(file: &Path) -> anyhow::Result<()> {
    let registry = tracing_subscriber::registry();
    let layer = tracing_subscriber::fmt::layer().with_target(false).with_ansi(false);
    let started = if is_on_terminal() {
        let layer = layer.with_writer(std::io::stderr);
        registry.with(layer.with_filter(EnvFilter::from_default_env())).try_init()
    } else {
        let file =
            File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
        let layer = layer.with_writer(std::sync::Mutex::new(file));
        registry.with(layer.with_filter(EnvFilter::new("info"))).try_init()
    };
    started.context("there is a log already")
}
