//! A new project with a processor: files from templates, whose Rust is compiled and tested with
//! this crate (`tests/cli/init.rs`).

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::ValueEnum;

use crate::error::CliError;

/// Where trickle's sources are, unless told otherwise.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// What the project's processor does at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// Hands frames on: the least there is
    Passthrough,
    /// Changes frames, with a parameter and its schema
    Effect,
    /// Loads a model once, and shares it among streams
    Model,
}

impl Template {
    fn processor(self) -> &'static str {
        match self {
            Self::Passthrough => include_str!("../../templates/passthrough/processor.rs"),
            Self::Effect => include_str!("../../templates/effect/processor.rs"),
            Self::Model => include_str!("../../templates/model/processor.rs"),
        }
    }
}

/// Where the project takes trickle from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A checkout on this machine.
    Path(PathBuf),
    /// A repository, and a revision of it.
    Git { url: String, rev: Option<String> },
}

impl Source {
    /// Of trickle's own repository.
    pub(crate) fn repository(rev: Option<String>) -> Self {
        let url = REPOSITORY.to_owned();
        Self::Git { url, rev }
    }

    /// What stands in a dependency's table, for the crate in that directory of the checkout.
    fn dependency(&self, directory: &str) -> String {
        match self {
            Self::Path(root) => {
                let path = root.join("crates").join(directory);
                format!("path = {:?}", path.display().to_string())
            }
            Self::Git { url, rev: None } => format!("git = {url:?}"),
            Self::Git {
                url,
                rev: Some(rev),
            } => format!("git = {url:?}, rev = {rev:?}"),
        }
    }
}

/// Writes a project into a new directory.
pub(crate) fn create(
    directory: &Path,
    template: Template,
    source: &Source,
) -> Result<(), CliError> {
    let name = directory.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| CliError::usage("the project needs a name"))?;
    check_name(name)?;
    if let Source::Path(root) = source
        && !root.join("crates/cli/Cargo.toml").is_file()
    {
        let message = format!("{} is no checkout of trickle", root.display());
        return Err(CliError::usage(message));
    }
    let failed = |path: &Path, error: &io::Error| {
        CliError::caused(format!("cannot write {}", path.display()), error)
    };
    match fs::create_dir(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} exists already", directory.display());
            return Err(CliError::new(message).hint("take another name, or remove it"));
        }
        Err(error) => return Err(failed(directory, &error)),
    }
    for (file, text) in files(name, template, source) {
        let path = directory.join(file);
        let written = match path.parent() {
            Some(parent) => fs::create_dir_all(parent).and_then(|()| fs::write(&path, text)),
            None => fs::write(&path, text),
        };
        written.map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

fn files(name: &str, template: Template, source: &Source) -> [(&'static str, String); 9] {
    let fill = |text: &str| {
        text.replace("@NAME@", name)
            .replace("@REPOSITORY@", REPOSITORY)
            .replace("@RUST@", env!("CARGO_PKG_RUST_VERSION"))
    };
    let manifest = fill(include_str!("../../templates/Cargo.toml.in"))
        .replacen("@SOURCE@", &source.dependency("cli"), 1)
        .replacen("@SOURCE@", &source.dependency("processor"), 1);
    [
        ("Cargo.toml", manifest),
        (
            "src/main.rs",
            include_str!("../../templates/main.rs").to_owned(),
        ),
        ("src/processor.rs", template.processor().to_owned()),
        (
            "trickle.toml",
            fill(include_str!("../../templates/trickle.toml.in")),
        ),
        (
            "README.md",
            fill(include_str!("../../templates/README.md.in")),
        ),
        (
            "Dockerfile",
            fill(include_str!("../../templates/Dockerfile.in")),
        ),
        // OpenH264's fast build, as here.
        (
            ".cargo/config.toml",
            include_str!("../../../../.cargo/config.toml").to_owned(),
        ),
        (".dockerignore", "target\n.git\n".to_owned()),
        (".gitignore", "/target\n".to_owned()),
    ]
}

/// A name that cargo, Docker and the registry of processors all take.
fn check_name(name: &str) -> Result<(), CliError> {
    let good = name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    let taken = [
        "test",
        "core",
        "std",
        "alloc",
        "build",
        "deps",
        "examples",
        "incremental",
    ];
    if !good || taken.contains(&name) || name.starts_with("trickle-") {
        return Err(CliError::usage(format!("{name:?} cannot be a project's name")).hint(
            "a name has a to z, 0 to 9, - and _, begins with a letter, and is none of cargo's or \
             trickle's own",
        ));
    }
    Ok(())
}
