//! How values are written for the server and read from its rows.
//!
//! [`Encode`] appends a value to the write buffer, [`Decode`] borrows one from the row; the
//! type is checked once for a statement, not for each value. One file for each family of
//! PostgreSQL types, and in `ext` one for each foreign crate.
//!
//! # Types of your own
//!
//! Most need no codec: derive [`Encode`](../derive.Encode.html) and
//! [`Decode`](../derive.Decode.html) for enums, composite types and newtypes, and they work
//! wherever the built-in types do, in arrays, ranges, composites, rows, parameters and COPY.
//!
//! What has a binary form that no derive can know takes the two traits by hand. The driver's
//! own types have little else, so that such a codec costs what a built-in one does. It is
//! called directly, once for each value, with the bytes where they lie in the read buffer
//! (`#[inline]` spares the call), and
//! [`Decode::accepts`] is asked once for a statement. Where the length of a value is known before
//! it is written, [`Encode::encode_with_length`] writes both in one step. Any bytes must give a
//! value or an error: read them with a [`Reader`], which can't leave them, and never size an
//! allocation by a number in them ([`Reader::count`] checks it against what is there).
//!
//! ```
//! use kornak::codec::{IsNull, ParamWriter, RawValue, ValueWriter, Written, wrong_encode_type};
//! use kornak::error::{DecodeError, EncodeError};
//! use kornak::row::Scalar;
//! use kornak::{Decode, Encode, Type};
//!
//! /// A place on earth; a `point` in the database, whose binary form is two `float8`
//! /// (`point_send` in the server's `geo_ops.c`).
//! #[derive(Clone, Copy, Debug, PartialEq)]
//! struct Place {
//!     longitude: f64,
//!     latitude: f64,
//! }
//!
//! impl Place {
//!     fn bytes(&self) -> [u8; 16] {
//!         let mut bytes = [0; 16];
//!         bytes[..8].copy_from_slice(&self.longitude.to_be_bytes());
//!         bytes[8..].copy_from_slice(&self.latitude.to_be_bytes());
//!         bytes
//!     }
//! }
//!
//! impl Encode for Place {
//!     #[inline]
//!     fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
//!         if *ty != Type::POINT {
//!             return Err(wrong_encode_type::<Self>(ty));
//!         }
//!         out.put_slice(&self.bytes());
//!         Ok(IsNull::No)
//!     }
//!
//!     // The same in one step with the length of 16.
//!     #[inline]
//!     fn encode_with_length(
//!         &self,
//!         ty: &Type,
//!         out: ValueWriter<'_>,
//!     ) -> Result<Written, EncodeError> {
//!         if *ty != Type::POINT {
//!             return out.measured(self, ty);
//!         }
//!         out.fixed(self.bytes())
//!     }
//! }
//!
//! impl<'r> Decode<'r> for Place {
//!     // So a row looks for just that first.
//!     const USUAL_LENGTH: Option<usize> = Some(16);
//!
//!     fn accepts(ty: &Type) -> bool {
//!         *ty == Type::POINT
//!     }
//!
//!     #[inline]
//!     fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
//!         let mut reader = value.reader();
//!         let (longitude, latitude) = (reader.f64()?, reader.f64()?);
//!         reader.finish()?;
//!         if !(-90.0..=90.0).contains(&latitude) {
//!             return Err(value.error::<Self>("its latitude is not within 90 degrees"));
//!         }
//!         Ok(Self { longitude, latitude })
//!     }
//! }
//!
//! // It may be fetched alone, as a row of one column.
//! impl Scalar for Place {}
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> kornak::Result<()> {
//! # let url = xtask::server::Server::for_tests().url();
//! # let mut connection = kornak::Connection::connect(&url).await?;
//! let home = Place { longitude: 76.95, latitude: 8.5 };
//! let moved: Place = connection.fetch_one("select $1::point + point(1, 1)", (home,)).await?;
//! assert_eq!(moved, Place { longitude: 77.95, latitude: 9.5 });
//!
//! // Arrays, NULL and the rest come by themselves.
//! let (all, none): (Vec<Place>, Option<Place>) = connection
//!     .fetch_one("select array[$1, $2]::point[], null::point", (home, moved))
//!     .await?;
//! assert_eq!(all, [home, moved]);
//! assert_eq!(none, None);
//!
//! let wrong: kornak::Result<Place> = connection.fetch_one("select point(1, 91) as p", ()).await;
//! assert_eq!(
//!     wrong.unwrap_err().to_string().lines().next(),
//!     Some("column \"p\": can't read PostgreSQL point into a Rust Place: \
//!           its latitude is not within 90 degrees"),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! A value of any length whose bytes are there already, such as a text, is written in one step
//! too, by [`ValueWriter::bytes`] or by what does that for what is inside:
//!
//! ```
//! use kornak::codec::{
//!     DeclaredType, IsNull, ParamWriter, ValueWriter, Written, rust_name, wrong_encode_type,
//! };
//! use kornak::error::EncodeError;
//! use kornak::types::oid;
//! use kornak::{Encode, Type};
//!
//! /// A `bytea`.
//! struct Photo(Vec<u8>);
//!
//! impl Encode for Photo {
//!     const DECLARED: DeclaredType = DeclaredType::Oid(oid::BYTEA);
//!
//!     #[inline]
//!     fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
//!         if *ty != Type::BYTEA {
//!             return Err(wrong_encode_type::<Self>(ty));
//!         }
//!         out.put_slice(&self.0);
//!         Ok(IsNull::No)
//!     }
//!
//!     #[inline]
//!     fn encode_with_length(
//!         &self,
//!         ty: &Type,
//!         out: ValueWriter<'_>,
//!     ) -> Result<Written, EncodeError> {
//!         if *ty != Type::BYTEA {
//!             return out.measured(self, ty);
//!         }
//!         out.bytes(&self.0)
//!     }
//! }
//!
//! /// A string that is only known in capitals.
//! struct Country([u8; 2]);
//!
//! impl Country {
//!     fn as_str(&self) -> &str {
//!         std::str::from_utf8(&self.0).unwrap_or("??")
//!     }
//! }
//!
//! impl Encode for Country {
//!     const DECLARED: DeclaredType = DeclaredType::Text;
//!
//!     #[inline]
//!     fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
//!         let written = self.as_str().encode(ty, out);
//!         written.map_err(|error| error.with_rust_type(rust_name::<Self>()))
//!     }
//!
//!     #[inline]
//!     fn encode_with_length(
//!         &self,
//!         ty: &Type,
//!         out: ValueWriter<'_>,
//!     ) -> Result<Written, EncodeError> {
//!         let written = self.as_str().encode_with_length(ty, out);
//!         written.map_err(|error| error.with_rust_type(rust_name::<Self>()))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> kornak::Result<()> {
//! # let url = xtask::server::Server::for_tests().url();
//! # let mut connection = kornak::Connection::connect(&url).await?;
//! let (bytes, text): (i32, String) = connection
//!     .fetch_one("select length($1::bytea), lower($2)", (Photo(vec![1, 2, 3]), Country(*b"IN")))
//!     .await?;
//! assert_eq!((bytes, text.as_str()), (3, "in"));
//! # Ok(())
//! # }
//! ```
//!
//! A type that isn't built in is known by its name, because its OID differs from database to
//! database: `ty.name() == "geography"`, and [`Type::schema`] where that matters.
//!
//! To read or write a built-in type in another way, give it a newtype with a codec of its
//! own. The one inside can be called for the rest:
//!
//! ```
//! use kornak::codec::{RawValue, rust_name};
//! use kornak::error::DecodeError;
//! use kornak::row::Scalar;
//! use kornak::{Decode, Type};
//!
//! /// What an old table says with `'Y'` and `'N'`.
//! #[derive(Debug, PartialEq)]
//! struct YesNo(bool);
//!
//! impl<'r> Decode<'r> for YesNo {
//!     fn accepts(ty: &Type) -> bool {
//!         <&str>::accepts(ty)
//!     }
//!
//!     #[inline]
//!     fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
//!         match <&str>::decode(value).map_err(|e| e.with_rust_type(rust_name::<Self>()))? {
//!             "Y" => Ok(Self(true)),
//!             "N" => Ok(Self(false)),
//!             other => Err(value.error::<Self>(format!("{other:?} is neither \"Y\" nor \"N\""))),
//!         }
//!     }
//! }
//!
//! impl Scalar for YesNo {}
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> kornak::Result<()> {
//! # let url = xtask::server::Server::for_tests().url();
//! # let mut connection = kornak::Connection::connect(&url).await?;
//! let paid: Vec<YesNo> = connection.fetch_one("select '{Y,N}'::char(1)[]", ()).await?;
//! assert_eq!(paid, [YesNo(true), YesNo(false)]);
//! # Ok(())
//! # }
//! ```
//!
//! The layer knows nothing of the protocol. The forms of the values are those of the
//! server's send and receive functions (`src/backend/utils/adt/` in its sources).

// What is not in nearly every program is `#[inline]`, private functions too: it is compiled by
// those that use it.
mod array;
mod array_writer;
mod bits;
mod boolean;
mod bytea;
mod catalogue;
mod check;
mod composite;
mod cube;
mod custom;
mod datetime;
mod ext;
mod fixed;
mod float;
mod float_text;
mod geometry;
mod hstore;
mod integer;
mod json;
mod money;
mod network;
mod numeric;
mod quote;
mod range;
mod raw;
mod reader;
mod record;
mod shaped_array;
mod system;
#[cfg(test)]
mod tests;
mod text;
mod text_array;
mod text_search;
mod uuid;
mod value;
mod value_writer;
mod vector;
mod wrapper;
mod writer;

use std::fmt;

use crate::buffer::WriteBuffer;
use crate::error::{DecodeError, EncodeError};
use crate::types::{Format, Type};

pub use self::array::{ArrayElements, MAX_DIMENSIONS};
pub use self::array_writer::ArrayWriter;
pub use self::bits::{BitString, ParseBitStringError};
pub use self::catalogue::{Cid, Int2Vector, OidVector, Xid};
pub use self::check::{
    missing_binary_form, out_of_range, rust_name, type_hint, wrong_decode_type, wrong_encode_type,
};
pub use self::check::{read_as, written_as};
pub use self::composite::{
    CompositeFields, CompositeReader, DecodeField, EncodeField, encode_composite,
};
pub use self::cube::{Cube, ParseCubeError};
pub use self::custom::{TypeName, check_enum, encode_label, unknown_label};
pub use self::datetime::{
    Date, Interval, ParseDateTimeError, Time, TimeTz, Timestamp, TimestampTz,
};
#[cfg(feature = "with-serde_json-1")]
pub use self::ext::serde_json_1::Json;
pub(crate) use self::fixed::SHORT;
pub use self::geometry::{
    Circle, Line, LineSegment, ParseShapeError, Path, Point, Polygon, Rectangle,
};
pub use self::hstore::{Hstore, ParseHstoreError};
pub use self::json::RawJson;
pub use self::money::Money;
pub use self::network::{Cidr, Inet, MacAddr, MacAddr8, ParseNetworkError};
pub use self::numeric::{Numeric, ParseNumericError};
pub use self::range::{Multirange, ParseRangeError, Range};
pub use self::raw::RawValue;
pub use self::reader::Reader;
pub use self::shaped_array::{Array, ArrayShapeError, Dimension};
pub use self::system::{Lsn, ParseLsnError, ParseSnapshotError, ParseTidError, Snapshot, Tid};
pub use self::text::is_text_in_binary;
pub use self::text_search::{
    Lexeme, LexemePosition, LexemeWeight, ParseTextSearchError, TsQuery, TsQueryItem, TsVector,
};
pub use self::uuid::{ParseUuidError, Uuid};
pub use self::value::{Opaque, Record, RecordField, Value};
pub use self::value_writer::{ValueWriter, Written};
pub use self::vector::{HalfVector, ParseVectorError, SparseVector, Vector};
pub use self::writer::ParamWriter;

/// How the type of a parameter reaches the server.
///
/// The manual's section "Message Flow", "Extended Query": a parameter whose declared OID is
/// 0 gets its type from the context it is used in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeclaredType {
    /// The type with this OID is declared when the statement is parsed.
    Oid(u32),
    /// Nothing is declared and the value goes as text, so that the server infers the type.
    Text,
    /// Nothing is declared; the server is asked for the type before the value is written.
    Described,
}

/// Whether an encoder has written NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a NULL has no bytes; who wrote the length must know"]
pub enum IsNull {
    /// The value is NULL; what was written for it is dropped.
    Yes,
    /// The value is what was written, be it empty.
    No,
}

/// A value that can be a parameter.
///
/// # Example
///
/// A codec of one's own for `point`, whose binary form is two `float8`:
///
/// ```
/// use kornak::codec::{IsNull, ParamWriter, wrong_encode_type};
/// use kornak::error::EncodeError;
/// use kornak::{Encode, Type};
///
/// struct Place { longitude: f64, latitude: f64 }
///
/// impl Encode for Place {
///     fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
///         if *ty != Type::POINT {
///             return Err(wrong_encode_type::<Self>(ty));
///         }
///         out.put_f64(self.longitude);
///         out.put_f64(self.latitude);
///         Ok(IsNull::No)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a parameter",
    note = "numbers, strings, `Vec`s and `Option`s of them and many more implement `Encode`; \
            types of other crates need a feature such as `with-uuid-1`",
    note = "derive `kornak::Encode` for enums, composites and newtypes of your own"
)]
pub trait Encode {
    /// How the parameter's type reaches the server. `Option<T>` has that of `T`, so that a
    /// NULL is declared like a value.
    const DECLARED: DeclaredType = DeclaredType::Described;

