//! [`Ahead`]: how much of a bulk verb's data is put together before the socket is waited for.

use super::link::OUTPUT_CAPACITY;
use crate::buffer::WriteBuffer;

/// How much goes in one flush, in bytes.
const FLUSH_AT: usize = 128 * 1024;

/// How much goes in the first, in bytes: what fits into the buffer that every connection has.
const FIRST_FLUSH_AT: usize = OUTPUT_CAPACITY - 512;

/// By what each flush is larger than the one before, until they are of full size.
const GROWTH: usize = 4;

/// What the last item of a flush may be larger than what was missing, in bytes, without the
/// buffer's being too small.
const LAST_ITEM: usize = 4 * 1024;

/// How much may still be unwritten when more is put together, in bytes.
const FLUSHED_TO: usize = 32 * 1024;

/// The size of the flushes of one run.
///
/// The first is small, so that the server has something to do while more is put together, and
/// so that few items need no more memory than any query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    flush_at: usize,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self {
            flush_at: FIRST_FLUSH_AT,
        }
    }

    /// How much is put together for the next flush, in bytes.
    #[inline]
    pub(super) fn flush_at(self) -> usize {
        self.flush_at
    }

    /// How much of it may still be unwritten when more is put together, in bytes.
    pub(super) fn flushed_to(self) -> usize {
        FLUSHED_TO.min(self.flush_at / 2)
    }

    /// A flush is done: the next one may be larger, and has room in `out`, which grows once for
    /// all that follow.
    pub(super) fn widen(&mut self, out: &mut WriteBuffer) {
        self.flush_at = (self.flush_at * GROWTH).min(FLUSH_AT);
        out.compact();
        out.reserve((FLUSH_AT + LAST_ITEM).saturating_sub(out.len()));
    }
}
