//! Whether at least one node could run a pool's job if nothing else ran there: datacenter, node pool,
//! drivers, resources. The scheduler knows more (constraints, current use); what is reported here
//! prevents placement in any case. Pure.

use super::finding::Finding;
use crate::ledger::matching::RepositoryGlobs;
use crate::nomad::{Needs, Node, Room};

/// One finding: the first requirement that no node meets, or that a node meets all.
pub fn judge(pool: &str, job: &str, needs: &[Needs], nodes: &[Node]) -> Option<Finding> {
    let subject = format!("pool {pool}");
    if needs.is_empty() {
        return None;
    }
    let troubles: Vec<(String, String)> =
        needs.iter().filter_map(|needs| trouble(job, needs, nodes)).collect();
    let first = troubles.into_iter().next();
    Some(match first {
        Some((what, fix)) => Finding::fail(subject, what, fix),
        None => Finding::ok(
            subject,
            format!("at least one node has the drivers and resources for \"{job}\""),
        ),
    })
}

fn trouble(job: &str, needs: &Needs, nodes: &[Node]) -> Option<(String, String)> {
    let awake: Vec<&Node> = nodes.iter().filter(|node| node.takes_work).collect();
    if awake.is_empty() {
        let what = match nodes.len() {
            0 => format!("Nomad has no nodes, so nothing can run \"{job}\""),
            all => format!(
                "none of Nomad's {all} nodes is ready and eligible, so nothing can run \"{job}\""
            ),
        };
        return Some((
            what,
            "start a client, or make one eligible (nomad node status lists them)".to_owned(),
        ));
    }
    let here: Vec<&&Node> = awake.iter().filter(|node| is_in(node, needs)).collect();
    if here.is_empty() {
        let what = format!(
            "no node is in the datacenters {} and the node pool \"{}\" of \"{job}\"",
            needs.datacenters.join(", "),
            needs.node_pool
        );
        return Some((what, "correct datacenters or node_pool of the job; nomad node status shows those of the nodes".to_owned()));
    }
    let able: Vec<&&&Node> = here
        .iter()
        .filter(|node| needs.drivers.iter().all(|driver| node.drivers.contains(driver)))
        .collect();
    if able.is_empty() {
        let lacking = needs
            .drivers
            .iter()
            .filter(|driver| !here.iter().any(|node| node.drivers.contains(*driver)));
        let lacking: Vec<&str> = lacking.map(String::as_str).collect();
        let what = match lacking.is_empty() {
            true => {
                format!("no node has all the drivers of \"{job}\" ({})", needs.drivers.join(", "))
            }
            false => format!("no node has a healthy driver {} for \"{job}\"", lacking.join(", ")),
        };
        let fix = match lacking.contains(&"raw_exec") {
            true => {
                "enable it in the config of the clients: plugin \"raw_exec\" { config { enabled = true } }"
            }
            false => {
                "nomad node status -verbose NODE shows the drivers of a node and what is wrong with them"
            }
        };
        return Some((what, fix.to_owned()));
    }
    let rooms: Vec<Room> = able.iter().filter_map(|node| node.room).collect();
    if rooms.len() < able.len() || rooms.iter().any(|has| fits(needs.room, *has)) {
        return None;
    }
    let most = |of: fn(&Room) -> u64| rooms.iter().map(of).max().unwrap_or_default();
    let dimensions = [
        (needs.room.memory_mb, most(|room| room.memory_mb), "MB of memory"),
        (needs.room.cpu_mhz, most(|room| room.cpu_mhz), "MHz of CPU"),
        (needs.room.disk_mb, most(|room| room.disk_mb), "MB of disk"),
    ];
    let short = dimensions.iter().find(|(wants, has, _)| wants > has);
    let what = match short {
        Some((wants, has, of)) => {
            format!("\"{job}\" asks for {wants} {of}, but the largest of its nodes has {has}")
        }
        None => format!("no node has the memory, CPU and disk together that \"{job}\" asks for"),
    };
    Some((what, "reduce the resources of the job, or add larger nodes".to_owned()))
}

