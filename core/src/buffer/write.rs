//! [`WriteBuffer`]: preallocated, reused, with lengths patched in afterwards.

use std::fmt;

/// Bytes on their way to the peer, in one allocation that is kept.
///
/// Invariant: `sent <= end <= bytes.len()`; what is before `sent` has left, the rest up to
/// `end` is pending. What is behind `end` may be anything: it is there so that writing to it
/// takes one comparison and no call. Encoders only append; nothing is sent while a [`Mark`] is
/// in use.
#[derive(Default)]
pub struct WriteBuffer {
    bytes: Vec<u8>,
    sent: usize,
    end: usize,
}

/// A place in a [`WriteBuffer`] to return to with [`WriteBuffer::truncate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

impl Mark {
    /// The place `count` bytes behind this one.
    #[inline]
    #[must_use]
    pub fn offset(self, count: usize) -> Self {
        Self(self.0 + count)
    }

    /// The place `count` bytes before this one.
    #[inline]
    #[must_use]
    pub fn back(self, count: usize) -> Self {
        Self(self.0 - count)
    }
}

/// The place of a four-byte length that [`WriteBuffer::end_length`] fills in.
#[derive(Clone, Copy, Debug)]
#[must_use = "a length that is begun must be ended"]
pub struct LengthMark(usize);

/// A length that the protocol's signed 32-bit field can't hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The length in bytes.
    pub length: usize,
}

