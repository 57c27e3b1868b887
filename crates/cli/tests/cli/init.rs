//! `trickle init`: what it writes, and the templates' own tests.
//!
//! The processors of the templates are compiled into this test, and their tests run here.
//! `just init-check` goes further: it builds and tests every template as a project.

use std::path::Path;

use crate::support::{Dir, fail, succeed};

#[path = "../../templates/effect/processor.rs"]
mod effect;
#[path = "../../templates/model/processor.rs"]
mod model;
#[path = "../../templates/passthrough/processor.rs"]
mod passthrough;

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[test]
fn a_project_has_all_it_needs_to_build_test_and_deploy() {
    // What main.rs of a project does with its processor.
    let _ = trickle_processor::Registry::empty()
        .with("effect", "", effect::new())
        .with("model", "", model::new())
        .with("passthrough", "", passthrough::new());
    let dir = Dir::new("init");
    for template in ["passthrough", "effect", "model"] {
        let project = dir.file(&format!("my-{template}"));
        let said = succeed(&[
            "init",
            &project,
            "--template",
            template,
            "--trickle-path",
            CHECKOUT,
        ]);
        assert!(said.contains("cargo run"), "{said}");
        assert!(said.contains("--trickle-git"), "{said}");
        let read = |file: &str| std::fs::read_to_string(Path::new(&project).join(file)).unwrap();
        let manifest: toml_edit::DocumentMut = read("Cargo.toml").parse().unwrap();
        assert_eq!(
            manifest["package"]["name"].as_str(),
            Some(&*format!("my-{template}"))
        );
        for (name, directory) in [("trickle-cli", "cli"), ("trickle-processor", "processor")] {
            let path = manifest["dependencies"][name]["path"].as_str().unwrap();
            assert!(Path::new(path).join("Cargo.toml").is_file(), "{path}");
            assert!(path.ends_with(directory));
        }
        let settings: toml_edit::DocumentMut = read("trickle.toml").parse().unwrap();
        let processor = settings["serve"]["processor"].as_str();
        assert_eq!(processor, Some(&*format!("my-{template}")));
        assert!(read("src/main.rs").contains("trickle_cli::run"));
        assert!(read("src/processor.rs").contains("pub fn new()"));
        for file in ["Cargo.toml", "README.md", "Dockerfile", "trickle.toml"] {
            assert!(!read(file).contains('@'), "{file} of {template}");
        }
    }
}

#[test]
fn trickle_comes_from_its_repository_unless_told_otherwise() {
    let dir = Dir::new("init_git");
    let manifest = |name: &str, flags: &[&str]| {
        let project = dir.file(name);
        let mut arguments = vec!["init", project.as_str()];
        arguments.extend(flags);
        succeed(&arguments);
        let path = Path::new(&project).join("Cargo.toml");
        std::fs::read_to_string(path).unwrap()
    };
    let repository = format!("git = {:?}", env!("CARGO_PKG_REPOSITORY"));
    assert!(manifest("a", &[]).contains(&repository));
    let text = manifest(
        "b",
        &[
            "--trickle-git",
            "https://example.org/t",
            "--trickle-rev",
            "v1",
        ],
    );
    assert!(
        text.contains(r#"git = "https://example.org/t", rev = "v1""#),
        "{text}"
    );
}

#[test]
fn what_cannot_be_a_project_is_refused_and_nothing_is_written_over() {
    let dir = Dir::new("init_refused");
    for name in ["Cat", "1cat", "my cat", "test", "trickle-cli"] {
        let project = dir.file(name);
        assert!(fail(2, &["init", &project]).contains(name), "{name}");
        assert!(!Path::new(&project).exists());
    }
    let project = dir.file("cat");
    succeed(&["init", &project]);
    assert!(fail(1, &["init", &project]).contains("exists already"));
    let here = dir.file("");
    let message = fail(2, &["init", &dir.file("dog"), "--trickle-path", &here]);
    assert!(message.contains("no checkout"), "{message}");
}
