//! OpenTofu in a folder of its own, with a copy of `deploy` and the mirror of the providers: it asks no registry.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::daemon::here;
use crate::support::parts;

pub struct Tofu {
    folder: tempfile::TempDir,
    /// The root module, in the copy.
    root: PathBuf,
    variables: Vec<(String, OsString)>,
}

/// How a command ended, and everything that it said.
pub struct Said {
    pub code: i32,
    pub text: String,
}

impl Said {
    /// Its words, if it ended well.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, 0, "{}", self.text);
        self.text
    }
}

/// What `scripts/get-terraform-providers` prints.
pub fn parts_folder() -> PathBuf {
    parts::folder("ROUSTABOUT_TEST_TERRAFORM").expect("whoever calls it has asked for the part")
}

impl Tofu {
    /// In `deploy/terraform/ROOT`; `.` is the module itself.
    pub fn at(root: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copied = Command::new("cp")
            .arg("-R")
            .arg(here("deploy"))
            .arg(folder.path().join("deploy"))
            .status()
            .unwrap();
        assert!(copied.success());
        let mirror = std::env::var_os("TERRAFORM_PROVIDERS").filter(|it| !it.is_empty());
        let mirror = mirror.map_or_else(|| parts_folder().join("mirror"), PathBuf::from);
        let config = format!(
            "provider_installation {{\n  filesystem_mirror {{\n    path = {mirror:?}\n  }}\n}}\n"
        );
        std::fs::write(folder.path().join("tofu.rc"), config).unwrap();
        let root = folder.path().join("deploy/terraform").join(root);
        Self { folder, root, variables: Vec::new() }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Another file of the root module.
    pub fn write(&self, file: &str, text: &str) {
        std::fs::create_dir_all(&self.root).unwrap();
        std::fs::write(self.root.join(file), text).unwrap();
    }

    /// A variable of the environment.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.into()));
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        let program =
            std::env::var_os("TOFU_BIN").expect("whoever calls it has asked for the part");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("TF_CLI_CONFIG_FILE", self.folder.path().join("tofu.rc"))
            .env("TF_IN_AUTOMATION", "1")
            .env("TF_INPUT", "0")
            .env("NO_COLOR", "1")
            .env("TF_CLI_ARGS", "-no-color")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        if arguments[0] == "fmt" {
            command.env_remove("TF_CLI_ARGS");
        }
        // The servers that it asks may be in this very process.
        let output = tokio::task::block_in_place(|| command.output().unwrap());
        let text = [output.stdout, output.stderr].concat();
        Said {
            code: output.status.code().expect("nobody kills it"),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }

    /// With a backend that is a file here.
    pub fn init(&self) {
        self.write("backend_override.tf", "terraform {\n  backend \"local\" {}\n}\n");
        self.run(&["init"]).good();
    }

    #[track_caller]
    pub fn apply(&self) -> String {
        self.run(&["apply", "-auto-approve"]).good()
    }

    /// The plan, if there is something to be changed; else nothing.
    #[track_caller]
    pub fn changes(&self) -> String {
        let said = self.run(&["plan", "-detailed-exitcode"]);
        match said.code {
            0 => String::new(),
            2 => said.text,
            _ => panic!("{}", said.text),
        }
    }

    /// What a command with `-json` says.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.run(arguments).good();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub fn state(&self) -> String {
        std::fs::read_to_string(self.root.join("terraform.tfstate")).unwrap()
    }
}
