//! The rules of a policy: read from HCL or JSON, checked as Nomad checks them, expanded, and shown
//! as Nomad shows them (`RulesJSON`).
//!
//! What they allow together with others is `grants.rs`. Rules: acl/policy.go.

use serde_json::{Value as Json, json};

use super::capabilities::{Capability, OnHostVolume, OnNodePool, OnVariables, Word};
use super::hcl::{self, Item, Value};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub raw: String,
    pub namespaces: Vec<InNamespace>,
    pub node_pools: Vec<Labelled<OnNodePool>>,
    pub host_volumes: Vec<Labelled<OnHostVolume>>,
    pub agent: Option<Word>,
    pub node: Option<Word>,
    pub operator: Option<Word>,
    pub quota: Option<Word>,
    pub plugin: Option<Word>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct InNamespace {
    /// A name or a glob.
    pub name: String,
    pub policy: Option<Word>,
    /// What `policy` stands for is among them.
    pub capabilities: Vec<Capability>,
    pub variables: Option<Vec<OnPath>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OnPath {
    /// A path or a glob.
    pub path: String,
    pub capabilities: Vec<OnVariables>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Labelled<Of> {
    pub name: String,
    pub policy: Option<Word>,
    pub capabilities: Vec<Of>,
}

impl Rules {
    /// # Errors
    /// In Nomad's words, without what it puts before them.
    pub fn parse(raw: &str) -> Result<Self, String> {
        let mut rules = Self { raw: raw.to_owned(), ..Self::default() };
        if raw.is_empty() {
            return Ok(rules);
        }
        let items = hcl::parse(raw).map_err(|why| format!("Failed to parse ACL Policy: {why}"))?;
        let known = |item: &&Item| KNOWN.contains(&item.keys[0].as_str());
        if !items.iter().any(|item| known(&item)) {
            return Err(format!("Invalid policy: {raw}"));
        }
        for body in blocks(&items, "namespace") {
            rules.namespaces.push(namespace(&body)?);
        }
        for body in blocks(&items, "node_pool") {
            rules.node_pools.push(node_pool(&body)?);
        }
        for body in blocks(&items, "host_volume") {
            rules.host_volumes.push(host_volume(&body)?);
        }
        let mut unknown: Vec<&str> =
            items.iter().filter(|item| !known(item)).map(|item| item.keys[0].as_str()).collect();
        if !unknown.is_empty() {
            unknown.sort_unstable();
            return Err(format!("Invalid or duplicate policy keys: {}", unknown.join(", ")));
        }
        let coarse = [
            ("agent", "Agent", &mut rules.agent),
            ("node", "Node", &mut rules.node),
            ("operator", "Operator", &mut rules.operator),
            ("quota", "Quota", &mut rules.quota),
            ("plugin", "Plugin", &mut rules.plugin),
        ];
        for (name, kind, place) in coarse {
            let Some(body) = blocks(&items, name).into_iter().next_back() else { continue };
            let (here, word) = (Word::named(&body.policy), body.policy);
            // Only plugins can be listed without being read.
            match here.filter(|word| allowed(*word, name == "plugin")) {
                Some(word) => *place = Some(word),
                None => {
                    return Err(format!(
                        "Invalid {name} policy: &acl.{kind}Policy{{Policy:{word:?}}}"
                    ));
                }
            }
        }
        Ok(rules)
    }

    #[must_use]
    pub fn json(&self) -> Json {
        let coarse = |word: Option<Word>| word.map(|word| json!({"Policy": word.name()}));
        json!({
            "Agent": coarse(self.agent),
            "ExtraKeysHCL": null,
            "HostVolumes": list(&self.host_volumes, |one| one.json(OnHostVolume::name)),
            "Namespaces": list(&self.namespaces, InNamespace::json),
            "Node": coarse(self.node),
            "NodePools": list(&self.node_pools, |one| one.json(OnNodePool::name)),
            "Operator": coarse(self.operator),
            "Plugin": coarse(self.plugin),
            "Quota": coarse(self.quota),
            "Raw": self.raw,
            "Sentinel": null,
        })
    }
}

const KNOWN: [&str; 8] =
    ["namespace", "node_pool", "host_volume", "agent", "node", "operator", "quota", "plugin"];

fn allowed(word: Word, plugin: bool) -> bool {
    match word {
        Word::List => plugin,
        Word::Scale => !plugin,
        Word::Read | Word::Write | Word::Deny => true,
    }
}

/// Empty lists are null, as nothing was ever put there.
fn list<One>(all: &[One], show: impl Fn(&One) -> Json) -> Json {
    if all.is_empty() { Json::Null } else { all.iter().map(show).collect() }
}

fn names<Of: Copy>(all: &[Of], name: impl Fn(Of) -> &'static str) -> Json {
    list(all, |one| json!(name(*one)))
}

fn word(policy: Option<Word>) -> &'static str {
    policy.map_or("", Word::name)
}

impl InNamespace {
    fn json(&self) -> Json {
        let paths = |paths: &Vec<OnPath>| {
            json!({"Paths": list(paths, |one| json!({
                "PathSpec": one.path,
                "Capabilities": names(&one.capabilities, OnVariables::name),
            }))})
        };
        json!({
            "Name": self.name,
            "Policy": word(self.policy),
            "Capabilities": names(&self.capabilities, Capability::name),
            "Variables": self.variables.as_ref().map(paths),
        })
    }
}

impl<Of: Copy> Labelled<Of> {
    fn json(&self, name: impl Fn(Of) -> &'static str) -> Json {
        json!({
            "Name": self.name,
            "Policy": word(self.policy),
            "Capabilities": names(&self.capabilities, name),
        })
    }
}

/// A block as it is written, before anything is checked.
struct Body<'a> {
    label: String,
    policy: String,
    /// None: there is no such argument.
    capabilities: Option<Vec<String>>,
    items: &'a [Item],
}

