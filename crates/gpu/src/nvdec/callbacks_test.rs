//! What a callback does when the work in it fails: nothing of it reaches the parser.

use super::*;

#[derive(Default)]
struct Kept(Option<Failure>);

impl Keeps for Kept {
    fn failure(&mut self) -> &mut Option<Failure> {
        &mut self.0
    }
}

/// Runs a callback as the parser does: by pointer.
fn call(kept: &mut Kept, work: impl FnOnce(&mut Kept) -> Result<c_int, Failure>) -> c_int {
    // SAFETY: a pointer to what `work` takes.
    unsafe { guarded(ptr::from_mut(kept).cast(), work) }
}

#[test]
fn a_panic_ends_within_the_callback() {
    let mut kept = Kept::default();
    assert_eq!(call(&mut kept, |_| panic!("in the middle")), 0);
    assert!(matches!(kept.0, Some(Failure::Panic)));
}

#[test]
fn the_first_failure_is_the_one_that_is_told() {
    let mut kept = Kept::default();
    assert_eq!(call(&mut kept, |_| Ok(7)), 7);
    assert!(kept.0.is_none());
    assert_eq!(
        call(&mut kept, |_| Err(Failure::Unsupported("first".into()))),
        0
    );
    assert_eq!(call(&mut kept, |_| panic!("second")), 0);
    assert!(matches!(kept.0, Some(Failure::Unsupported(reason)) if reason == "first"));
}
