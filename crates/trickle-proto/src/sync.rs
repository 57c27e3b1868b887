//! Locks that survive a panic elsewhere, and wakers of those who wait.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use slab::Slab;

/// Locks. Nothing here leaves half-made state behind a panic, so poisoning is not an error.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those who wait for something to change: one slot each for as long as they exist, so that
/// being polled again replaces a waker and never adds one.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    slots: Slab<Option<Waker>>,
    waiting: usize,
}

impl Watchers {
    /// Registers `waker` in the slot that `key` names, taking a slot first if there is none.
    pub(crate) fn wait(&mut self, key: &mut Option<usize>, waker: &Waker) {
        let slot = match *key {
            Some(key) => self.slots.get_mut(key),
            None => {
                let new = self.slots.insert(None);
                *key = Some(new);
                self.slots.get_mut(new)
            }
        };
        match slot {
            Some(Some(old)) => old.clone_from(waker),
            Some(empty) => {
                *empty = Some(waker.clone());
                self.waiting += 1;
            }
            None => {}
        }
    }

    /// Gives a slot up.
    pub(crate) fn leave(&mut self, key: usize) {
        if self.slots.try_remove(key).flatten().is_some() {
            self.waiting -= 1;
        }
    }

    /// Moves the wakers of all that wait now to the end of `due`; whoever wakes them has to unlock
    /// first. Those that are awake already are not in the list, so a burst of changes wakes each
    /// once.
    pub(crate) fn call(&mut self, due: &mut VecDeque<Waker>) {
        if self.waiting > 0 {
            self.waiting = 0;
            due.extend(self.slots.iter_mut().filter_map(|(_, slot)| slot.take()));
        }
    }
}

/// Wakes all of `wakers`.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

/// A waker, and how often it was woken.
#[cfg(test)]
pub(crate) fn counting_waker() -> (Waker, impl Fn() -> usize) {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let count = Arc::new(Count(AtomicUsize::new(0)));
    (Waker::from(count.clone()), move || {
        count.0.load(Ordering::SeqCst)
    })
}