fn blocks<'a>(items: &'a [Item], name: &str) -> Vec<Body<'a>> {
    let mut blocks = Vec::new();
    for item in items.iter().filter(|item| item.keys[0] == name) {
        let Value::Block(inside) = &item.value else { continue };
        let text = |value: &Value| match value {
            Value::Text(text) | Value::Bare(text) => Some(text.clone()),
            Value::List(_) | Value::Block(_) => None,
        };
        let of =
            |key: &str| inside.iter().rev().find(|item| item.keys == [key]).map(|it| &it.value);
        let capabilities = match of("capabilities") {
            Some(Value::List(all)) => Some(all.iter().filter_map(text).collect()),
            Some(one) => Some(text(one).into_iter().collect()),
            None => None,
        };
        blocks.push(Body {
            label: item.keys.get(1).cloned().unwrap_or_default(),
            policy: of("policy").and_then(text).unwrap_or_default(),
            capabilities,
            items: inside,
        });
    }
    blocks
}

impl Body<'_> {
    /// As Go prints a value.
    fn go(&self, kind: &str) -> String {
        let capabilities = match &self.capabilities {
            Some(all) => {
                let all: Vec<String> = all.iter().map(|one| format!("{one:?}")).collect();
                format!("[]string{{{}}}", all.join(", "))
            }
            None => "[]string(nil)".to_owned(),
        };
        let variables = match (kind, blocks(self.items, "variables").is_empty()) {
            ("Namespace", true) => ", Variables:(*acl.VariablesPolicy)(nil)",
            // The address of something.
            ("Namespace", false) => ", Variables:(*acl.VariablesPolicy)(0xc000123450)",
            _ => "",
        };
        let Self { label, policy, .. } = self;
        format!(
            "&acl.{kind}Policy{{Name:{label:?}, Policy:{policy:?}, Capabilities:{capabilities}{variables}}}"
        )
    }

    /// None: there is no such argument.
    fn word(&self) -> Result<Option<Word>, ()> {
        match self.policy.as_str() {
            "" => Ok(None),
            text => Word::named(text).filter(|word| allowed(*word, false)).map(Some).ok_or(()),
        }
    }

    fn each<Of>(
        &self,
        named: impl Fn(&str) -> Option<Of>,
        unknown: impl Fn(&str) -> String,
    ) -> Result<Vec<Of>, String> {
        let all = self.capabilities.iter().flatten();
        all.map(|name| named(name).ok_or_else(|| unknown(name))).collect()
    }
}

/// A namespace's or a volume's, or, with `_`, a node pool's.
fn named_well(name: &str, underscore: bool) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || byte == b'-'
                || byte == b'*'
                || underscore && byte == b'_'
        })
}

fn namespace(body: &Body<'_>) -> Result<InNamespace, String> {
    let shown = || body.go("Namespace");
    let name = body.label.clone();
    if !named_well(&name, false) {
        return Err(format!("Invalid namespace name: {}", shown()));
    }
    let policy = body.word().map_err(|()| format!("Invalid namespace policy: {}", shown()))?;
    let unknown = |name: &str| format!("Invalid namespace capability '{name}': {}", shown());
    let mut capabilities = body.each(Capability::named, unknown)?;
    capabilities.extend(policy.map(Word::in_namespace).unwrap_or_default());
    let implied: Vec<Capability> =
        capabilities.iter().flat_map(|one| one.implied().iter().copied()).collect();
    capabilities.extend(implied);
    let variables = match blocks(body.items, "variables").into_iter().next_back() {
        Some(variables) => Some(paths(&variables, &name)?),
        None => None,
    };
    Ok(InNamespace { name, policy, capabilities, variables })
}

