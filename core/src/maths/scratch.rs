//! Room to work in, kept by each thread: a kernel that runs at every step asks the allocator once.

use std::cell::Cell;

thread_local! {
    static ROOM: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Runs `body` on `len` numbers of this thread's room; what they are at first is whatever was left there.
pub fn with_scratch<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut room = ROOM.take(); // taken and not borrowed: a body that asks again gets other room
    if room.len() < len {
        room.resize(len, 0.0);
    }
    let result = body(&mut room[..len]);
    ROOM.set(room);
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
}