    /// Writes the value as a `ty`, in the form that [`ParamWriter::format`] says, without
    /// its length. `ty` is never a domain.
    ///
    /// # Errors
    ///
    /// If the value can't be written as a `ty`. What was written so far is dropped.
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError>;

    /// Writes the value as a `ty`, or NULL, together with its length.
    ///
    /// What is provided is right for every value: [`ValueWriter::measured`] has
    /// [`encode`](Self::encode) write it and fills the length in afterwards. Where the length is
    /// known before the value is written, one step does both for a fraction of the instructions:
    /// [`ValueWriter::fixed`] for a few bytes, [`ValueWriter::bytes`] for any, or this function
    /// of a value inside, such as a string. It must write what `encode` writes. Here `ty` may be
    /// a domain: leave all but the usual types to `measured`, which looks through them.
    ///
    /// ```
    /// # use kornak::codec::{IsNull, ParamWriter, ValueWriter, Written, wrong_encode_type};
    /// # use kornak::error::EncodeError;
    /// # use kornak::{Encode, Type};
    /// struct Pieces(i32);
    ///
    /// impl Encode for Pieces {
    ///     #[inline]
    ///     fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
    ///         if *ty != Type::INT4 {
    ///             return Err(wrong_encode_type::<Self>(ty));
    ///         }
    ///         out.put_i32(self.0);
    ///         Ok(IsNull::No)
    ///     }
    ///
    ///     #[inline]
    ///     fn encode_with_length(
    ///         &self,
    ///         ty: &Type,
    ///         out: ValueWriter<'_>,
    ///     ) -> Result<Written, EncodeError> {
    ///         if *ty != Type::INT4 {
    ///             return out.measured(self, ty);
    ///         }
    ///         out.fixed(self.0.to_be_bytes())
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the value can't be written as a `ty`.
    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        out.measured(self, ty)
    }

    /// Writes the value behind its length to the front of `room`, as [`encode_value`] appends
    /// it, and returns how many bytes it took; `ty` may be a domain. `None`, as for all values
    /// unless this is implemented, if it isn't short, or has to be looked at more closely.
    #[doc(hidden)]
    #[inline]
    fn encode_short(&self, ty: &Type, format: Format, room: &mut [u8]) -> Option<usize> {
        let _ = (ty, format, room);
        None
    }

    /// How many dimensions of an array `Self` takes up.
    #[doc(hidden)]
    const DIMENSIONS: usize = 0;

    /// Shows the value as the server does, where `Display` alone shows it in another way.
    #[doc(hidden)]
    fn fmt_as_server(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result
    where
        Self: fmt::Display,
    {
        fmt::Display::fmt(self, f)
    }

    /// Writes the value as an element of an array, or a row of it.
    #[doc(hidden)]
    #[inline]
    fn encode_element(&self, array: &mut ArrayWriter<'_, '_, '_>) -> Result<(), EncodeError> {
        array.element(self)
    }
}

