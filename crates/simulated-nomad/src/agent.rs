//! The agent as a process: reads its configuration as Nomad does (`-dev`, `-config FILE` in JSON,
//! later files win), listens, and ends on SIGINT and SIGTERM.
//!
//! Read next: `config.rs`, then `http.rs`.

use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::http::Server;
use crate::tasks::Workplace;

/// `agent ARGUMENTS…`
pub(crate) async fn main(arguments: &[String]) -> ExitCode {
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("==> {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<(), String> {
    let config = Config::from_arguments(arguments)?;
    let port = config.ports.http;
    let listener = TcpListener::bind((config.bind_addr.as_str(), port))
        .await
        .map_err(|error| format!("cannot listen on {}:{port}: {error}", config.bind_addr))?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let workplace = Workplace { root: config.data_dir.join("alloc"), program };
    let seed = rand::random();
    let server = Server::start(listener, workplace, seed).map_err(|error| error.to_string())?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut ended = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    println!("==> Nomad agent started! (a stand-in, not HashiCorp's)");
    tokio::select! { _ = interrupted.recv() => {}, _ = ended.recv() => {} }
    server.shutdown().await;
    Ok(())
}
