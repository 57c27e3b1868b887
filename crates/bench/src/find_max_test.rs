//! The search closes in on the pace from anywhere, in few measurements.

use super::*;

/// Paces tried, and the fastest sustained, of a worker that keeps up with `limit`.
fn search(from: f64, limit: f64) -> (usize, Option<f64>) {
    let mut search = Search::new(from);
    let mut tried = 0;
    while let Some(speed) = search.next() {
        tried += 1;
        search.tell(speed <= limit);
    }
    (tried, search.good)
}

#[test]
fn the_limit_is_found_to_five_percent() {
    for from in [0.5, 1.0, 4.0] {
        for limit in [0.3, 0.99, 1.0, 1.01, 2.7, 5.5, 31.0] {
            let (tried, found) = search(from, limit);
            let found = found.unwrap();
            assert!(
                found <= limit && limit < found * PRECISION,
                "{limit}: {found}"
            );
            assert!(tried <= 12, "{from}, {limit}: {tried} measurements");
        }
    }
}

#[test]
fn the_search_ends_where_there_is_no_limit_and_where_nothing_is_sustained() {
    let (tried, found) = search(1.0, f64::INFINITY);
    assert_eq!((tried, found), (7, Some(FASTEST)));
    assert_eq!(search(1.0, 0.0).1, None);
}
