//! The stand-ins for providers have the attributes of the published releases: no more, or the module could use what
//! does not exist; no fewer, and none optional that is required there.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::parts::{Part, is_missing, not_run};
use crate::terraform::tofu::{Tofu, parts_folder};

/// An attribute's or a block's name, and whether it must be there.
type Arguments = BTreeMap<String, bool>;

#[test]
fn the_stand_ins_have_the_arguments_of_the_published_providers() {
    if is_missing(Part::OpenTofu, "the attributes that deploy/terraform uses") {
        return;
    }
    if std::env::var_os("TERRAFORM_PROVIDERS").is_some_and(|it| !it.is_empty()) {
        return not_run("the attributes of the stand-ins", "because the providers are real");
    }
    let tofu = Tofu::at("example");
    tofu.init();
    let schemas = tofu.json(&["providers", "schema", "-json"]);
    let mut compared = 0;
    for (source, schema) in schemas["provider_schemas"].as_object().unwrap() {
        let Some(provider) = source.rsplit('/').next().filter(|it| *it != "terraform") else {
            continue;
        };
        let text = std::fs::read(parts_folder().join(format!("bindings/{provider}.json"))).unwrap();
        let bindings: Value = serde_json::from_slice(&text).unwrap();
        for (kind, prefix) in [("resource_schemas", ""), ("data_source_schemas", "data_")] {
            for (name, shape) in schema[kind].as_object().into_iter().flatten() {
                let name = name.strip_prefix(&format!("{provider}_")).unwrap();
                let name = if prefix.is_empty() {
                    name.to_owned()
                } else {
                    format!("{prefix}{provider}_{name}")
                };
                let config = format!("{}Config", camel(&name, true));
                let ours = of_the_schema(&shape["block"]);
                let theirs = of_the_binding(&bindings, &config);
                assert_eq!(ours, theirs, "{source} {name}: ours is left, the published one right");
                compared += 1;
            }
        }
        let theirs = of_the_binding(&bindings, &format!("{}ProviderConfig", camel(provider, true)));
        for (name, needed) in of_the_schema(&schema["provider"]["block"]) {
            // What a variable of the environment can say is required in one and optional in the other.
            assert!(theirs.contains_key(&name) && (!needed || theirs[&name]), "{source}: {name}");
        }
    }
    assert_eq!(compared, 9, "resources and data sources");
}

fn of_the_schema(block: &Value) -> Arguments {
    let attributes = block["attributes"].as_object().into_iter().flatten();
    let attributes = attributes.filter(|(_, it)| it["required"] == true || it["optional"] == true);
    let attributes = attributes.map(|(name, it)| (name.clone(), it["required"] == true));
    let blocks = block["block_types"].as_object().into_iter().flatten();
    let mut all: Arguments = attributes.collect();
    for (name, it) in blocks {
        all.insert(name.clone(), it["min_items"].as_u64().unwrap_or_default() > 0);
        for (inner, needed) in of_the_schema(&it["block"]) {
            all.insert(format!("{name}.{inner}"), needed);
        }
    }
    all
}

fn of_the_binding(bindings: &Value, config: &str) -> Arguments {
    let find = |name: &str| {
        let mut found = bindings.as_object().unwrap().values().filter(|it| it["name"] == name);
        found.next().map(|it| it["properties"].as_array().unwrap().clone())
    };
    let mut all = Arguments::new();
    let outer = find(config).unwrap_or_else(|| panic!("no {config} in the bindings"));
    for one in outer {
        let name = one["name"].as_str().unwrap();
        // What every resource has.
        if matches!(name, "timeouts" | "alias") {
            continue;
        }
        all.insert(snake(name), one["optional"] == false);
        let of = format!("{}{}", config.trim_end_matches("Config"), camel(&snake(name), true));
        if one["block"] == true {
            for inner in find(&of).unwrap_or_default() {
                let inner_name = snake(inner["name"].as_str().unwrap());
                all.insert(format!("{}.{inner_name}", snake(name)), inner["optional"] == false);
            }
        }
    }
    all
}

/// `acl_policy` as `AclPolicy`.
fn camel(name: &str, mut upper: bool) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                text.extend(letter.to_uppercase());
                upper = false;
            }
            _ => text.push(letter),
        }
    }
    text
}

fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
