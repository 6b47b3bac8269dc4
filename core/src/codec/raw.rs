//! [`RawValue`]: one value as the server sent it.

use super::reader::Reader;
use super::{check, rust_name};
use crate::error::DecodeError;
use crate::types::{Format, Type};

/// One value that is not NULL, as the server sent it: bytes, type and format.
#[derive(Clone, Copy, Debug)]
pub struct RawValue<'r, 't> {
    bytes: &'r [u8],
    ty: &'t Type,
    format: Format,
}

impl<'r, 't> RawValue<'r, 't> {
    /// A value of type `ty`, which is not a domain.
    #[inline]
    pub fn new(bytes: &'r [u8], ty: &'t Type, format: Format) -> Self {
        Self { bytes, ty, format }
    }

    /// The bytes, without the length.
    #[inline]
    pub fn bytes(&self) -> &'r [u8] {
        self.bytes
    }

    /// The type.
    #[inline]
    pub fn ty(&self) -> &'t Type {
        self.ty
    }

    /// The form of the bytes.
    #[inline]
    pub fn format(&self) -> Format {
        self.format
    }

    /// A cursor over the bytes, for values of several parts.
    #[inline]
    pub fn reader(&self) -> Reader<'r> {
        Reader::new(self.bytes)
    }

    /// The bytes, of which there must be `N`.
    ///
    /// # Errors
    ///
    /// If there are more or fewer; the error names the types, `T` the one that is read into.
    #[inline]
    pub fn fixed<T, const N: usize>(&self) -> Result<[u8; N], DecodeError> {
        match self.bytes.try_into() {
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(self.wrong_length::<T>(N)),
        }
    }

    /// The value can't be read because of what `message` says.
    #[cold]
    pub fn error<T>(&self, message: impl Into<std::borrow::Cow<'static, str>>) -> DecodeError {
        DecodeError::new(message).with_types(self.ty, rust_name::<T>())
    }

    #[cold]
    fn wrong_length<T>(&self, wanted: usize) -> DecodeError {
        check::wrong_length::<T>(self.ty, wanted, self.bytes.len())
    }
}
