//! What a configuration file may hold.

use super::*;

fn parse(text: &str) -> Result<ConfigFile, String> {
    ConfigFile::parse(Path::new("t.toml"), text.to_owned()).map_err(|error| error.to_string())
}

#[test]
fn settings_know_their_section_and_line() {
    let text = "log_format = \"json\"\n\n[serve]\ncapacity = 2\nload-wait = 1.5\n\
                cors-origin = [\"*\", \"http://a\"]\n[relay]\nautocreate = true\n";
    let settings = parse(text).unwrap().settings;
    let all: Vec<_> = settings
        .iter()
        .map(|setting| {
            let section = setting.section.as_deref().unwrap_or("");
            (
                section,
                setting.key.as_str(),
                setting.values.join(" "),
                setting.line,
            )
        })
        .collect();
    assert_eq!(
        all,
        [
            ("", "log-format", "json".to_owned(), 1),
            ("serve", "capacity", "2".to_owned(), 4),
            ("serve", "load-wait", "1.5".to_owned(), 5),
            ("serve", "cors-origin", "* http://a".to_owned(), 6),
            ("relay", "autocreate", "true".to_owned(), 8),
        ]
    );
}

#[test]
fn what_cannot_be_names_its_line() {
    for (text, line, word) in [
        ("a = 1\n[serve\n", 2, ""),
        ("[serve]\n\ncapacity = { a = 1 }", 3, "capacity"),
        ("[serve]\ncapacity = 2020-01-01", 2, "capacity"),
        ("[serve]\ncapacity = [[1]]", 2, "capacity"),
        ("[serve]\n[serve.more]\na = 1", 2, "more"),
        ("[[serve]]\na = 1", 1, "serve"),
        ("[serve]\na = 1\na = 2", 3, ""),
    ] {
        let error = parse(text).unwrap_err();
        assert!(
            error.contains(&format!("t.toml:{line}: ")),
            "{text}: {error}"
        );
        assert!(error.contains(word), "{text}: {error}");
    }
}
