//! The binary: hands the command line to [`clapet::cli`] and exits with its code.

/// The system's allocator grows the heap of each worker by a page at a time, with a system call for each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    clapet::cli::run(std::env::args_os())
}
