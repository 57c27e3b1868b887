//! Copies the NASM that was built with this program to the path given as its argument.

use std::path::PathBuf;
use std::process::ExitCode;

// Links ramp-nasm, whose build script has built the assembler.
use ramp_nasm as _;

fn main() -> ExitCode {
    let Some(to) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: nasm PATH");
        return ExitCode::FAILURE;
    };
    let copied = to
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::copy(env!("NASM"), &to));
    match copied {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", to.display());
            ExitCode::FAILURE
        }
    }
}
