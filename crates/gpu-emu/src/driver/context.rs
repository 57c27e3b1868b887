//! A device's primary context, and which context is current on which thread.

use std::cell::RefCell;

use super::Handle;

/// The device's primary context.
#[derive(Default)]
pub(crate) struct Context {
    /// Times it was retained and not yet released.
    pub(crate) retained: u32,
    pub(crate) handle: Handle,
    /// Times that it was made, which takes long and memory.
    pub(crate) made: u32,
}

/// Contexts pushed on a thread; `None` is a pushed null.
type Stack = Vec<Option<Handle>>;

thread_local! {
    static STACK: RefCell<Stack> = const { RefCell::new(Vec::new()) };
}

/// Works on this thread's stack.
pub(crate) fn with_stack<T>(work: impl FnOnce(&mut Stack) -> T) -> T {
    STACK.with_borrow_mut(work)
}

/// Pushes a context on this thread.
pub(crate) fn push(context: Option<Handle>) {
    with_stack(|stack| stack.push(context));
}

/// The context that is current on this thread.
pub(crate) fn current() -> Option<Handle> {
    with_stack(|stack| stack.last().copied().flatten())
}
