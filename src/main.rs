//! The `henn` program: everything happens in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    henn::cli::main().into()
}