/// The form of [`Encode`] that can be a trait object: `&[&(dyn DynEncode + Sync)]`.
///
/// Every [`Encode`] is one; implement that.
pub trait DynEncode {
    /// [`Encode::DECLARED`].
    fn declared(&self) -> DeclaredType;

    /// [`Encode::encode`].
    ///
    /// # Errors
    ///
    /// Those of [`Encode::encode`].
    fn encode_dyn(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError>;

    /// [`Encode::encode_with_length`].
    ///
    /// # Errors
    ///
    /// Those of [`Encode::encode_with_length`].
    fn encode_with_length_dyn(
        &self,
        ty: &Type,
        out: ValueWriter<'_>,
    ) -> Result<Written, EncodeError> {
        out.measured(self, ty)
    }
}

impl<T: Encode + ?Sized> DynEncode for T {
    #[inline]
    fn declared(&self) -> DeclaredType {
        T::DECLARED
    }

    #[inline]
    fn encode_dyn(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        self.encode(ty, out)
    }

    #[inline]
    fn encode_with_length_dyn(
        &self,
        ty: &Type,
        out: ValueWriter<'_>,
    ) -> Result<Written, EncodeError> {
        self.encode_with_length(ty, out)
    }
}

/// A value that can be read from a column.
///
/// `'r` is the life of the row's bytes: `&'r str` borrows them, `String` copies.
///
/// # Example
///
/// A codec of one's own for `point`, whose binary form is two `float8`:
///
/// ```
/// use kornak::codec::RawValue;
/// use kornak::error::DecodeError;
/// use kornak::types::Format;
/// use kornak::{Decode, Type};
///
/// #[derive(Debug, PartialEq)]
/// struct Place { longitude: f64, latitude: f64 }
///
/// impl<'r> Decode<'r> for Place {
///     fn accepts(ty: &Type) -> bool {
///         *ty == Type::POINT
///     }
///
///     fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
///         let mut reader = value.reader();
///         let place = Place { longitude: reader.f64()?, latitude: reader.f64()? };
///         reader.finish()?;
///         Ok(place)
///     }
/// }
///
/// let bytes = [1.5_f64.to_be_bytes(), 2.5_f64.to_be_bytes()].concat();
/// let value = RawValue::new(&bytes, &Type::POINT, Format::Binary);
/// assert_eq!(Place::decode(value)?, Place { longitude: 1.5, latitude: 2.5 });
/// # Ok::<(), DecodeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be read from a column",
    note = "numbers, strings, `Vec`s and `Option`s of them and many more implement `Decode`; \
            types of other crates need a feature such as `with-uuid-1`",
    note = "derive `kornak::Decode` for enums, composites and newtypes of your own"
)]
pub trait Decode<'r>: Sized {
    /// How many bytes the values take, where nearly all take as many: such a column of a row is
    /// then found by one comparison. Values of other lengths are handed to
    /// [`decode`](Self::decode) all the same.
    const USUAL_LENGTH: Option<usize> = None;

    /// Whether values of type `ty`, in binary form, can be read into `Self`. Asked once for
    /// a statement, not for each value. `ty` is never a domain.
    fn accepts(ty: &Type) -> bool;

    /// Whether values of type `ty` in text form can be read into `Self`: the types that
    /// have no binary form come like this.
    fn accepts_text(_ty: &Type) -> bool {
        false
    }

    /// Reads the value.
    ///
    /// May assume that [`accepts`](Self::accepts) held for the type in binary form, or
    /// [`accepts_text`](Self::accepts_text) in text form; any bytes must give a value or an
    /// error.
    ///
    /// # Errors
    ///
    /// If the bytes are not a value of the type, or the value has no place in `Self`.
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError>;

    /// Reads a NULL of type `ty`.
    ///
    /// # Errors
    ///
    /// Unless `Self` has room for it, as `Option` has.
    #[cold]
    fn decode_null(ty: &Type) -> Result<Self, DecodeError> {
        Err(DecodeError::null().with_types(ty, rust_name::<Self>()))
    }

    /// Says why [`accepts`](Self::accepts) is false, if it is.
    #[doc(hidden)]
    fn check_type(ty: &Type) -> Result<(), DecodeError> {
        if Self::accepts(ty) {
            Ok(())
        } else {
            Err(wrong_decode_type::<Self>(ty))
        }
    }

    /// Whether arrays over `ty` can be read into `Vec<Self>`; differs from
    /// [`accepts`](Self::accepts) where `Self` is a dimension itself.
    #[doc(hidden)]
    fn accepts_element(ty: &Type) -> bool {
        Self::accepts(ty)
    }

    /// [`accepts_element`](Self::accepts_element) of arrays in text form.
    #[doc(hidden)]
    fn accepts_text_element(ty: &Type) -> bool {
        Self::accepts_text(ty)
    }

    /// Reads the value from its text form, where that doesn't lie in the row as it is: an
    /// element of an array that has a quote or a backslash in it.
    #[doc(hidden)]
    fn decode_text(text: String, ty: &Type) -> Result<Self, DecodeError> {
        let _ = text;
        Err(check::not_borrowable::<Self>(ty))
    }

    /// How many dimensions of an array `Self` takes up.
    #[doc(hidden)]
    const DIMENSIONS: usize = 0;

    /// Reads one row of an array's last dimensions.
    #[doc(hidden)]
    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        elements.decode_each()
    }
}

