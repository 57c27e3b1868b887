//! Which token opens what.

use super::*;

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

fn with(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
}

fn access(publish: &[&str], subscribe: &[&str]) -> Access {
    let tokens = |texts: &[&str]| texts.iter().copied().map(token).collect();
    Access {
        publish: tokens(publish),
        subscribe: tokens(subscribe),
    }
}

#[test]
fn without_tokens_everything_is_open() {
    for right in [Right::Publish, Right::Subscribe, Right::Ask] {
        assert!(is_allowed(right, &[&Access::default()], &HeaderMap::new()));
    }
}

#[test]
fn rights_are_apart() {
    let rules = access(&["pub"], &["sub"]);
    let allowed = |right, value| is_allowed(right, &[&rules], &with(value));
    assert!(allowed(Right::Publish, "Bearer pub"));
    assert!(!allowed(Right::Publish, "Bearer sub"));
    assert!(allowed(Right::Subscribe, "bearer sub"));
    assert!(!allowed(Right::Subscribe, "Bearer pub"));
    assert!(allowed(Right::Ask, "Bearer pub") && allowed(Right::Ask, "Bearer sub"));
}

#[test]
fn what_is_not_the_token_opens_nothing() {
    let rules = access(&["secret"], &[]);
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer secre",
        "Bearer secrets",
        "Basic secret",
        "secret",
        "Bearer SECRET",
    ] {
        assert!(
            !is_allowed(Right::Publish, &[&rules], &with(value)),
            "{value:?}"
        );
    }
    assert!(!is_allowed(Right::Publish, &[&rules], &HeaderMap::new()));
    assert!(is_allowed(Right::Subscribe, &[&rules], &HeaderMap::new()));
}

#[test]
fn a_channel_adds_its_tokens_to_the_relays() {
    let (relay, channel) = (access(&["master"], &[]), access(&["own"], &["guest"]));
    let rules = [&relay, &channel];
    assert!(is_allowed(Right::Publish, &rules, &with("Bearer master")));
    assert!(is_allowed(Right::Publish, &rules, &with("Bearer own")));
    assert!(!is_allowed(Right::Publish, &rules, &with("Bearer guest")));
    assert!(!is_allowed(Right::Subscribe, &rules, &HeaderMap::new()));
    assert!(is_allowed(Right::Subscribe, &rules, &with("Bearer guest")));
}

#[test]
fn a_token_must_fit_a_header_and_is_never_shown() {
    for bad in ["", "two words", "new\nline", "ü"] {
        assert!(Token::new(bad).is_err(), "{bad:?}");
    }
    assert_eq!(format!("{:?}", token("secret")), "Token(..)");
}
