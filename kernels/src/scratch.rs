//! Scratch buffers, kept by each thread until it ends, so that a kernel that runs at every step allocates once. A thread has as
//! many buffers as calls were ever nested, each as large as the largest request that it served.

use std::cell::RefCell;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` on `len` numbers of a buffer of this thread, which still holds the numbers of its last use. A nested call gets
/// another buffer.
pub fn with_scratch<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    let result = body(first(&mut buffer, len, 0.0));
    BUFFERS.with_borrow_mut(|buffers| buffers.push(buffer));
    result
}

/// The first `len` numbers of a buffer, which grows if it is shorter and never shrinks: resized for each use, its end would be filled
/// with zeros again and again. The numbers are those of its last use.
pub(crate) fn first<T: Copy>(buffer: &mut Vec<T>, len: usize, zero: T) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, zero);
    }
    &mut buffer[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_call_gets_another_buffer() {
        with_scratch(3, |outer| {
            outer.fill(1.0);
            with_scratch(5, |inner| inner.fill(2.0));
            assert_eq!(outer, [1.0; 3]);
        });
    }

    #[test]
    fn buffers_are_reused() {
        let buffers = || with_scratch(1_000, |outer| with_scratch(1_000, |inner| [outer.as_ptr(), inner.as_ptr()]));
        assert_eq!(buffers(), buffers());
    }
}
