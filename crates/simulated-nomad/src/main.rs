//! The stand-in as a program of its own, with the part of Nomad's command line that tests use.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    simulated_nomad::command::main(std::env::args().skip(1).collect()).await
}
