//! Reading the heads of answers.

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

#[test]
fn every_header_of_an_answer_is_read() {
    let head = Head::read(&headers(&[
        ("lp-trickle-seq", "7"),
        ("lp-trickle-latest", " 9 "),
        ("lp-trickle-size", "1316"),
        ("lp-trickle-closed", "terminated"),
        ("content-type", "video/mp2t"),
    ]));
    assert_eq!(
        head,
        Head {
            seq: Some(Seq::from(7)),
            latest: Some(Seq::from(9)),
            size: Some(1316),
            closed: true,
            content_type: Some("video/mp2t".into()),
        }
    );
}

#[test]
fn nonsense_reads_as_absent() {
    let head = Head::read(&headers(&[
        ("lp-trickle-seq", "-1"),
        ("lp-trickle-latest", "many"),
        ("lp-trickle-size", ""),
    ]));
    assert_eq!(head, Head::default());
}

#[test]
fn one_and_true_ask_for_a_reset() {
    for value in ["1", " 1", "true", "True"] {
        assert!(
            wants_reset(&headers(&[("lp-trickle-reset", value)])),
            "{value:?}"
        );
    }
    for value in ["0", "", "false", "11"] {
        assert!(
            !wants_reset(&headers(&[("lp-trickle-reset", value)])),
            "{value:?}"
        );
    }
    assert!(!wants_reset(&HeaderMap::new()));
}

#[test]
fn the_status_of_its_own_is_470() {
    assert_eq!(no_segment().as_u16(), STATUS_NO_SEGMENT);
}
