//! The agent as a process: reads its configuration as Nomad does (`-dev`, `-config FILE` in JSON,
//! later files win), listens, and ends on SIGINT and SIGTERM.
//!
//! Read next: `config.rs`, then `http.rs`.

use std::io::{self, Read};
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::http::{Doors, Server, Setting};
use crate::tasks::Workplace;

/// What ends an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// SIGINT or SIGTERM.
    Signal,
    /// One of these, or that nobody holds the other end of its standard input any more.
    StdinCloses,
}

/// `agent ARGUMENTS…`
pub(crate) async fn main(arguments: &[String], until: Until) -> ExitCode {
    match run(arguments, until).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("==> {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String], until: Until) -> Result<(), String> {
    let config = Config::from_arguments(arguments)?;
    if !config.is_server() && !config.is_client() {
        return Err("Must specify either server, client or dev mode for the agent.".to_owned());
    }
    let http = listen(&config.bind_addr, config.ports.http).await?;
    let rpc = match config.is_server() {
        true => Some(listen(&config.bind_addr, config.ports.rpc).await?),
        false => None,
    };
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let workplace = Workplace { root: config.data_dir.join("alloc"), program };
    let setting = Setting { config, workplace, environment: std::env::vars().collect() };
    let server = Server::open(Doors { http, rpc }, setting).await?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut ended = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    println!("==> Nomad agent started! (a stand-in, not HashiCorp's)");
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = ended.recv() => {}
        () = stdin_closed(), if until == Until::StdinCloses => {}
    }
    server.shutdown().await;
    Ok(())
}

/// Fails in the words that a real agent has for the usual reason, for callers look for them.
async fn listen(address: &str, port: u16) -> Result<TcpListener, String> {
    TcpListener::bind((address, port)).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "bind: address already in use".to_owned(),
            _ => error.to_string(),
        };
        format!("Error starting agent: listen tcp {address}:{port}: {why}")
    })
}

async fn stdin_closed() {
    let (closed, heard) = oneshot::channel();
    // A thread, not tokio's: that one would be waited for when the agent ends.
    std::thread::spawn(move || {
        let mut byte = [0];
        while !matches!(std::io::stdin().read(&mut byte), Ok(0) | Err(_)) {}
        let _ = closed.send(());
    });
    let _ = heard.await;
}
