//! What a job asks of a node: where it may be placed, with which drivers, how much room, and on which kind
//! of processor.
//!
//! Other constraints, ports and volumes are not read: only a scheduler judges those.

use serde::Deserialize;

use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::nodes::{ARCHITECTURE, Room};
use super::transport::{Call, Client};
use super::wire;

/// A task group's demands; it is placed on one node as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    pub group: String,
    /// Patterns with `*`.
    pub datacenters: Vec<String>,
    /// `all` is every pool.
    pub node_pool: String,
    pub drivers: Vec<String>,
    pub room: Room,
    /// What constraints say of the node's [`architecture`](super::Node::architecture).
    pub architectures: Vec<Architecture>,
}

/// A constraint on `${attr.cpu.arch}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Architecture {
    Is(String),
    IsNot(String),
    /// Another kind of comparison, such as `regexp`: only the scheduler judges it.
    Other,
}

impl Architecture {
    /// False where the constraint keeps the job from such a node; `None` where that is not known.
    pub fn allows(&self, architecture: &str) -> Option<bool> {
        match self {
            Self::Is(wanted) => Some(wanted == architecture),
            Self::IsNot(unwanted) => Some(unwanted != architecture),
            Self::Other => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireJob {
    #[serde(default, deserialize_with = "wire::or_default")]
    datacenters: Vec<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    node_pool: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    constraints: Vec<WireConstraint>,
    #[serde(default, deserialize_with = "wire::or_default")]
    task_groups: Vec<WireGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireConstraint {
    #[serde(default, rename = "LTarget", deserialize_with = "wire::or_default")]
    left: String,
    #[serde(default, rename = "RTarget", deserialize_with = "wire::or_default")]
    right: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    operand: String,
}

impl WireConstraint {
    fn architecture(&self) -> Option<Architecture> {
        let of_node = |side: &str| side.trim() == format!("${{attr.{ARCHITECTURE}}}");
        let other = match (of_node(&self.left), of_node(&self.right)) {
            (true, false) => &self.right,
            (false, true) => &self.left,
            _ => return None,
        };
        // One that is taken from elsewhere is not known here.
        if other.contains("${") {
            return Some(Architecture::Other);
        }
        Some(match self.operand.as_str() {
            "" | "=" | "==" | "is" => Architecture::Is(wire::text(other)),
            "!=" | "not" => Architecture::IsNot(wire::text(other)),
            _ => Architecture::Other,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireGroup {
    #[serde(default, deserialize_with = "wire::or_default")]
    name: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    count: u64,
    #[serde(default, deserialize_with = "wire::or_default")]
    tasks: Vec<WireTask>,
    #[serde(default, deserialize_with = "wire::or_default")]
    constraints: Vec<WireConstraint>,
    #[serde(default, deserialize_with = "wire::or_default")]
    ephemeral_disk: WireDisk,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireDisk {
    #[serde(rename = "SizeMB")]
    size_mb: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireTask {
    #[serde(default, deserialize_with = "wire::or_default")]
    driver: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    constraints: Vec<WireConstraint>,
    #[serde(default, deserialize_with = "wire::or_default")]
    resources: WireResources,
    lifecycle: Option<WireLifecycle>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireResources {
    #[serde(rename = "CPU")]
    cpu: u64,
    #[serde(rename = "MemoryMB")]
    memory_mb: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireLifecycle {
    #[serde(default, deserialize_with = "wire::or_default")]
    hook: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    sidecar: bool,
}

/// When a task runs. Those of one time need room together; the times follow one another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    Amid,
    After,
    Always,
}

impl WireTask {
    fn when(&self) -> When {
        match &self.lifecycle {
            None => When::Amid,
            Some(lifecycle) if lifecycle.sidecar => When::Always,
            Some(lifecycle) => match lifecycle.hook.as_str() {
                "prestart" => When::Before,
                "poststop" => When::After,
                _ => When::Amid,
            },
        }
    }
}

impl WireGroup {
    fn room(&self) -> Room {
        let of = |when: When, asks: fn(&WireResources) -> u64| -> u64 {
            let then = self.tasks.iter().filter(|task| task.when() == when);
            then.map(|task| asks(&task.resources)).sum()
        };
        let most = |asks: fn(&WireResources) -> u64| {
            let times = [When::Before, When::Amid, When::After].map(|when| of(when, asks));
            times.into_iter().max().unwrap_or_default() + of(When::Always, asks)
        };
        Room {
            cpu_mhz: most(|asks| asks.cpu),
            memory_mb: most(|asks| asks.memory_mb),
            disk_mb: self.ephemeral_disk.size_mb,
        }
    }
}

impl From<WireJob> for Vec<Needs> {
    fn from(job: WireJob) -> Vec<Needs> {
        let groups = job.task_groups.iter().filter(|group| group.count > 0);
        let needs = groups.map(|group| {
            let mut drivers: Vec<String> =
                group.tasks.iter().map(|task| task.driver.clone()).collect();
            drivers.sort_unstable();
            drivers.dedup();
            let of_tasks = group.tasks.iter().flat_map(|task| &task.constraints);
            let constraints = job.constraints.iter().chain(&group.constraints).chain(of_tasks);
            Needs {
                group: group.name.clone(),
                datacenters: job.datacenters.clone(),
                node_pool: job.node_pool.clone(),
                drivers,
                room: group.room(),
                architectures: constraints.filter_map(WireConstraint::architecture).collect(),
            }
        });
        needs.collect()
    }
}

impl Client {
    /// `GET /v1/job/:id`, as far as it says where the job can be placed.
    pub async fn needs(&self, place: &Place, id: &str) -> Result<Vec<Needs>, Error> {
        let (job, _) = self.read::<WireJob>(Call::to(Endpoint::Job(id)).at(place)).await?;
        Ok(job.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tasks_of_one_time_need_room_together() {
        let task = |driver: &str, memory: u64, lifecycle: serde_json::Value| json!({ "Driver": driver, "Resources": { "CPU": 100, "MemoryMB": memory }, "Lifecycle": lifecycle });
        let job = json!({
            "Datacenters": ["dc*"], "NodePool": "default",
            "TaskGroups": [
                { "Name": "g", "Count": 1, "EphemeralDisk": { "SizeMB": 400 }, "Tasks": [
                    task("raw_exec", 300, json!({ "Hook": "prestart" })),
                    task("docker", 100, json!(null)),
                    task("docker", 150, json!(null)),
                    task("docker", 7, json!({ "Hook": "prestart", "Sidecar": true })),
                    task("raw_exec", 50, json!({ "Hook": "poststop" })),
                ] },
                { "Name": "none", "Count": 0, "Tasks": null },
            ],
        });
        let needs: Vec<Needs> = serde_json::from_value::<WireJob>(job).unwrap().into();
        assert_eq!(
            needs,
            [Needs {
                group: "g".into(),
                datacenters: vec!["dc*".into()],
                node_pool: "default".into(),
                drivers: vec!["docker".into(), "raw_exec".into()],
                room: Room { cpu_mhz: 300, memory_mb: 307, disk_mb: 400 },
                architectures: vec![],
            }]
        );
    }

    #[test]
    fn constraints_on_the_processor_are_read_wherever_they_are() {
        let constraint = |left: &str, operand: &str, right: &str| json!({ "LTarget": left, "Operand": operand, "RTarget": right });
        let arch = "${attr.cpu.arch}";
        let job = json!({
            "Constraints": [constraint(arch, "=", "arm64"), constraint("${attr.kernel.name}", "=", "linux")],
            "TaskGroups": [{ "Count": 1, "Constraints": [constraint("arm", "!=", arch)], "Tasks": [
                { "Driver": "exec", "Constraints": [
                    constraint(arch, "regexp", "arm.*"), constraint(arch, "=", "${meta.arch}"),
                ] },
            ] }],
        });
        let needs: Vec<Needs> = serde_json::from_value::<WireJob>(job).unwrap().into();
        let (is, not) = (Architecture::Is("arm64".into()), Architecture::IsNot("arm".into()));
        assert_eq!((is.allows("arm64"), is.allows("arm")), (Some(true), Some(false)));
        assert_eq!((not.allows("arm64"), not.allows("arm")), (Some(true), Some(false)));
        assert_eq!(Architecture::Other.allows("arm"), None);
        let other = || Architecture::Other;
        assert_eq!(needs[0].architectures, [is, not, other(), other()]);
    }
}