fn is_in(node: &Node, needs: &Needs) -> bool {
    let pool =
        needs.node_pool == "all" || needs.node_pool.is_empty() || node.pool == needs.node_pool;
    // The same stars as in the names of repositories; a datacenter has no slash.
    pool && RepositoryGlobs::new(&needs.datacenters).matches(&node.datacenter)
}

fn fits(needs: Room, has: Room) -> bool {
    needs.memory_mb <= has.memory_mb && needs.cpu_mhz <= has.cpu_mhz && needs.disk_mb <= has.disk_mb
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Report, render};

    fn node(drivers: &[&str], memory_mb: u64) -> Node {
        Node {
            name: "n".into(),
            datacenter: "dc1".into(),
            pool: "default".into(),
            takes_work: true,
            drivers: drivers.iter().map(|driver| (*driver).to_owned()).collect(),
            room: Some(Room { cpu_mhz: 4000, memory_mb, disk_mb: 9000 }),
        }
    }

    fn needs(drivers: &[&str], memory_mb: u64) -> Needs {
        Needs {
            group: "runner".into(),
            datacenters: vec!["*".into()],
            node_pool: "default".into(),
            drivers: drivers.iter().map(|driver| (*driver).to_owned()).collect(),
            room: Room { cpu_mhz: 1000, memory_mb, disk_mb: 500 },
        }
    }

    fn told(needs: Needs, nodes: &[Node]) -> String {
        let found = judge("x64", "runner", &[needs], nodes).into_iter().collect();
        let text = render::text(&Report(found), false);
        text.lines().next().unwrap_or_default().to_owned() + "\n"
    }

    #[test]
    fn what_no_node_has_is_told() {
        let usual = || needs(&["raw_exec"], 2000);
        let asleep = Node { takes_work: false, ..node(&["raw_exec"], 9000) };
        let elsewhere = Needs { datacenters: vec!["eu-*".into()], ..usual() };
        let two = [node(&["docker"], 1000), node(&["raw_exec", "docker"], 3000)];
        let large = Needs { room: Room { cpu_mhz: 9000, ..usual().room }, ..usual() };
        let apart = [
            Node {
                room: Some(Room { cpu_mhz: 500, memory_mb: 9000, disk_mb: 900 }),
                ..node(&["raw_exec"], 0)
            },
            node(&["raw_exec"], 1000),
        ];
        let all = [
            told(usual(), &two),
            told(usual(), &[]),
            told(usual(), &[asleep.clone(), asleep]),
            told(elsewhere, &two),
            told(usual(), &[node(&["docker"], 9000)]),
            told(needs(&["podman"], 1), &two),
            told(needs(&["docker"], 900_000), &two),
            told(large, &two),
            told(usual(), &apart),
        ];
        insta::assert_snapshot!(all.concat(), @r#"
        ok    pool x64  at least one node has the drivers and resources for "runner"
        fail  pool x64  Nomad has no nodes, so nothing can run "runner"; start a client, or make one eligible (nomad node status lists them)
        fail  pool x64  none of Nomad's 2 nodes is ready and eligible, so nothing can run "runner"; start a client, or make one eligible (nomad node status lists them)
        fail  pool x64  no node is in the datacenters eu-* and the node pool "default" of "runner"; correct datacenters or node_pool of the job; nomad node status shows those of the nodes
        fail  pool x64  no node has a healthy driver raw_exec for "runner"; enable it in the config of the clients: plugin "raw_exec" { config { enabled = true } }
        fail  pool x64  no node has a healthy driver podman for "runner"; nomad node status -verbose NODE shows the drivers of a node and what is wrong with them
        fail  pool x64  "runner" asks for 900000 MB of memory, but the largest of its nodes has 3000; reduce the resources of the job, or add larger nodes
        fail  pool x64  "runner" asks for 9000 MHz of CPU, but the largest of its nodes has 4000; reduce the resources of the job, or add larger nodes
        fail  pool x64  no node has the memory, CPU and disk together that "runner" asks for; reduce the resources of the job, or add larger nodes
        "#);
    }

    #[test]
    fn what_is_not_known_is_not_held_against_a_node() {
        let unknown = Node { room: None, ..node(&["raw_exec"], 0) };
        assert!(told(needs(&["raw_exec"], 900_000), &[unknown]).starts_with("ok"));
        assert_eq!(judge("x64", "runner", &[], &[]), None);
    }
}
