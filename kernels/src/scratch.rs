//! Room to work in, kept by each thread until it ends: a kernel that runs at every step asks the allocator once. There are as many
//! rooms as bodies were ever at work within each other, each as large as the most that was asked of it.

use std::cell::RefCell;

thread_local! {
    static ROOMS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` on `len` numbers of this thread's room; what they are at first is whatever was left there. A body that asks again
/// gets other room.
pub fn with_scratch<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut room = ROOMS.with_borrow_mut(Vec::pop).unwrap_or_default();
    if room.len() < len {
        room.resize(len, 0.0);
    }
    let result = body(&mut room[..len]);
    ROOMS.with_borrow_mut(|rooms| rooms.push(room));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_ask_again() {
        with_scratch(3, |outer| {
            outer.fill(1.0);
            with_scratch(5, |inner| inner.fill(2.0));
            assert_eq!(outer, [1.0; 3]);
        });
    }

    #[test]
    fn rooms_are_kept() {
        let rooms = || with_scratch(1_000, |outer| with_scratch(1_000, |inner| [outer.as_ptr(), inner.as_ptr()]));
        assert_eq!(rooms(), rooms());
    }
}
