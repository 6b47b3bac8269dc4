//! [`Reader`]: a checked cursor over the bytes of one value.

use crate::error::DecodeError;

/// A cursor over the bytes of one value, that can't leave them.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'r> {
    rest: &'r [u8],
}

macro_rules! number {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("The next ", stringify!($name), ", in network order.")]
            ///
            /// # Errors
            ///
            /// If the value ends before.
            #[inline]
            pub fn $name(&mut self) -> Result<$name, DecodeError> {
                Ok($name::from_be_bytes(self.array()?))
            }
        )*
    };
}

impl<'r> Reader<'r> {
    /// A cursor at the start of `bytes`.
    #[inline]
    pub fn new(bytes: &'r [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not read yet.
    #[inline]
    pub fn rest(&self) -> &'r [u8] {
        self.rest
    }

    /// How many bytes are not read yet.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    number! { u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 }

    /// The next `N` bytes.
    ///
    /// # Errors
    ///
    /// If the value ends before.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(ended()),
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    ///
    /// If the value ends before.
    #[inline]
    pub fn bytes(&mut self, count: usize) -> Result<&'r [u8], DecodeError> {
        match self.rest.split_at_checked(count) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(ended()),
        }
    }

    /// The bytes up to the next NUL, which is skipped.
    ///
    /// # Errors
    ///
    /// If there is none.
    #[inline]
    pub fn c_string(&mut self) -> Result<&'r [u8], DecodeError> {
        match self.rest.iter().position(|&byte| byte == 0) {
            Some(end) => {
                let bytes = &self.rest[..end];
                self.rest = &self.rest[end + 1..];
                Ok(bytes)
            }
            None => Err(ended()),
        }
    }

    /// The next value with its length in front, `None` for NULL.
    ///
    /// # Errors
    ///
    /// If it ends behind this one, or its length is negative and not −1.
    #[inline]
    pub fn value(&mut self) -> Result<Option<&'r [u8]>, DecodeError> {
        let length = self.i32()?;
        match usize::try_from(length) {
            Ok(length) => self.bytes(length).map(Some),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(negative(length)),
        }
    }

    /// A count of things of which each takes at least `smallest` bytes.
    ///
    /// # Errors
    ///
    /// If it is negative, or more than what is left can hold.
    #[inline]
    pub fn count(&mut self, smallest: usize) -> Result<usize, DecodeError> {
        let count = self.i32()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.remaining() / smallest => Ok(count),
            _ => Err(lying(count)),
        }
    }

    /// Makes room in `values` for the next of `count` that are still to be read, and for as many
    /// of them as fit into four times the bytes that are left: a count may lie, and a NULL takes
    /// four bytes here and the whole of `T` there. Values that are as many as was said end with
    /// room for just them.
    #[inline]
    pub(super) fn make_room<T>(&self, values: &mut Vec<T>, count: usize) {
        if values.len() == values.capacity() {
            let justified = GROWTH * self.remaining() / size_of::<T>().max(1);
            values.reserve_exact(count.min(justified.max(FEWEST)));
        }
    }

    /// All must be read.
    ///
    /// # Errors
    ///
    /// If bytes are left.
    #[inline]
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(trailing(self.rest.len()))
        }
    }
}

/// How many bytes of memory a byte that is still to be read may reserve.
const GROWTH: usize = 4;

/// As many values there is room for at once, however large they are.
const FEWEST: usize = 4;

#[cold]
fn ended() -> DecodeError {
    DecodeError::new("the value ends early")
}

#[cold]
fn negative(length: i32) -> DecodeError {
    DecodeError::new(format!("a part of the value has the length {length}"))
}

#[cold]
fn lying(count: i32) -> DecodeError {
    DecodeError::new(format!(
        "the value announces {count} parts, which don't fit in it"
    ))
}

#[cold]
fn trailing(count: usize) -> DecodeError {
    DecodeError::new(format!("{count} bytes follow the end of the value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_order_and_to_the_end() {
        let mut reader = Reader::new(b"\x01\0\0\0\x02hi\xff\xff\xff\xffend\0\x07");
        assert_eq!(reader.u8().unwrap(), 1);
        assert_eq!(reader.value().unwrap(), Some(&b"hi"[..]));
        assert_eq!(reader.value().unwrap(), None);
        assert_eq!(reader.c_string().unwrap(), b"end");
        assert!(reader.finish().is_err());
        assert_eq!(reader.i8().unwrap(), 7);
        assert!(reader.finish().is_ok());
        assert!(reader.u8().is_err());
        assert!(reader.c_string().is_err());
    }

    #[test]
    fn s25_room_is_made_for_what_the_bytes_justify() {
        let reader = Reader::new(&[0; 240]);
        let mut values: Vec<[u8; 24]> = Vec::new();
        reader.make_room(&mut values, 1_000);
        assert_eq!(values.capacity(), 40);
        reader.make_room(&mut values, 1_000);
        assert_eq!(values.capacity(), 40);
        values.resize(40, [0; 24]);
        reader.make_room(&mut values, 7);
        assert_eq!(values.capacity(), 47);
        values.resize(47, [0; 24]);
        Reader::new(&[]).make_room(&mut values, 1_000);
        assert_eq!(values.capacity(), 51);
        reader.make_room(&mut Vec::<()>::new(), usize::MAX);
    }

    #[test]
    fn s25_lengths_and_counts_that_lie_are_errors() {
        for length in [i32::MIN, -2, 1, i32::MAX] {
            let bytes = length.to_be_bytes();
            assert!(Reader::new(&bytes).value().is_err(), "{length}");
            assert!(Reader::new(&bytes).count(1).is_err(), "{length}");
        }
        let bytes = b"\0\0\0\x02\x01\x02\x03\x04\x05\x06\x07";
        assert_eq!(Reader::new(bytes).count(3).unwrap(), 2);
        assert!(Reader::new(bytes).count(4).is_err());
    }
}
