//! The binary: hands the command line to [`clapet::cli`] and exits with its code.

fn main() -> std::process::ExitCode {
    clapet::cli::run(std::env::args_os())
}
