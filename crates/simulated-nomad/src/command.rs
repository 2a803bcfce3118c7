//! The part of Nomad's command line that tests and the recorder use: `agent`, `tls`, `version`, and the
//! hidden command that supervises a task.
//!
//! Read next: `agent.rs`.

use std::process::ExitCode;

use crate::agent::{self, Until};
use crate::{certificates, tasks};

/// Before `agent`: it ends, as if interrupted, when its standard input is closed; that is, when the
/// program that started it is no more. A real Nomad has nothing like it.
pub const WHILE_STDIN_IS_OPEN: &str = "-while-stdin-is-open";

/// Runs one command; `arguments` are without the program's name. What it prints on failure says
/// what to do.
pub async fn main(arguments: Vec<String>) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["agent", ..] => agent::main(&arguments[1..], Until::Signal).await,
        [WHILE_STDIN_IS_OPEN, "agent", ..] => {
            agent::main(&arguments[2..], Until::StdinCloses).await
        }
        ["tls", ..] => certificates::main(&arguments[1..]),
        ["version", ..] => {
            println!("Nomad v{} (a stand-in, not HashiCorp's)", crate::VERSION);
            ExitCode::SUCCESS
        }
        [tasks::supervise::COMMAND, ..] => tasks::supervise::main(arguments[1..].to_vec()).await,
        _ => {
            eprintln!("usage: simulated-nomad agent [-dev] -config FILE… | tls … | version");
            ExitCode::from(2)
        }
    }
}
