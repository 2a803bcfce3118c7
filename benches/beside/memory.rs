//! Resident memory at rest and after 100 000 jobs that came and went, and processor time at
//! rest. The jobs are taken by somebody else's runners, for 100 000 of our own would be Nomad's
//! benchmark; each is three webhooks all the same.

use std::time::Duration;

use serde_json::json;

use crate::load;
use crate::process::{resident, used};
use crate::support::daemon::roustabout;
use crate::support::world::World;

const JOBS: usize = 100_000;
const AT_ONCE: usize = 1000;
const REST: Duration = Duration::from_secs(60);

pub async fn measure() {
    let world = World::start().await;
    let process = world.daemon.process();
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!("\n## Memory and processor\n");
    println!("| | |\n|---|---|");
    println!("| resident at rest | {:.1} MB |", megabytes(process));
    let before = used(process);
    tokio::time::sleep(REST).await;
    let share = (used(process) - before).as_secs_f64() / REST.as_secs_f64() * 100.0;
    println!("| processor at rest, over {} s | {share:.3} % of a core |", REST.as_secs());
    // Nobody is hired meanwhile.
    let mut pause = roustabout();
    pause.args(["pause", "x64", "--config"]).arg(world.daemon.config());
    assert!(pause.output().unwrap().status.success());
    for done in (0..JOBS).step_by(AT_ONCE) {
        come_and_go(&world).await;
        let jobs = done + AT_ONCE;
        if [10_000, 50_000, JOBS].contains(&jobs) {
            tokio::time::sleep(Duration::from_secs(2)).await;
            println!("| resident after {jobs} jobs | {:.1} MB |", megabytes(process));
        }
    }
}

async fn come_and_go(world: &World) {
    let ids: Vec<u64> = (0..AT_ONCE).map(|_| load::next() + 2_000_000_000).collect();
    for (action, status, runner) in [
        ("queued", "queued", None),
        ("in_progress", "in_progress", Some("somebody")),
        ("completed", "completed", Some("somebody")),
    ] {
        let requests = ids.iter().map(|id| {
            let mut payload = load::webhook(*id);
            payload["action"] = json!(action);
            payload["workflow_job"]["status"] = json!(status);
            payload["workflow_job"]["runner_name"] = json!(runner);
            payload["workflow_job"]["conclusion"] =
                json!((action == "completed").then_some("success"));
            payload["repository"]["id"] = json!(world.app);
            load::request(&payload)
        });
        load::post(world.daemon.door, requests.collect(), 16).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
pub fn megabytes(process: u32) -> f64 {
    resident(process) as f64 * 1024.0 / 1e6
}
