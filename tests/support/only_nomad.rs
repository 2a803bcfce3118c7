//! What only a real Nomad can show. This is the whole list: everything else that the tests do with a
//! cluster runs on the stand-in as well. Without a Nomad each of these is said to be not run; a
//! Nomad that is there may lack a driver or a right, which is asked before and said likewise.

use std::path::PathBuf;

use local_parts::agent::{Agent, Program};
use serde_json::Value;

use super::cluster;
use super::parts::not_run;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnlyNomad {
    /// Tasks in a root file system of their own.
    Exec,
    /// Tasks in containers.
    Docker,
    /// Connections with what `nomad tls` makes.
    ItsCertificates,
    /// The shipped jobspecs and the variables of the environment, as `nomad job` reads them.
    ItsCommand,
    /// The checks of services, which a client makes; the stand-in makes none.
    ItsChecks,
}

impl OnlyNomad {
    fn what(self) -> &'static str {
        match self {
            Self::Exec => "the runner jobspec for exec, on that driver",
            Self::Docker => "the runner jobspec for docker, on that driver",
            Self::ItsCertificates => "TLS with the certificates that `nomad tls` makes",
            Self::ItsCommand => "the shipped jobspecs through `nomad job`",
            Self::ItsChecks => "the check of the daemon's service, as Nomad makes it,",
        }
    }

    /// The real Nomad; where there is none, that is said.
    pub fn nomad(self) -> Option<PathBuf> {
        match cluster::program() {
            Program::Nomad(binary) => Some(binary),
            Program::StandIn(_) => {
                not_run(self.what(), "needs a Nomad");
                None
            }
        }
    }

    /// Whether the agent's node has the driver, which may take it a moment; where it has not, that is
    /// said.
    pub async fn has_driver(self, agent: &Agent) -> bool {
        let driver = match self {
            Self::Exec => "exec",
            Self::Docker => "docker",
            Self::ItsCertificates | Self::ItsCommand | Self::ItsChecks => return true,
        };
        let mut node = Value::Null;
        let nodes = agent.address().join("/v1/nodes").unwrap();
        // Docker is found by the second look, some seconds after the start.
        for _ in 0..40 {
            let answer = reqwest::get(nodes.clone()).await.unwrap();
            node = answer.json::<Value>().await.unwrap()[0]["Drivers"][driver].clone();
            if node["Healthy"] == true {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        let why = node["HealthDescription"].as_str().filter(|why| !why.is_empty());
        let why = why.unwrap_or("it does not know this driver");
        not_run(self.what(), &format!("needs a Nomad with that driver; this one says: {why}"));
        false
    }
}
