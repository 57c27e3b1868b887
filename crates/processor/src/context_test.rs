//! What may be emitted, and what is refused.

use super::*;
use serde_json::json;

#[test]
fn items_and_events_come_out_in_order() {
    let (context, mut sink) = StreamContext::new("s");
    context.emit_data(json!({"b": 1, "a": [2]})).unwrap();
    context.emit_event("found", json!({"name": "cat"})).unwrap();
    context.emit_event("counted", json!(3)).unwrap();
    context.emit_event("bare", Value::Null).unwrap();
    let field = |name: &str, value| Map::from_iter([(name.to_owned(), value)]);
    let came: Vec<_> = std::iter::from_fn(|| sink.try_next()).collect();
    assert_eq!(
        came,
        [
            Emitted::Data(r#"{"b":1,"a":[2]}"#.into()),
            Emitted::Event("found".into(), field("name", json!("cat"))),
            Emitted::Event("counted".into(), field("value", json!(3))),
            Emitted::Event("bare".into(), Map::new()),
        ]
    );
}

#[test]
fn what_no_line_holds_is_refused() {
    let (context, mut sink) = StreamContext::new("s");
    // Two bytes are the quotes.
    let largest = "x".repeat(MAX_ITEM - 2);
    context.emit_data(json!(largest)).unwrap();
    let error = context.emit_data(json!(format!("{largest}x"))).unwrap_err();
    assert_eq!(
        error,
        EmitError::TooLarge {
            bytes: MAX_ITEM + 1
        }
    );
    assert_eq!(
        context.emit_event("e", json!({"x": largest})),
        Err(EmitError::TooLarge {
            bytes: MAX_ITEM + 7
        })
    );
    assert!(sink.try_next().is_some());
    assert_eq!(sink.try_next(), None);
}

#[test]
fn a_full_queue_refuses_and_takes_again() {
    let (context, mut sink) = StreamContext::new("s");
    for item in 0..QUEUE {
        context.emit_data(json!(item)).unwrap();
    }
    assert_eq!(context.emit_data(json!(0)), Err(EmitError::Full));
    assert_eq!(context.refused(), 1);
    assert_eq!(sink.try_next(), Some(Emitted::Data("0".into())));
    context.emit_data(json!(0)).unwrap();
}

#[test]
fn without_a_session_nothing_is_taken() {
    let (context, sink) = StreamContext::new("s");
    drop(sink);
    assert_eq!(context.emit_data(json!(1)), Err(EmitError::NoSession));
    let detached = StreamContext::detached();
    assert_eq!(detached.emit_data(json!(1)), Err(EmitError::NoSession));
}
