//! The pool: reuse, copy on write, bounds.

use super::*;

#[test]
fn a_buffer_is_reused_after_its_last_owner() {
    let pool = Pool::<u8>::new();
    let first = pool.take(8);
    let address = first.as_ptr();
    let second = first.clone();
    drop(first);
    assert_eq!(pool.idle(), 0, "a clone still holds it");
    drop(second);
    assert_eq!(pool.idle(), 1);
    assert_eq!(pool.take(8).as_ptr(), address);
}

#[test]
fn writing_to_a_shared_buffer_leaves_the_other_owner_alone() {
    let pool = Pool::<u8>::new();
    let mut one = pool.copy_of(&[1, 2, 3]);
    let other = one.clone();
    one.make_mut()[0] = 9;
    assert_eq!(&one[..], [9, 2, 3]);
    assert_eq!(&other[..], [1, 2, 3]);
}

#[test]
fn writing_to_a_unique_buffer_copies_nothing() {
    let mut buffer = Pool::<u8>::new().copy_of(&[1]);
    let address = buffer.as_ptr();
    assert_eq!(buffer.make_mut().as_ptr(), address);
}

#[test]
fn another_length_gets_another_buffer() {
    let pool = Pool::<f32>::new();
    drop(pool.take(4));
    assert_eq!(pool.take(6).len(), 6);
}

#[test]
fn a_burst_does_not_stay_in_memory() {
    let pool = Pool::<u8>::new();
    let burst: Vec<_> = (0..3 * MAX_IDLE).map(|_| pool.take(4)).collect();
    drop(burst);
    assert_eq!(pool.idle(), MAX_IDLE);
    // A new size pushes the old ones out.
    drop(pool.take(5));
    assert_eq!(pool.idle(), MAX_IDLE);
    assert_eq!(pool.take(5).len(), 5);
}

#[test]
fn buffers_outlive_their_pool() {
    let pool = Pool::<u8>::new();
    let mut buffer = pool.copy_of(&[7]);
    let shared = buffer.clone();
    drop(pool);
    buffer.make_mut()[0] = 8;
    assert_eq!((buffer[0], shared[0]), (8, 7));
}
