//! A whole world for what is measured up to Nomad's answer: simulated GitHub, a real agent, a
//! parameterized job whose children stay blocked, so that no runner uses the machine meanwhile.

use roustabout::nomad::{Address, Client, Connection, DispatchRequest};
use secrecy::SecretString;
use serde_json::json;

use crate::load;
use crate::relay::Relay;
use crate::support::parents::Parent;
use crate::support::world::{Parts, Plan, World};

pub const PARENT: &str = "bench-runner";

pub struct Hiring {
    pub world: World,
    pub relay: Relay,
    /// Through the relay, as the daemon's own.
    pub nomad: Client,
}

impl Hiring {
    pub async fn start() -> Self {
        let parts = Parts::start().await;
        Parent { id: PARENT, payload: "required", required: &["runner_name"], optional: &[] }
            .register(&parts.nomad)
            .await;
        let address = parts.agent.address();
        let upstream = format!("{}:{}", address.host_str().unwrap(), address.port().unwrap());
        let relay = Relay::before(upstream).await;
        let plan = Plan {
            nomad: Some(relay.url()),
            before_pools: format!(
                "[runners]\nmax = 5000\n[[pools]]\nname = \"bench\"\nnomad_job = \"{PARENT}\"\n\
                 labels = [\"self-hosted\", \"bench\"]\nrepositories = [\"octo/*\"]\n\
                 delivery = \"payload\"\nmax_runners = 5000"
            ),
            ..Plan::default()
        };
        let mut world = World::around(parts, plan).await;
        world.daemon.start().await;
        let nomad = client(&relay.url());
        Self { world, relay, nomad }
    }

    /// A webhook of a job that is queued at GitHub too, and was not sent from there.
    pub fn queued(&self) -> Vec<u8> {
        let mut payload = load::webhook(load::next() + 1_000_000_000);
        payload["workflow_job"]["labels"] = json!(["self-hosted", "bench"]);
        payload["repository"]["id"] = json!(self.world.app);
        load::request(&payload)
    }

    pub async fn bare_dispatch(&self) {
        let name = format!("bare-{}", load::next());
        let secret = SecretString::from("A".repeat(29));
        let meta = [("runner_name".to_owned(), SecretString::from(name.as_str()))].into();
        let request =
            DispatchRequest { idempotency_token: &name, payload: Some(&secret), meta: &meta };
        self.nomad.dispatch(self.nomad.place(), PARENT, &request).await.unwrap();
    }
}

fn client(url: &str) -> Client {
    Client::new(Connection::to(Address::Http(url.parse().unwrap()))).unwrap()
}
