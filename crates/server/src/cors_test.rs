//! Origins as operators write them.

use super::*;

fn these(texts: &[&'static str]) -> CorsOrigins {
    let origins = texts.iter().copied().map(HeaderValue::from_static);
    CorsOrigins(Allowed::These(origins.collect()))
}

#[test]
fn origins_are_brought_to_the_form_that_browsers_send() {
    let parsed = CorsOrigins::parse(["https://Example.org/", "http://localhost:80"]).unwrap();
    assert_eq!(parsed, these(&["https://example.org", "http://localhost"]));
    let any = CorsOrigins::parse(["https://example.org", "*"]).unwrap();
    assert_eq!(any, CorsOrigins::any());
}

#[test]
fn what_is_no_origin_is_refused_by_name() {
    for wrong in [
        "example.org",
        "https://example.org/page",
        "https://me@example.org",
        "https://*.example.org/?a",
        "file:///tmp",
        "",
    ] {
        let error = CorsOrigins::parse([wrong]).unwrap_err().to_string();
        assert!(error.contains(&format!("{wrong:?}")), "{error}");
    }
}
