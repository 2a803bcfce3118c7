//! What a job asks of the scheduler: its groups with their counts, needs, constraints and rules of
//! rescheduling, read from the job's JSON as the API shows it.
//!
//! Nothing is refused here; what is missing has Nomad's own default. Read next: `placing.rs`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::constraints::Constraint;
use super::jobs::Disconnect;
use super::model::{HOUR, Millis, SECOND};

/// Nanoseconds, as Go writes a length of time, in a millisecond.
const NANOS: i64 = 1_000_000;
/// Nomad's own, in MHz and MB (`api/resources.go`, `DefaultResources`).
const DEFAULT_CPU: u64 = 100;
const DEFAULT_MEMORY: u64 = 300;
const DEFAULT_DISK: u64 = 300;
const DEFAULT_PRIORITY: i64 = 50;

/// All that the scheduler looks at of a job.
#[derive(Clone, Debug, Default)]
pub struct Wants {
    /// `Type`: `batch`, `service`, ….
    pub kind: String,
    pub priority: i64,
    /// Globs.
    pub datacenters: Vec<String>,
    pub pool: String,
    pub constraints: Vec<Constraint>,
    pub groups: Vec<Group>,
}

/// A task group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub name: String,
    pub count: u64,
    /// Its own ones and those of its tasks, in this order.
    pub constraints: Vec<Constraint>,
    pub tasks: Vec<TaskWants>,
    pub disk_mb: u64,
    /// Names of host volumes.
    pub host_volumes: Vec<String>,
    /// Ports of the node that are asked for by number.
    pub ports: Vec<u64>,
    pub reschedule: Reschedule,
    pub disconnect: Option<Disconnect>,
}

#[derive(Clone, Debug, Default)]
pub struct TaskWants {
    pub name: String,
    pub driver: String,
    pub cpu_mhz: u64,
    pub memory_mb: u64,
    /// Whole cores of its own, in place of MHz.
    pub cores: u64,
    pub devices: Vec<String>,
    pub hook: Hook,
    /// Its `Lifecycle`, as it stands in the job.
    pub lifecycle: Value,
}

/// When a task runs beside the main ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hook {
    #[default]
    Main,
    Prestart,
    Sidecar,
    Poststop,
}

/// `reschedule { … }`.
#[derive(Clone, Debug, Default)]
pub struct Reschedule {
    pub attempts: u64,
    pub unlimited: bool,
    pub interval: Millis,
    pub delay: Millis,
    pub delay_function: String,
    pub max_delay: Millis,
}

impl Reschedule {
    pub(super) fn allows_any(&self) -> bool {
        self.unlimited || self.attempts > 0
    }

    /// How long the next attempt waits, after so many.
    pub(super) fn delay_after(&self, attempts: u64) -> Millis {
        let grown = match self.delay_function.as_str() {
            "exponential" => (0..attempts).fold(self.delay, |delay, _| delay.saturating_mul(2)),
            "fibonacci" => {
                let steps = (0..attempts)
                    .fold((self.delay, self.delay), |(one, two), _| (two, one.saturating_add(two)));
                steps.0
            }
            _ => self.delay,
        };
        if self.max_delay > 0 { grown.min(self.max_delay) } else { grown }
    }
}

/// MHz, MB and cores that an allocation takes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub cpu_mhz: u64,
    pub memory_mb: u64,
    pub cores: u64,
    pub disk_mb: u64,
}

impl Group {
    /// Tasks of different hooks do not run at the same time, so the greatest need counts; a sidecar
    /// runs beside all of them (`nomad/structs/structs.go`, `AllocatedResources.Comparable`).
    #[must_use]
    pub fn needs(&self) -> Needs {
        let of = |hook: Hook| {
            let tasks = self.tasks.iter().filter(|task| task.hook == hook);
            tasks.fold([0; 3], |[cpu, memory, cores], task| {
                [cpu + task.cpu_mhz, memory + task.memory_mb, cores + task.cores]
            })
        };
        let (before, main, after) = (of(Hook::Prestart), of(Hook::Main), of(Hook::Poststop));
        let beside = of(Hook::Sidecar);
        let most = |at: usize| before[at].max(main[at]).max(after[at]) + beside[at];
        Needs { cpu_mhz: most(0), memory_mb: most(1), cores: most(2), disk_mb: self.disk_mb }
    }
}

