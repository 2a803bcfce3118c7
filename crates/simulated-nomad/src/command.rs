//! The part of Nomad's command line that tests and the recorder use: `agent`, `version`, and the
//! hidden command that supervises a task.
//!
//! Read next: `agent.rs`.

use std::process::ExitCode;

use crate::{agent, tasks};

/// Runs one command; `arguments` are without the program's name. What it prints on failure says
/// what to do.
pub async fn main(arguments: Vec<String>) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["agent", ..] => agent::main(&arguments[1..]).await,
        ["version", ..] => {
            println!("Nomad v{} (a stand-in, not HashiCorp's)", crate::VERSION);
            ExitCode::SUCCESS
        }
        [tasks::supervise::COMMAND, ..] => tasks::supervise::main(arguments[1..].to_vec()).await,
        _ => {
            eprintln!("usage: simulated-nomad agent [-dev] -config FILE… | version");
            ExitCode::from(2)
        }
    }
}
