//! Kinds of processors: which nodes a job's constraints allow, and nodes on which GitHub's runner does not
//! run any more. Its releases need Node 24, which exists for 64-bit systems only; a Raspberry Pi with a
//! 32-bit system is the usual case. Gitea's runner has no such limit. Pure.

use super::finding::Finding;
use crate::config::ForgeKind;
use crate::nomad::{Needs, Node};

/// Go's names of 32-bit processors, as Nomad says them.
const SHORT: [&str; 6] = ["arm", "386", "mips", "mipsle", "armbe", "ppc"];
const FIX: &str = "install a 64-bit system on them (Raspberry Pi OS and Debian have one for arm64)";
const EXCLUDE: &str =
    "constraint { attribute = \"${attr.cpu.arch}\" operator = \"!=\" value = \"arm\" }";

/// No current runner of the forge runs there.
fn is_unsupported(forge: ForgeKind, node: &Node) -> bool {
    forge == ForgeKind::GitHub
        && node.architecture.as_deref().is_some_and(|name| SHORT.contains(&name))
}

/// The 32-bit nodes of a region; jobs of pools that could be placed there are said of those pools.
pub fn nodes(forge: ForgeKind, nodes: &[Node]) -> Option<Finding> {
    let found: Vec<&Node> =
        nodes.iter().filter(|node| node.takes_work && is_unsupported(forge, node)).collect();
    let (are, there) = if found.len() == 1 { ("is", "it") } else { ("are", "them") };
    (!found.is_empty()).then(|| {
        Finding::ok(
            super::nomad::SUBJECT,
            format!(
                "{} {are} 32-bit: no current version of GitHub's runner supports {there}",
                named(&found)
            ),
        )
    })
}

/// Of nodes that could take the job otherwise: those where a runner can run, or what is wrong with
/// all of them, with a fix.
pub fn able<'a>(
    forge: ForgeKind,
    job: &str,
    needs: &Needs,
    nodes: &[&'a Node],
) -> Result<Vec<&'a Node>, (String, String)> {
    let allowed = allowed(needs, nodes);
    let able = |among: &[&'a Node]| -> Vec<&'a Node> {
        among.iter().copied().filter(|node| !is_unsupported(forge, node)).collect()
    };
    let good = able(&allowed);
    if !good.is_empty() {
        return Ok(good);
    }
    if !allowed.is_empty() {
        let what = format!(
            "the nodes of \"{job}\" are all 32-bit ({}), and no current version of GitHub's runner supports these",
            named(&allowed)
        );
        return Err((what, FIX.to_owned()));
    }
    let what = format!(
        "no node has the architecture that the constraints of \"{job}\" require; its nodes: {}",
        named(nodes)
    );
    let fix = match able(nodes).is_empty() {
        true => FIX,
        false => {
            "register the job for the architecture of the nodes: -var arch=… with our jobspecs"
        }
    };
    Err((what, fix.to_owned()))
}

/// What could go wrong although another node can run the job: it may be placed on a 32-bit one.
pub fn warning(
    forge: ForgeKind,
    job: &str,
    needs: &Needs,
    nodes: &[&Node],
) -> Option<(String, String)> {
    let mut wrong = allowed(needs, nodes);
    wrong.retain(|node| {
        is_unsupported(forge, node) && !needs.architectures.iter().any(is_beyond_us(node))
    });
    (!wrong.is_empty()).then(|| {
        let what = format!(
            "\"{job}\" can be placed on 32-bit nodes ({}), where no current version of GitHub's runner starts",
            named(&wrong)
        );
        (what, format!("{FIX}, or exclude them: {EXCLUDE}"))
    })
}

fn is_beyond_us(node: &Node) -> impl Fn(&crate::nomad::Architecture) -> bool {
    let name = node.architecture.clone().unwrap_or_default();
    move |constraint| constraint.allows(&name).is_none()
}

/// Those that no constraint excludes, as far as that is known.
fn allowed<'a>(needs: &Needs, nodes: &[&'a Node]) -> Vec<&'a Node> {
    let allows = |node: &Node| {
        node.architecture.as_deref().is_none_or(|name| {
            needs.architectures.iter().all(|constraint| constraint.allows(name) != Some(false))
        })
    };
    nodes.iter().copied().filter(|node| allows(node)).collect()
}

/// `pi-1 (arm), pi-2 (arm) and 3 more`.
fn named(nodes: &[&Node]) -> String {
    const SHOWN: usize = 3;
    let one = |node: &&Node| {
        format!("{} ({})", node.name, node.architecture.as_deref().unwrap_or("unknown"))
    };
    let shown: Vec<String> = nodes.iter().take(SHOWN).map(one).collect();
    match nodes.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
