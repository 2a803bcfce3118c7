//! The one place that says which Nomad the tests run on: the real one where one is found (`NOMAD_BIN`,
//! else on `PATH`), else the stand-in. Tests ask for a cluster and do not know which it is.

use std::sync::OnceLock;

use local_parts::agent::{Agent, AgentOptions, Program};
use local_parts::programs::find_binary;

use super::programs;

/// What agents are started from.
pub fn program() -> Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    let find = || match find_binary(None, |name| std::env::var_os(name)) {
        Some(binary) => Program::Nomad(binary),
        None => {
            let said = std::env::var("NOMAD_BIN").unwrap_or_default();
            assert!(said.is_empty(), "NOMAD_BIN={said} does not run; correct it or unset it");
            stand_in()
        }
    };
    PROGRAM.get_or_init(find).clone()
}

/// The stand-in, whatever is found.
pub fn stand_in() -> Program {
    Program::StandIn(programs::roustabout_demo().to_owned())
}

/// How an agent is started where nothing else is wanted of it.
pub fn options() -> AgentOptions {
    // Only the first test of a process finds none installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    AgentOptions::new(program())
}

pub async fn start() -> Agent {
    Agent::start(options()).await.unwrap()
}
