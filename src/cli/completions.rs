//! `henn completions`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::ExitStatus;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn main(arguments: &Arguments) -> ExitStatus {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "henn", &mut text);
    super::say(String::from_utf8_lossy(&text));
    ExitStatus::Success
}
