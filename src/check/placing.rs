//! Whether at least one node could run a pool's job if nothing else ran there: datacenter, node pool,
//! drivers, processor (`architecture`), resources. The scheduler knows more (constraints, current use); what is reported here
//! prevents placement in any case. Pure.

use super::architecture;
use super::finding::Finding;
use crate::config::ForgeKind;
use crate::ledger::matching::RepositoryGlobs;
use crate::nomad::{Needs, Node, Room};

/// The first requirement that no node meets, or that a node meets all; and what may go wrong all the same.
pub fn judge(
    forge: ForgeKind,
    pool: &str,
    job: &str,
    needs: &[Needs],
    nodes: &[Node],
) -> Vec<Finding> {
    let subject = format!("pool {pool}");
    let mut troubles = needs.iter().filter_map(|needs| trouble(forge, job, needs, nodes).err());
    if let Some((what, fix)) = troubles.next() {
        return vec![Finding::fail(subject, what, fix)];
    }
    let mut found = Vec::new();
    if !needs.is_empty() {
        let message = format!("at least one node has the drivers and resources for \"{job}\"");
        found.push(Finding::ok(&subject, message));
    }
    let warnings = needs.iter().filter_map(|needs| {
        let here: Vec<&Node> = nodes
            .iter()
            .filter(|node| node.takes_work && is_in(node, needs) && has_drivers(node, needs))
            .collect();
        architecture::warning(forge, job, needs, &here)
    });
    found.extend(warnings.map(|(what, fix)| Finding::warn(&subject, what, fix)));
    found
}

fn has_drivers(node: &Node, needs: &Needs) -> bool {
    needs.drivers.iter().all(|driver| node.drivers.contains(driver))
}

/// `Err`: what is wrong, and a fix.
fn trouble(
    forge: ForgeKind,
    job: &str,
    needs: &Needs,
    nodes: &[Node],
) -> Result<(), (String, String)> {
    let awake: Vec<&Node> = nodes.iter().filter(|node| node.takes_work).collect();
    if awake.is_empty() {
        let what = match nodes.len() {
            0 => format!("Nomad has no nodes, so nothing can run \"{job}\""),
            all => format!(
                "none of Nomad's {all} nodes is ready and eligible, so nothing can run \"{job}\""
            ),
        };
        return Err((
            what,
            "start a client, or make one eligible (nomad node status lists them)".to_owned(),
        ));
    }
    let here: Vec<&Node> = awake.into_iter().filter(|node| is_in(node, needs)).collect();
    if here.is_empty() {
        let what = format!(
            "no node is in the datacenters {} and the node pool \"{}\" of \"{job}\"",
            needs.datacenters.join(", "),
            needs.node_pool
        );
        return Err((what, "correct datacenters or node_pool of the job; nomad node status shows those of the nodes".to_owned()));
    }
    let able: Vec<&Node> = here.iter().copied().filter(|node| has_drivers(node, needs)).collect();
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
        return Err((what, fix.to_owned()));
    }
    let able = architecture::able(forge, job, needs, &able)?;
    let rooms: Vec<Room> = able.iter().filter_map(|node| node.room).collect();
    if rooms.len() < able.len() || rooms.iter().any(|has| fits(needs.room, *has)) {
        return Ok(());
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
    Err((what, "reduce the resources of the job, or add larger nodes".to_owned()))
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
            id: "n".into(),
            name: "n".into(),
            architecture: None,
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
            architectures: vec![],
        }
    }

    fn all_told(forge: ForgeKind, needs: Needs, nodes: &[Node]) -> String {
        let mut found: Vec<_> = architecture::nodes(forge, nodes).into_iter().collect();
        found.extend(judge(forge, "x64", "runner", &[needs], nodes));
        render::text(&Report(found), false)
    }

    fn told(needs: Needs, nodes: &[Node]) -> String {
        all_told(ForgeKind::GitHub, needs, nodes).lines().next().unwrap_or_default().to_owned()
            + "\n"
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
        assert_eq!(judge(ForgeKind::GitHub, "x64", "runner", &[], &[]), []);
    }

    #[test]
    fn processors_without_a_runner_are_told() {
        use crate::nomad::Architecture::{Is, IsNot, Other};
        let on = |name: &str, architecture: &str| Node {
            name: name.into(),
            architecture: Some(architecture.into()),
            ..node(&["raw_exec"], 9000)
        };
        let with = |architectures| Needs { architectures, ..needs(&["raw_exec"], 1) };
        let is = |name: &str| with(vec![Is(name.into())]);
        let (pi, server) = (on("pi", "arm"), on("server", "amd64"));
        let told = |needs, nodes: &[Node]| {
            let told = all_told(ForgeKind::GitHub, needs, nodes);
            let lines = told.lines().filter(|line| line.starts_with(char::is_alphabetic));
            lines.collect::<Vec<_>>().join("\n") + "\n\n"
        };
        let both = [pi.clone(), server.clone()];
        let all = [
            told(with(vec![]), &both),
            told(is("amd64"), &both),
            told(with(vec![IsNot("arm".into())]), &both),
            told(with(vec![Other]), &both),
            told(with(vec![]), std::slice::from_ref(&pi)),
            told(is("arm64"), std::slice::from_ref(&pi)),
            told(is("arm64"), std::slice::from_ref(&server)),
            told(is("arm64"), &[Node { architecture: None, ..server }]),
        ];
        insta::assert_snapshot!(all.concat(), @r#"
        ok    nomad     pi (arm) is 32-bit: no current version of GitHub's runner supports it
        ok    pool x64  at least one node has the drivers and resources for "runner"
        warn  pool x64  "runner" can be placed on 32-bit nodes (pi (arm)), where no current version of GitHub's runner starts; install a 64-bit system on them (Raspberry Pi OS and Debian have one for arm64), or exclude them: constraint { attribute = "${attr.cpu.arch}" operator = "!=" value = "arm" }

        ok    nomad     pi (arm) is 32-bit: no current version of GitHub's runner supports it
        ok    pool x64  at least one node has the drivers and resources for "runner"

        ok    nomad     pi (arm) is 32-bit: no current version of GitHub's runner supports it
        ok    pool x64  at least one node has the drivers and resources for "runner"

        ok    nomad     pi (arm) is 32-bit: no current version of GitHub's runner supports it
        ok    pool x64  at least one node has the drivers and resources for "runner"

        ok    nomad     pi (arm) is 32-bit: no current version of GitHub's runner supports it
        fail  pool x64  the nodes of "runner" are all 32-bit (pi (arm)), and no current version of GitHub's runner supports these; install a 64-bit system on them (Raspberry Pi OS and Debian have one for arm64)

        ok    nomad     pi (arm) is 32-bit: no current version of GitHub's runner supports it
        fail  pool x64  no node has the architecture that the constraints of "runner" require; its nodes: pi (arm); install a 64-bit system on them (Raspberry Pi OS and Debian have one for arm64)

        fail  pool x64  no node has the architecture that the constraints of "runner" require; its nodes: server (amd64); register the job for the architecture of the nodes: -var arch=… with our jobspecs

        ok    pool x64  at least one node has the drivers and resources for "runner"
        "#);
        let gitea = all_told(ForgeKind::Gitea, with(vec![]), &[pi]);
        assert!(gitea.starts_with("ok    pool x64  at least one node"), "{gitea}");
    }
}
