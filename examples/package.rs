//! Makes the files of a release from built binaries; `scripts/release` calls it. It is an example of this
//! package because manual pages and completions are made from the daemon's command line.

use packaging::kit::Completions;
use roustabout::cli::{Shell, command};

fn main() -> anyhow::Result<()> {
    let completions = Completions {
        bash: Shell::Bash.script(command()),
        fish: Shell::Fish.script(command()),
        zsh: Shell::Zsh.script(command()),
    };
    packaging::cli::run(command(), completions)
}