impl WriteBuffer {
    /// An empty buffer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            sent: 0,
            end: 0,
        }
    }

    /// What is still to be sent.
    #[inline]
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..self.end]
    }

    /// Whether everything has been sent.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sent == self.end
    }

    /// How many bytes are still to be sent.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.sent
    }

    /// How many bytes the buffer holds room for.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The first `count` pending bytes have been sent.
    ///
    /// # Panics
    ///
    /// If fewer than `count` bytes are pending.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "more was sent than was pending");
        self.sent += count;
        if self.sent == self.end {
            self.clear();
        } else if self.sent >= self.len().max(WORTH_MOVING) {
            // A socket that always leaves something would have the buffer grow for ever. No
            // more is moved than was sent.
            self.compact();
        }
    }

    /// Forgets everything, sent or not.
    #[inline]
    pub fn clear(&mut self) {
        self.sent = 0;
        self.end = 0;
    }

    /// Moves what is pending to the front, so that its room is all that it takes. No [`Mark`]
    /// may be in use.
    pub fn compact(&mut self) {
        if self.sent > 0 {
            self.bytes.copy_within(self.sent..self.end, 0);
            self.end -= self.sent;
            self.sent = 0;
        }
    }

    /// Gives memory above `capacity` back, as far as nothing pending lies in it. No [`Mark`]
    /// may be in use.
    pub fn shrink_to(&mut self, capacity: usize) {
        self.compact();
        if self.bytes.capacity() > capacity {
            self.bytes.truncate(self.end.max(capacity));
            self.bytes.shrink_to(capacity);
        }
    }

    /// The end of what is written so far.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark(self.end)
    }

    /// Drops all that was written after `mark`.
    ///
    /// # Panics
    ///
    /// If some of it has been sent.
    #[inline]
    pub fn truncate(&mut self, mark: Mark) {
        assert!(mark.0 >= self.sent, "what was sent can't be taken back");
        self.end = self.end.min(mark.0);
    }

    /// What was written after `mark`.
    #[inline]
    pub fn since(&self, mark: Mark) -> &[u8] {
        &self.bytes[mark.0..self.end]
    }

    /// How many bytes were written after `mark`.
    #[inline]
    pub fn len_since(&self, mark: Mark) -> usize {
        self.end - mark.0
    }

    /// Overwrites two bytes at `mark`, which must have been written.
    #[inline]
    pub fn patch_i16(&mut self, mark: Mark, value: i16) {
        self.bytes[mark.0..mark.0 + 2].copy_from_slice(&value.to_be_bytes());
    }

    /// Overwrites four bytes at `mark`, which must have been written.
    #[inline]
    pub fn patch_i32(&mut self, mark: Mark, value: i32) {
        self.bytes[mark.0..mark.0 + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// Leaves room for a four-byte length.
    #[inline]
    pub fn begin_length(&mut self) -> LengthMark {
        let mark = LengthMark(self.end);
        self.put_array([0; 4]);
        mark
    }

    /// Fills in the length of a message: all since `mark`, the length itself included.
    ///
    /// # Errors
    ///
    /// [`TooLong`] above 2³¹−1; the bytes stay, and the caller truncates.
    #[inline]
    pub fn end_length(&mut self, mark: LengthMark) -> Result<(), TooLong> {
        self.patch_length(mark, self.end - mark.0)
    }

    /// Fills in the length of a value: all since `mark`, the length itself not included.
    ///
    /// # Errors
    ///
    /// [`TooLong`] above 2³¹−1; the bytes stay, and the caller truncates.
    #[inline]
    pub fn end_value(&mut self, mark: LengthMark) -> Result<(), TooLong> {
        self.patch_length(mark, self.end - mark.0 - 4)
    }

    /// Fills in the length of a whole message that begins with its tag at `start`.
    ///
    /// # Errors
    ///
    /// [`TooLong`] above 2³¹−1; the bytes stay, and the caller truncates.
    #[inline]
    pub fn patch_message_length(&mut self, start: Mark) -> Result<(), TooLong> {
        self.patch_length(LengthMark(start.0 + 1), self.end - start.0 - 1)
    }

    /// Makes the value begun at `mark` a NULL: length −1 and no bytes.
    #[inline]
    pub fn end_null(&mut self, mark: LengthMark) {
        self.end = mark.0;
        self.put_i32(-1);
    }

    #[inline]
    fn patch_length(&mut self, mark: LengthMark, length: usize) -> Result<(), TooLong> {
        let length = checked_length(length)?;
        self.patch_i32(Mark(mark.0), length);
        Ok(())
    }

    /// Appends one byte.
    #[inline]
    pub fn put_u8(&mut self, value: u8) {
        self.put_array([value]);
    }

    /// Appends a 16-bit integer in network order.
    #[inline]
    pub fn put_i16(&mut self, value: i16) {
        self.put_array(value.to_be_bytes());
    }

    /// Appends a 32-bit integer in network order.
    #[inline]
    pub fn put_i32(&mut self, value: i32) {
        self.put_array(value.to_be_bytes());
    }

    /// Appends an unsigned 32-bit integer in network order.
    #[inline]
    pub fn put_u32(&mut self, value: u32) {
        self.put_array(value.to_be_bytes());
    }

    /// Appends a 64-bit integer in network order.
    #[inline]
    pub fn put_i64(&mut self, value: i64) {
        self.put_array(value.to_be_bytes());
    }

    /// Appends so many bytes as they are.
    #[inline]
    pub fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put_slice(&bytes);
    }

    /// Appends bytes as they are.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        if !self.put_within(bytes) {
            if bytes.len() < WIDENED_BY {
                // Told how many they are alone, so that they need not lie in memory.
                self.widen(bytes.len());
                self.put_within(bytes);
            } else {
                self.put_behind(bytes);
            }
        }
    }

    /// Appends a value behind its length.
    ///
    /// # Errors
    ///
    /// [`TooLong`] above 2³¹−1; nothing is written then.
    #[inline]
    pub fn put_sized(&mut self, value: &[u8]) -> Result<(), TooLong> {
        let length = checked_length(value.len())?;
        self.put_i32(length);
        self.put_slice(value);
        Ok(())
    }

    /// Makes room for `additional` bytes ahead of writing them. A [`Mark`] stays what it is.
    #[inline]
    pub fn reserve(&mut self, additional: usize) {
        let writable = self.bytes.len() - self.end;
        self.bytes.reserve(additional.saturating_sub(writable));
    }

    /// Room for `count` bytes, or none where it would have to be made: what is written to its
    /// front is appended by [`take_room`](Self::take_room).
    #[inline]
    pub fn room(&mut self, count: usize) -> &mut [u8] {
        let room = self.bytes.get_mut(self.end..);
        let room = room.and_then(|room| room.get_mut(..count));
        room.unwrap_or_default()
    }

    /// Appends the first `count` bytes of what [`room`](Self::room) has last returned.
    #[inline]
    pub fn take_room(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.bytes.len(), "there was no such room");
    }

    /// Appends the bytes, if there is room.
    #[inline]
    fn put_within(&mut self, bytes: &[u8]) -> bool {
        let room = self.bytes.get_mut(self.end..);
        let Some(room) = room.and_then(|room| room.get_mut(..bytes.len())) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.end += bytes.len();
        true
    }

    /// Appends many bytes: what they overwrite at once need not be filled before.
    #[cold]
    #[inline(never)]
    fn put_behind(&mut self, bytes: &[u8]) {
        self.bytes.truncate(self.end);
        self.bytes.extend_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Makes at least `needed` bytes behind the end ones that can be written to: not many at a
    /// time, because most that there is memory for may never be needed.
    #[cold]
    #[inline(never)]
    fn widen(&mut self, needed: usize) {
        self.reserve(needed);
        let widened = (self.end + needed.max(WIDENED_BY)).min(self.bytes.capacity());
        self.bytes.resize(widened, 0);
    }
}

