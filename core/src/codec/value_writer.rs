//! [`ValueWriter`]: where a value is written together with its length.

use super::check::too_long;
use super::{DynEncode, IsNull, ParamWriter};
use crate::buffer::WriteBuffer;
use crate::error::EncodeError;
use crate::types::{Format, Type};

/// Where [`Encode::encode_with_length`](super::Encode::encode_with_length) writes a value, its
/// length in front.
///
/// Each method writes one whole value or NULL and takes the writer with it, so that there is
/// neither more nor less of it.
#[derive(Debug)]
#[must_use = "a value or NULL has to be written"]
pub struct ValueWriter<'a> {
    buffer: &'a mut WriteBuffer,
    format: Format,
}

/// One value or NULL has been written, by one of [`ValueWriter`]'s methods.
#[derive(Debug)]
#[must_use = "it is what `encode_with_length` returns"]
pub struct Written(());

/// The bytes of a length.
const LENGTH: usize = 4;

/// The bytes of the longest value whose number of bytes is known at compile time.
const LONGEST: usize = 32;

impl<'a> ValueWriter<'a> {
    /// A writer at the end of `buffer`.
    #[inline]
    pub(super) fn new(buffer: &'a mut WriteBuffer, format: Format) -> Self {
        Self { buffer, format }
    }

    /// The form that the value must have: that of [`ParamWriter::format`].
    #[inline]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Writes the `N` bytes of a value whose type has no other number of them. More than 32
    /// are an error when the program is compiled: [`bytes`](Self::bytes) takes any number.
    ///
    /// ```compile_fail
    /// # use kornak::codec::{ValueWriter, Written};
    /// # use kornak::error::EncodeError;
    /// fn too_long(out: ValueWriter<'_>) -> Result<Written, EncodeError> {
    ///     out.fixed([7; 33])
    /// }
    /// # let used: fn(ValueWriter<'_>) -> _ = too_long;
    /// # std::hint::black_box(used);
    /// ```
    ///
    /// # Errors
    ///
    /// None; it is a `Result` because that is what is returned.
    #[inline]
    pub fn fixed<const N: usize>(self, value: [u8; N]) -> Result<Written, EncodeError> {
        const { assert!(N <= LONGEST, "a fixed value has at most 32 bytes") };
        // All at once, so that room in the buffer is looked for only once.
        let mut bytes = [0; LENGTH + LONGEST];
        bytes[..LENGTH].copy_from_slice(&(N as i32).to_be_bytes());
        bytes[LENGTH..LENGTH + N].copy_from_slice(&value);
        self.buffer.put_slice(&bytes[..LENGTH + N]);
        Ok(Written(()))
    }

    /// Writes a value of any number of bytes.
    ///
    /// # Errors
    ///
    /// If they are more than the 2³¹−1 that the protocol has room for.
    #[inline]
    pub fn bytes(self, value: &[u8]) -> Result<Written, EncodeError> {
        match self.buffer.put_sized(value) {
            Ok(()) => Ok(Written(())),
            Err(error) => Err(too_long(error)),
        }
    }

    /// Writes NULL.
    ///
    /// # Errors
    ///
    /// None; it is a `Result` because that is what is returned.
    #[inline]
    pub fn null(self) -> Result<Written, EncodeError> {
        self.buffer.put_i32(-1);
        Ok(Written(()))
    }

    /// Has [`Encode::encode`](super::Encode::encode) write the value as a `ty`, or as what is
    /// under it where that is a domain, and fills the length in afterwards: what is right for
    /// every value and type.
    ///
    /// # Errors
    ///
    /// Those of [`Encode::encode`](super::Encode::encode).
    // Inlined beside a step of its own, it would cost that registers.
    #[inline(never)]
    pub fn measured<T: DynEncode + ?Sized>(
        self,
        value: &T,
        ty: &Type,
    ) -> Result<Written, EncodeError> {
        let length = self.buffer.begin_length();
        let mut out = ParamWriter::new(self.buffer, self.format);
        match value.encode_dyn(ty.base(), &mut out)? {
            IsNull::No => self.buffer.end_value(length).map_err(too_long)?,
            IsNull::Yes => self.buffer.end_null(length),
        }
        Ok(Written(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(ValueWriter<'_>) -> Result<Written, EncodeError>) -> Vec<u8> {
        let mut buffer = WriteBuffer::default();
        let Written(()) = write(ValueWriter::new(&mut buffer, Format::Binary)).unwrap();
        buffer.pending().to_vec()
    }

    #[test]
    fn values_are_behind_their_lengths() {
        assert_eq!(written(|out| out.fixed([])), [0; 4]);
        let two = written(|out| out.fixed(7_i16.to_be_bytes()));
        assert_eq!(two, [0, 0, 0, 2, 0, 7]);
        let most = written(|out| out.fixed([9; 32]));
        assert_eq!(most, [&[0, 0, 0, 32][..], &[9; 32]].concat());
        assert_eq!(written(|out| out.bytes(b"ab")), [0, 0, 0, 2, b'a', b'b']);
        assert_eq!(written(|out| out.null()), [255; 4]);
    }

    #[test]
    fn what_is_measured_may_be_null() {
        let measured = |value: Option<i32>| written(move |out| out.measured(&value, &Type::INT8));
        assert_eq!(measured(Some(1)), [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(measured(None), [255; 4]);
    }
}
