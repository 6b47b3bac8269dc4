//! [`ReadBuffer`]: bytes from the peer, borrowed where they lie.

use bytes::{Bytes, BytesMut};

/// The capacity that a connection starts with and returns to when it is idle, in bytes.
pub(super) const INITIAL_CAPACITY: usize = 16 * 1024;

/// The capacity up to which full reads alone let the buffer grow, in bytes. Larger buffers
/// don't read faster; only a message that is larger itself makes it grow further.
pub(super) const STEADY_CAPACITY: usize = 56 * 1024;

/// How much room the first bytes of a message get, whatever length it announces, in bytes.
pub(super) const GROWTH_ALLOWANCE: usize = 64 * 1024;

/// Bytes that have arrived from the peer and wait to be parsed.
///
/// Invariant: `consumed <= filled <= capacity`, checked after each mutation in debug
/// builds. [`filled`](Self::filled) lends the bytes between `consumed` and `filled`;
/// nothing is moved while they are lent.
#[derive(Debug)]
pub struct ReadBuffer {
    bytes: BytesMut,
    consumed: usize,
    /// What the next read should have room for.
    target: usize,
    /// How much has arrived since the last [`settle`](Self::settle).
    received: usize,
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadBuffer {
    /// An empty buffer of the initial capacity.
    pub fn new() -> Self {
        Self {
            bytes: BytesMut::with_capacity(INITIAL_CAPACITY),
            consumed: 0,
            target: INITIAL_CAPACITY,
            received: 0,
        }
    }

    /// What has arrived and is not consumed.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }

    /// How many bytes [`filled`](Self::filled) has.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.consumed
    }

    /// Whether nothing waits to be parsed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much memory the buffer holds.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives up the first `count` bytes of [`filled`](Self::filled).
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "more was consumed than had arrived");
        self.consumed += count;
        if self.consumed == self.bytes.len() {
            self.bytes.clear();
            self.consumed = 0;
        }
        self.check();
    }

    /// Takes the first `count` bytes out as shared memory, without copying them. The buffer
    /// gets new memory when it next grows, if the shared part still lives then.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn take_shared(&mut self, count: usize) -> Bytes {
        assert!(count <= self.len(), "more was taken than had arrived");
        let mut taken = self.bytes.split_to(self.consumed + count);
        let taken = taken.split_off(self.consumed).freeze();
        self.consumed = 0;
        self.check();
        taken
    }

    /// Lends the memory to `read`, which appends what arrives to its end, and returns what
    /// `read` returns. `needed` is how many bytes the message at the front announces as a
    /// whole, or 0 while that is unknown.
    ///
    /// Room grows by doubling, at most to `needed`, and never beyond twice what has arrived
    /// plus [`GROWTH_ALLOWANCE`]: a length alone allocates nothing.
    #[inline]
    pub fn fill<R>(&mut self, needed: usize, read: impl FnOnce(&mut BytesMut) -> R) -> R {
        self.make_room(needed);
        let before = self.bytes.len();
        let result = read(&mut self.bytes);
        assert!(self.bytes.len() >= before, "a read only appends");
        self.received = self.received.saturating_add(self.bytes.len() - before);
        if self.bytes.len() == self.bytes.capacity() && self.target < STEADY_CAPACITY {
            self.target = (self.target * 2).min(STEADY_CAPACITY);
        }
        self.check();
        result
    }

    /// An operation has ended. One that received little gives back what an earlier one made
    /// the buffer grow to, and returns whether there was anything: a connection that is used
    /// for large results keeps its buffer, one that is not is as small as a new one.
    #[inline]
    pub fn settle(&mut self) -> bool {
        let is_small = std::mem::take(&mut self.received) <= INITIAL_CAPACITY;
        if is_small && (self.target > INITIAL_CAPACITY || self.bytes.capacity() > INITIAL_CAPACITY)
        {
            self.shrink();
            return true;
        }
        false
    }

    /// Returns to the initial capacity, if nothing waits to be parsed.
    pub fn shrink(&mut self) {
        if self.is_empty()
            && (self.bytes.capacity() > INITIAL_CAPACITY || self.target > INITIAL_CAPACITY)
        {
            *self = Self::new();
        }
    }

    #[inline]
    fn make_room(&mut self, needed: usize) {
        let spare = self.bytes.capacity() - self.bytes.len();
        // The rest of the memory is used up before anything is moved.
        let missing = needed.saturating_sub(self.len());
        if spare < MIN_READ && (spare == 0 || missing == 0 || spare < missing) {
            self.grow(needed);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let arrived = self.len();
        let allowed = arrived.saturating_mul(2).saturating_add(GROWTH_ALLOWANCE);
        let steady = self.target.max(arrived.saturating_add(MIN_READ));
        let doubled = needed.min(arrived.saturating_mul(2));
        let wanted = steady.max(doubled).min(allowed);
        bytes::Buf::advance(&mut self.bytes, self.consumed);
        self.consumed = 0;
        // Moves the bytes to the front where that makes room enough. A larger buffer is
        // allocated here, because `reserve` would round its size up to a power of two.
        if !self.bytes.try_reclaim(wanted - arrived) {
            let bytes = std::mem::take(&mut self.bytes);
            self.bytes = if arrived > STEADY_CAPACITY {
                lengthened(bytes, wanted)
            } else {
                let mut larger = BytesMut::with_capacity(wanted);
                larger.extend_from_slice(&bytes);
                larger
            };
        }
        self.check();
    }

    #[inline]
    fn check(&self) {
        debug_assert!(self.consumed <= self.bytes.len());
        debug_assert!(self.bytes.len() <= self.bytes.capacity());
    }
}