/// `length` as the protocol's signed 32-bit length.
///
/// # Errors
///
/// [`TooLong`] above 2³¹−1.
#[inline]
pub(crate) fn checked_length(length: usize) -> Result<i32, TooLong> {
    i32::try_from(length).map_err(|_| TooLong { length })
}

/// What was sent is given up behind the socket's back from this many bytes on.
const WORTH_MOVING: usize = 4 * 1024;

/// By how many bytes the part of the buffer grows that can be written to: fewer than from which
/// on the system's `memset` takes an instruction that is slow to start.
const WIDENED_BY: usize = 2 * 1024 - 64;

/// Shows what is pending.
impl fmt::Debug for WriteBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteBuffer").field(&self.pending()).finish()
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes are more than the protocol's limit of {} bytes",
            self.length,
            i32::MAX
        )
    }
}

impl std::error::Error for TooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_patched_with_and_without_themselves() {
        let mut buffer = WriteBuffer::with_capacity(16);
        buffer.put_u8(b'Q');
        let message = buffer.begin_length();
        let value = buffer.begin_length();
        buffer.put_slice(b"abc");
        buffer.end_value(value).unwrap();
        buffer.end_length(message).unwrap();
        assert_eq!(buffer.pending(), b"Q\0\0\0\x0b\0\0\0\x03abc");
    }

    #[test]
    fn s1_lengths_above_the_protocols_limit_are_errors() {
        for length in [(1_usize << 31) - 1, 0, 4] {
            assert_eq!(checked_length(length), Ok(length as i32));
        }
        for length in [
            1_usize << 31,
            (1 << 31) + 1,
            (1 << 32) - 1,
            1 << 32,
            (1 << 32) + 1,
        ] {
            assert_eq!(checked_length(length), Err(TooLong { length }));
        }
    }

    #[test]
    fn truncating_keeps_what_was_sent() {
        let mut buffer = WriteBuffer::default();
        buffer.put_slice(b"sent");
        buffer.advance(2);
        let mark = buffer.mark();
        buffer.put_slice(b"never");
        buffer.truncate(mark);
        assert_eq!(buffer.pending(), b"nt");
        buffer.advance(2);
        assert!(buffer.is_empty());
    }

    #[test]
    fn values_are_written_behind_their_lengths() {
        let mut buffer = WriteBuffer::default();
        buffer.put_sized(b"abc").unwrap();
        buffer.put_sized(b"").unwrap();
        assert_eq!(buffer.pending(), b"\0\0\0\x03abc\0\0\0\0");
    }

    #[test]
    fn r20_a_socket_that_never_takes_all_does_not_make_it_grow() {
        let mut buffer = WriteBuffer::default();
        let mut next = 0_u32..;
        let mut sent = 0_u32..;
        for step in 0..1_000 {
            while buffer.len() < 16 * 1024 {
                buffer.put_u32(next.next().unwrap());
            }
            // Something is always left, between 4 bytes and nearly all.
            let left = 4 + step * 16 % (15 * 1024);
            for piece in buffer.pending()[..buffer.len() - left].chunks(4) {
                assert_eq!(piece, sent.next().unwrap().to_be_bytes());
            }
            buffer.advance(buffer.len() - left);
            assert_eq!(buffer.len(), left);
        }
        assert!(buffer.capacity() <= 64 * 1024, "{}", buffer.capacity());
    }

    #[test]
    fn null_takes_the_place_of_what_was_written() {
        let mut buffer = WriteBuffer::default();
        let value = buffer.begin_length();
        buffer.put_slice(b"half a value");
        buffer.end_null(value);
        assert_eq!(buffer.pending(), &[0xff; 4]);
    }

    #[test]
    fn reserving_leaves_marks_where_they_are() {
        let mut buffer = WriteBuffer::with_capacity(64);
        buffer.put_slice(&[1; 40]);
        buffer.advance(30);
        let mark = buffer.mark();
        let length = buffer.begin_length();
        buffer.reserve(1_000);
        buffer.put_slice(b"abc");
        buffer.end_value(length).unwrap();
        assert_eq!(buffer.since(mark), b"\0\0\0\x03abc");
        buffer.truncate(mark);
        assert_eq!(buffer.pending(), [1; 10]);
        buffer.compact();
        assert_eq!(buffer.pending(), [1; 10]);
    }

    #[test]
    fn room_is_there_once_something_was_written_and_takes_what_is_wanted() {
        let mut buffer = WriteBuffer::with_capacity(256);
        assert!(buffer.room(8).is_empty());
        buffer.put_u8(1);
        let room = buffer.room(8);
        room[..3].copy_from_slice(&[2, 3, 4]);
        assert_eq!(room.len(), 8);
        assert_eq!(buffer.pending(), [1]);
        buffer.room(8);
        buffer.take_room(3);
        assert_eq!(buffer.pending(), [1, 2, 3, 4]);
        assert!(buffer.room(256).is_empty());
        assert_eq!(buffer.capacity(), 256);
    }

    /// Whatever is done, what is pending is what a plain list of bytes holds.
    #[test]
    fn it_holds_what_a_list_of_bytes_would() {
        // Knuth's MMIX.
        let mut state = 1_u64;
        let mut below = |limit: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % limit
        };
        let mut buffer = WriteBuffer::default();
        let mut model: Vec<u8> = Vec::new();
        let mut largest = 0;
        for step in 0..200_000_u32 {
            let byte = step as u8;
            match below(12) {
                0 => {
                    buffer.put_i32(step as i32);
                    model.extend_from_slice(&step.to_be_bytes());
                }
                1..=3 => {
                    let most = [10, 100, 3 * WIDENED_BY][below(3)];
                    let count = below(most);
                    buffer.put_slice(&vec![byte; count]);
                    model.resize(model.len() + count, byte);
                }
                4 | 5 => {
                    let wanted = below(100);
                    let room = buffer.room(wanted);
                    let count = room.len().min(below(100));
                    room.fill(!byte);
                    room[..count].fill(byte);
                    buffer.take_room(count);
                    model.resize(model.len() + count, byte);
                }
                6 => {
                    buffer.put_sized(&[byte; 7]).unwrap();
                    model.extend_from_slice(&[0, 0, 0, 7]);
                    model.resize(model.len() + 7, byte);
                }
                7 => {
                    let kept = below(model.len() + 1);
                    let mark = buffer.mark().back(model.len() - kept);
                    assert_eq!(buffer.since(mark), &model[kept..]);
                    buffer.truncate(mark);
                    model.truncate(kept);
                }
                8 | 9 => {
                    let count = below(model.len() + 1);
                    buffer.advance(count);
                    model.drain(..count);
                }
                10 => buffer.reserve(below(2 * WIDENED_BY)),
                _ if below(20) == 0 => {
                    buffer.shrink_to(below(WIDENED_BY));
                    assert!(buffer.capacity() <= model.len().max(WIDENED_BY));
                }
                _ => buffer.compact(),
            }
            assert_eq!(buffer.len(), model.len());
            if step % 16 == 0 {
                assert!(buffer.pending() == model, "step {step}");
            }
            largest = largest.max(model.len());
        }
        assert!(largest > 4 * WIDENED_BY, "{largest}");
    }
}