fn paths(variables: &Body<'_>, namespace: &str) -> Result<Vec<OnPath>, String> {
    let mut paths = Vec::new();
    for body in blocks(variables.items, "path") {
        let path = body.label.clone();
        if path.is_empty() {
            return Err(format!("Invalid missing variable path in namespace {namespace}"));
        }
        if path.starts_with('/') {
            return Err(format!(
                "Invalid variable path {path:?} in namespace {namespace}: cannot start with a leading '/'`"
            ));
        }
        let unknown =
            |name: &str| format!("Invalid variable capability '{name}' in namespace {namespace}");
        let capabilities = OnVariables::expanded(body.each(OnVariables::named, unknown)?);
        paths.push(OnPath { path, capabilities });
    }
    if paths.is_empty() {
        return Err(format!("Invalid variable policy: no variable paths in namespace {namespace}"));
    }
    Ok(paths)
}

fn node_pool(body: &Body<'_>) -> Result<Labelled<OnNodePool>, String> {
    let name = body.label.clone();
    if !named_well(&name, true) {
        return Err(format!("Invalid node pool name '{name}'"));
    }
    let policy = body
        .word()
        .map_err(|()| format!("Invalid node pool policy '{}' for '{name}'", body.policy))?;
    let unknown = |one: &str| format!("Invalid node pool capability '{one}' for '{name}'");
    let mut capabilities = body.each(OnNodePool::named, unknown)?;
    capabilities.extend(policy.map(Word::on_node_pool).unwrap_or_default());
    Ok(Labelled { name, policy, capabilities })
}

fn host_volume(body: &Body<'_>) -> Result<Labelled<OnHostVolume>, String> {
    let shown = || body.go("HostVolume");
    let name = body.label.clone();
    if !named_well(&name, false) {
        return Err(format!("Invalid host volume name: {}", shown()));
    }
    let policy = body.word().map_err(|()| format!("Invalid host volume policy: {}", shown()))?;
    let unknown = |one: &str| format!("Invalid host volume capability '{one}': {}", shown());
    let mut capabilities = body.each(OnHostVolume::named, unknown)?;
    capabilities.extend(policy.map(Word::on_host_volume).unwrap_or_default());
    Ok(Labelled { name, policy, capabilities })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_added_to_the_capabilities() {
        let rules =
            Rules::parse("namespace \"*\" { policy = \"scale\" capabilities = [\"list-jobs\"] }");
        let namespace = rules.unwrap().namespaces.remove(0);
        assert_eq!(namespace.capabilities.first(), Some(&Capability::ListJobs));
        assert!(namespace.capabilities.contains(&Capability::ScaleJob));
        assert!(!namespace.capabilities.contains(&Capability::SubmitJob));
    }

    #[test]
    fn reading_variables_lists_them_and_a_denial_stands_alone() {
        let of = |capabilities: &str| {
            let text = format!(
                "namespace \"ci\" {{ variables {{ path \"a\" {{ capabilities = [{capabilities}] }} }} }}"
            );
            Rules::parse(&text)
                .unwrap()
                .namespaces
                .remove(0)
                .variables
                .unwrap()
                .remove(0)
                .capabilities
        };
        assert_eq!(of("\"read\""), [OnVariables::Read, OnVariables::List]);
        assert_eq!(of("\"read\", \"deny\""), [OnVariables::Deny]);
    }

    #[test]
    fn what_is_unknown_or_missing_is_refused() {
        for (text, error) in [
            (
                "agent { policy = \"list\" }",
                "Invalid agent policy: &acl.AgentPolicy{Policy:\"list\"}",
            ),
            (
                "namespace { policy = \"read\" }",
                "Invalid namespace name: &acl.NamespacePolicy{Name:\"\", Policy:\"read\", Capabilities:[]string(nil), Variables:(*acl.VariablesPolicy)(nil)}",
            ),
            (
                "node { policy = \"read\" } planet \"mars\" {}",
                "Invalid or duplicate policy keys: planet",
            ),
            (
                "namespace \"ci\" { variables {} }",
                "Invalid variable policy: no variable paths in namespace ci",
            ),
            (
                "node_pool \"gpu\" { capabilities = [\"dance\"] }",
                "Invalid node pool capability 'dance' for 'gpu'",
            ),
            (
                "host_volume \"data\" { policy = \"own\" }",
                "Invalid host volume policy: &acl.HostVolumePolicy{Name:\"data\", Policy:\"own\", Capabilities:[]string(nil)}",
            ),
        ] {
            assert_eq!(Rules::parse(text), Err(error.to_owned()), "{text}");
        }
        assert!(Rules::parse("plugin { policy = \"list\" }").is_ok());
    }
}
