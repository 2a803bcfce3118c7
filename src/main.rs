//! The program: parse, load, run one command, exit code. Everything is in the library.

fn main() -> std::process::ExitCode {
    roustabout::cli::run()
}