/// The same bytes with room for so many. Large memory is lengthened where it is, as far as the
/// allocator can: it maps the pages elsewhere, where copying would touch each of them twice.
fn lengthened(bytes: BytesMut, capacity: usize) -> BytesMut {
    let mut memory = Vec::from(bytes);
    memory.reserve_exact(capacity - memory.len());
    Bytes::from(memory).into()
}

/// The least room that a read is worth, in bytes.
const MIN_READ: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(buffer: &mut ReadBuffer, needed: usize, bytes: &[u8]) -> usize {
        buffer.fill(needed, |memory| {
            let room = memory.capacity() - memory.len();
            let taken = room.min(bytes.len());
            memory.extend_from_slice(&bytes[..taken]);
            taken
        })
    }

    #[test]
    fn r20_no_byte_is_lost_over_growth_and_moves() {
        let mut buffer = ReadBuffer::new();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i * 7 % 251) as u8).collect();
        let (mut offset, mut seen) = (0, Vec::new());
        let steps = [1, 5, 4096, 20_000, 3, 70_000, 16_384, 999];
        for step in steps.iter().cycle() {
            let end = (offset + step * 3).min(sent.len());
            offset += arrive(&mut buffer, *step, &sent[offset..end]);
            let take = buffer.len().min(*step);
            seen.extend_from_slice(&buffer.filled()[..take]);
            if step % 2 == 0 {
                buffer.consume(take);
            } else {
                assert_eq!(buffer.take_shared(take), seen[seen.len() - take..]);
            }
            if seen.len() == sent.len() {
                break;
            }
        }
        assert!(seen == sent);
    }

    #[test]
    fn an_announced_length_allocates_nothing_by_itself() {
        let mut buffer = ReadBuffer::new();
        arrive(&mut buffer, 0, &[1; 5]);
        arrive(&mut buffer, 1 << 30, &[2; 100]);
        assert!(
            buffer.capacity() <= 2 * 105 + GROWTH_ALLOWANCE,
            "{}",
            buffer.capacity()
        );
    }

    #[test]
    fn growth_follows_what_has_arrived() {
        let mut buffer = ReadBuffer::new();
        let chunk = vec![7; 1 << 20];
        let mut arrived = 0;
        while arrived < 20 << 20 {
            arrived += arrive(&mut buffer, 20 << 20, &chunk);
            assert!(
                buffer.capacity() <= 2 * arrived + GROWTH_ALLOWANCE,
                "{} of {arrived}",
                buffer.capacity()
            );
        }
        assert!(buffer.capacity() <= (20 << 20) + chunk.len() + MIN_READ);
    }

    #[test]
    fn what_a_small_operation_does_not_need_is_given_back() {
        let mut buffer = ReadBuffer::new();
        for _ in 0..10 {
            let room = buffer.capacity();
            arrive(&mut buffer, 0, &vec![7; room]);
            // The last message has not arrived as a whole.
            buffer.consume(buffer.len() - 1);
        }
        buffer.consume(buffer.len());
        let grown = buffer.capacity();
        assert!(grown > INITIAL_CAPACITY);
        assert!(!buffer.settle(), "the operation was a large one");
        assert_eq!(buffer.capacity(), grown);
        arrive(&mut buffer, 0, b"small");
        buffer.consume(5);
        assert!(buffer.settle());
        assert_eq!(buffer.capacity(), INITIAL_CAPACITY);
        assert!(!buffer.settle(), "there is nothing more to give back");
    }

    #[test]
    fn it_shrinks_when_idle_and_only_then() {
        let mut buffer = ReadBuffer::new();
        let mut left = 1 << 20;
        while left > 0 {
            left -= arrive(&mut buffer, 1 << 20, &vec![1; left]);
        }
        buffer.consume(buffer.len() - 1);
        buffer.shrink();
        assert!(buffer.capacity() > INITIAL_CAPACITY);
        buffer.consume(1);
        buffer.shrink();
        assert_eq!(buffer.capacity(), INITIAL_CAPACITY);
    }
}
