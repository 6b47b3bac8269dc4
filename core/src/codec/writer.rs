//! [`ParamWriter`]: where encoders append.

use super::fixed::SHORT;
use super::{Encode, IsNull, encode_value, out_of_range};
use crate::buffer::{LengthMark, Mark, WriteBuffer};
use crate::error::EncodeError;
use crate::types::{Format, Type};

/// Where one value is written, between the length that is filled in afterwards and
/// whatever comes next.
#[derive(Debug)]
pub struct ParamWriter<'a> {
    buffer: &'a mut WriteBuffer,
    format: Format,
}

macro_rules! number {
    ($($put:ident $number:ident,)*) => {
        $(
            #[doc = concat!("Appends a ", stringify!($number), " in network order.")]
            #[inline]
            pub fn $put(&mut self, value: $number) {
                self.buffer.put_slice(&value.to_be_bytes());
            }
        )*
    };
}

impl<'a> ParamWriter<'a> {
    /// A writer at the end of `buffer`.
    #[inline]
    pub(crate) fn new(buffer: &'a mut WriteBuffer, format: Format) -> Self {
        Self { buffer, format }
    }

    /// The form that the value must have. Text only for a parameter itself; what is inside
    /// of another value is always binary.
    #[inline]
    pub fn format(&self) -> Format {
        self.format
    }

    number! {
        put_u8 u8, put_i8 i8, put_u16 u16, put_i16 i16, put_u32 u32, put_i32 i32,
        put_u64 u64, put_i64 i64, put_f32 f32, put_f64 f64,
    }

    /// Appends bytes as they are.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    /// Appends a value inside of this one, or a NULL, with its length in front.
    ///
    /// # Errors
    ///
    /// If the value can't be written as a `ty`.
    #[inline]
    pub fn value<T: Encode + ?Sized>(&mut self, ty: &Type, value: &T) -> Result<(), EncodeError> {
        encode_value(value, ty, Format::Binary, self.buffer)
    }

    /// Makes room for `additional` bytes ahead of writing them.
    #[inline]
    pub fn reserve(&mut self, additional: usize) {
        self.buffer.reserve(additional);
    }

    /// Appends how many parts follow, for the Rust type `T`.
    pub(super) fn put_count<T: ?Sized>(
        &mut self,
        count: usize,
        ty: &Type,
    ) -> Result<(), EncodeError> {
        match i32::try_from(count) {
            Ok(count) => {
                self.put_i32(count);
                Ok(())
            }
            Err(_) => Err(out_of_range::<T>(ty, format_args!("a count of {count}"))),
        }
    }

    /// Appends a short value inside of this one, or a NULL, with its length in front: what
    /// [`Encode::encode_short`] knows how to write.
    #[inline]
    pub(super) fn put_short<T: Encode + ?Sized>(&mut self, ty: &Type, value: &T) -> Option<IsNull> {
        let room = self.buffer.room(SHORT);
        let count = value.encode_short(ty, Format::Binary, room)?;
        // An empty string takes the same four bytes, but not these.
        let is_null = count == 4 && room.first_chunk() == Some(&(-1_i32).to_be_bytes());
        self.buffer.take_room(count);
        Some(if is_null { IsNull::Yes } else { IsNull::No })
    }

    /// The end of what is written so far.
    #[inline]
    pub(super) fn mark(&self) -> Mark {
        self.buffer.mark()
    }

    /// What was written after `mark`.
    pub(super) fn since(&self, mark: Mark) -> &[u8] {
        self.buffer.since(mark)
    }

    /// Drops what was written after `mark`.
    #[inline]
    pub(super) fn truncate(&mut self, mark: Mark) {
        self.buffer.truncate(mark);
    }

    /// Overwrites the four bytes that lie `offset` bytes behind `mark`.
    #[inline]
    pub(super) fn patch_i32(&mut self, mark: Mark, offset: usize, value: i32) {
        self.buffer.patch_i32(mark.offset(offset), value);
    }

    /// Leaves room for the length of a part that [`end_part`](Self::end_part) ends.
    #[inline]
    pub(super) fn begin_part(&mut self) -> LengthMark {
        self.buffer.begin_length()
    }

    /// Fills in the length of the part begun at `mark`.
    #[inline]
    pub(super) fn end_part(&mut self, mark: LengthMark) -> Result<(), EncodeError> {
        self.buffer.end_value(mark).map_err(super::check::too_long)
    }

    /// Makes the part begun at `mark` a NULL.
    #[inline]
    pub(super) fn end_null_part(&mut self, mark: LengthMark) {
        self.buffer.end_null(mark);
    }
}

/// Text can be written with `write!` and by serializers; it never fails.
impl std::io::Write for ParamWriter<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.put_slice(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.put_slice(bytes);
        Ok(())
    }

    #[inline]
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