/// Writes a value or NULL with its length in front.
///
/// The format of a parameter is text where it declares itself so, or where its type has no
/// binary form: [`parameter_format`].
///
/// # Errors
///
/// If the value can't be written as a `ty`; what was written of it stays, and the caller
/// truncates to its own mark.
#[inline]
pub fn encode_value<T: DynEncode + ?Sized>(
    value: &T,
    ty: &Type,
    format: Format,
    out: &mut WriteBuffer,
) -> Result<(), EncodeError> {
    value
        .encode_with_length_dyn(ty, ValueWriter::new(out, format))
        .map(drop)
}

/// The format in which a parameter that is declared so is written as a `ty`.
#[inline]
pub fn parameter_format(declared: DeclaredType, ty: &Type) -> Format {
    match declared {
        DeclaredType::Oid(_) => Format::Binary,
        DeclaredType::Text => Format::Text,
        DeclaredType::Described if ty.has_binary_input() => Format::Binary,
        DeclaredType::Described => Format::Text,
    }
}

/// Whether columns of type `ty` that arrive in `format` can be read into `T`.
pub fn accepts<'r, T: Decode<'r>>(ty: &Type, format: Format) -> bool {
    match format {
        Format::Binary => T::accepts(ty.base()),
        Format::Text => T::accepts_text(ty.base()),
    }
}

/// Reads a value, or NULL where there are no bytes. `ty` is not a domain, and `T`
/// [`accepts`] it.
///
/// # Errors
///
/// Those of [`Decode::decode`] and [`Decode::decode_null`].
#[inline]
pub fn decode_value<'r, T: Decode<'r>>(
    bytes: Option<&'r [u8]>,
    ty: &Type,
    format: Format,
) -> Result<T, DecodeError> {
    match bytes {
        Some(bytes) => T::decode(RawValue::new(bytes, ty, format)),
        None => T::decode_null(ty),
    }
}
