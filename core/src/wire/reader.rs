//! [`Reader`]: a cursor over the body of one message.

use std::ffi::CStr;
use std::fmt;

use crate::error::{Error, Result};

/// Reads one message from front to back.
///
/// Every method takes what it returns off the front, or returns `None` and takes nothing
/// where the body ends early.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// What is not read yet.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    #[inline]
    pub(super) fn i8(&mut self) -> Option<i8> {
        self.array().map(i8::from_be_bytes)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// A string up to its NUL, which is taken but not returned.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let string = CStr::from_bytes_until_nul(self.rest).ok()?.to_bytes();
        self.rest = &self.rest[string.len() + 1..];
        Some(string)
    }

    /// Nothing may be left over.
    pub(super) fn finish(self, message: &'static str) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(left_over(message, self.rest.len()))
        }
    }
}

/// The body of `message` ends before or inside `field`.
#[cold]
pub(super) fn ends_early(message: &'static str, field: impl fmt::Display) -> Error {
    Error::protocol(format!("{message}: {field} ends early"))
}

/// `field` of `message` has a value that the manual doesn't allow.
#[cold]
pub(super) fn invalid(
    message: &'static str,
    field: impl fmt::Display,
    value: impl fmt::Display,
) -> Error {
    Error::protocol(format!("{message}: {field} can't be {value}"))
}

#[cold]
pub(super) fn left_over(message: &'static str, count: usize) -> Error {
    Error::protocol(format!("{message}: {count} bytes are left over"))
}
