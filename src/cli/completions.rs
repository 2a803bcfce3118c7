//! `completions`: a script that completes this program's commands and options in a shell.

use clap::{Command, ValueEnum};
use clap_complete::Generator;
use clap_complete::shells::{Bash, Fish, Zsh};

use super::Failed;
use super::output::print;

#[derive(clap::Args)]
pub struct Options {
    /// The shell to print the script for.
    shell: Shell,
}

/// Those of the systems that the daemon runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Fish,
    Zsh,
}

impl Shell {
    /// The script, for the program that `command` describes.
    pub fn script(self, mut command: Command) -> String {
        let mut script = Vec::new();
        let name = command.get_name().to_owned();
        command.set_bin_name(name);
        command.build();
        match self {
            Self::Bash => Bash.generate(&command, &mut script),
            Self::Fish => Fish.generate(&command, &mut script),
            Self::Zsh => Zsh.generate(&command, &mut script),
        }
        String::from_utf8_lossy(&script).into_owned()
    }
}

pub fn run(options: Options) -> Result<(), Failed> {
    print(&options.shell.script(super::command()))
}