impl Wants {
    #[must_use]
    pub fn read(job: &Value) -> Self {
        let kind = text(&job["Type"], "service");
        Self {
            priority: job["Priority"].as_i64().filter(|it| *it > 0).unwrap_or(DEFAULT_PRIORITY),
            datacenters: match texts(&job["Datacenters"]) {
                all if all.is_empty() => vec!["*".to_owned()],
                all => all,
            },
            pool: text(&job["NodePool"], "default"),
            constraints: constraints(&job["Constraints"]),
            groups: list(&job["TaskGroups"]).map(|one| group(one, &kind)).collect(),
            kind,
        }
    }

    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }
}

fn group(group: &Value, kind: &str) -> Group {
    let mut all = constraints(&group["Constraints"]);
    for task in list(&group["Tasks"]) {
        all.extend(constraints(&task["Constraints"]));
        all.extend(signals(task));
    }
    let disconnect = &group["Disconnect"];
    let lost_after = disconnect["LostAfter"].as_i64().filter(|it| *it > 0);
    let volumes = group["Volumes"].as_object().into_iter().flatten();
    let volumes = volumes.filter(|(_, volume)| volume["Type"] == "host");
    let networks = list(&group["Networks"]);
    let ports = networks.flat_map(|network| list(&network["ReservedPorts"]));
    Group {
        name: text(&group["Name"], ""),
        count: group["Count"].as_u64().unwrap_or(1),
        constraints: all,
        tasks: list(&group["Tasks"]).map(task).collect(),
        disk_mb: group["EphemeralDisk"]["SizeMB"].as_u64().unwrap_or(DEFAULT_DISK),
        host_volumes: volumes.map(|(_, volume)| text(&volume["Source"], "")).collect(),
        ports: ports.filter_map(|port| port["Value"].as_u64()).collect(),
        reschedule: reschedule(&group["ReschedulePolicy"], kind),
        disconnect: lost_after.map(|lost_after| Disconnect {
            lost_after: lost_after / NANOS,
            replace: disconnect["Replace"].as_bool().unwrap_or(true),
        }),
    }
}

fn task(task: &Value) -> TaskWants {
    let resources = &task["Resources"];
    let cores = resources["Cores"].as_u64().unwrap_or(0);
    let default_cpu = if cores > 0 { 0 } else { DEFAULT_CPU };
    let hook = match text(&task["Lifecycle"]["Hook"], "").as_str() {
        "prestart" | "poststart" if task["Lifecycle"]["Sidecar"] == true => Hook::Sidecar,
        "prestart" => Hook::Prestart,
        "poststop" => Hook::Poststop,
        _ => Hook::Main,
    };
    TaskWants {
        name: text(&task["Name"], ""),
        driver: text(&task["Driver"], ""),
        cpu_mhz: resources["CPU"].as_u64().unwrap_or(default_cpu),
        memory_mb: resources["MemoryMB"].as_u64().unwrap_or(DEFAULT_MEMORY),
        cores,
        devices: list(&resources["Devices"]).map(|device| text(&device["Name"], "")).collect(),
        hook,
        lifecycle: task["Lifecycle"].clone(),
    }
}

/// A node must know the signals that a task asks for, as if its job had said so.
fn signals(task: &Value) -> Option<Constraint> {
    let kill = texts(&Value::Array(vec![task["KillSignal"].clone()]));
    let change = list(&task["Templates"]).map(|template| text(&template["ChangeSignal"], ""));
    let mut all: Vec<String> = kill.into_iter().chain(change).filter(|it| !it.is_empty()).collect();
    all.sort();
    all.dedup();
    let wanted = all.join(",");
    (!wanted.is_empty()).then(|| Constraint::new("${attr.os.signals}", "set_contains", &wanted))
}

