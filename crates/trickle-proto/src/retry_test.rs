//! Waits between tries.

use super::*;

fn waits(seed: u64, count: usize) -> Vec<Duration> {
    let mut backoff = Backoff::new(RetryPolicy::default(), seed);
    (0..count).map(|_| backoff.next_wait()).collect()
}

#[test]
fn waits_double_up_to_the_longest() {
    let policy = RetryPolicy::default();
    for (try_number, wait) in waits(1, 40).into_iter().enumerate() {
        let longest = policy
            .base
            .saturating_mul(1 << try_number.min(16))
            .min(policy.max);
        assert!(
            wait <= longest && wait >= longest / 2,
            "{try_number}: {wait:?}"
        );
    }
}

#[test]
fn clients_do_not_wait_in_step() {
    assert_ne!(waits(1, 5), waits(2, 5));
    assert_eq!(waits(1, 5), waits(1, 5));
}

#[test]
fn success_starts_over() {
    let policy = RetryPolicy::default();
    let mut backoff = Backoff::new(policy, 3);
    for _ in 0..10 {
        backoff.next_wait();
    }
    backoff.reset();
    assert!(backoff.next_wait() <= policy.base);
}