fn reschedule(policy: &Value, kind: &str) -> Reschedule {
    // `nomad/structs/structs.go`, `DefaultBatchJobReschedulePolicy`.
    let batch = Reschedule {
        attempts: 1,
        unlimited: false,
        interval: 24 * HOUR,
        delay: 5 * SECOND,
        delay_function: "constant".to_owned(),
        max_delay: 0,
    };
    let service = Reschedule {
        attempts: 0,
        unlimited: true,
        interval: 0,
        delay: 30 * SECOND,
        delay_function: "exponential".to_owned(),
        max_delay: HOUR,
    };
    let default = if kind == "service" { service } else { batch };
    if policy.is_null() {
        return default;
    }
    let time = |value: &Value, default: Millis| value.as_i64().map_or(default, |it| it / NANOS);
    Reschedule {
        attempts: policy["Attempts"].as_u64().unwrap_or(default.attempts),
        unlimited: policy["Unlimited"].as_bool().unwrap_or(default.unlimited),
        interval: time(&policy["Interval"], default.interval),
        delay: time(&policy["Delay"], default.delay),
        delay_function: text(&policy["DelayFunction"], &default.delay_function),
        max_delay: time(&policy["MaxDelay"], default.max_delay),
    }
}

fn constraints(value: &Value) -> Vec<Constraint> {
    let read = |one: &Value| Constraint {
        left: text(&one["LTarget"], ""),
        right: text(&one["RTarget"], ""),
        operand: text(&one["Operand"], "="),
    };
    list(value).map(read).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

fn text(value: &Value, default: &str) -> String {
    value.as_str().filter(|it| !it.is_empty()).unwrap_or(default).to_owned()
}

/// Tasks of a group by name, as metrics are shown.
pub(super) fn by_task<T>(group: &Group, of: impl Fn(&TaskWants) -> T) -> BTreeMap<String, T> {
    group.tasks.iter().map(|task| (task.name.clone(), of(task))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_and_what_is_not() {
        let wants = Wants::read(&json!({
            "Type": "batch", "Datacenters": ["m*"], "Priority": 70,
            "TaskGroups": [{
                "Name": "g", "Count": 2, "EphemeralDisk": {"SizeMB": 10},
                "Constraints": [{"Operand": "distinct_hosts", "RTarget": "true"}],
                "Disconnect": {"LostAfter": 9_000_000_000_i64, "Replace": false},
                "Tasks": [
                    {"Name": "a", "Driver": "raw_exec", "KillSignal": "SIGTERM",
                     "Resources": {"CPU": 500}, "Lifecycle": {"Hook": "prestart"}},
                    {"Name": "b", "Driver": "docker", "Resources": {"MemoryMB": 100}},
                    {"Name": "c", "Driver": "docker", "Resources": {"CPU": 1, "MemoryMB": 1},
                     "Lifecycle": {"Hook": "prestart", "Sidecar": true}},
                ],
            }],
        }));
        assert_eq!((wants.priority, wants.pool.as_str()), (70, "default"));
        let group = wants.group("g").unwrap();
        let needs = Needs { cpu_mhz: 501, memory_mb: 301, cores: 0, disk_mb: 10 };
        assert_eq!((group.count, group.needs()), (2, needs));
        assert_eq!(group.constraints[1].to_string(), "${attr.os.signals} set_contains SIGTERM");
        assert_eq!(group.disconnect.map(|it| (it.lost_after, it.replace)), Some((9_000, false)));
        assert_eq!((group.reschedule.attempts, group.reschedule.delay), (1, 5 * SECOND));
    }

    #[test]
    fn delays_grow_as_their_function_says() {
        let mut rule = Reschedule { delay: 5, max_delay: 30, ..Reschedule::default() };
        let delays = |rule: &Reschedule| (0..5).map(|n| rule.delay_after(n)).collect::<Vec<_>>();
        assert_eq!(delays(&rule), [5; 5]);
        "exponential".clone_into(&mut rule.delay_function);
        assert_eq!(delays(&rule), [5, 10, 20, 30, 30]);
        "fibonacci".clone_into(&mut rule.delay_function);
        assert_eq!(delays(&rule), [5, 5, 10, 15, 25]);
    }
}
