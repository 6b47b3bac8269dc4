//! Codecs as an application writes them, beside the built-in ones of the same types.

use kornak::Type;
use kornak::codec::{
    DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue, ValueWriter, Written, rust_name,
    wrong_encode_type,
};
use kornak::error::{DecodeError, EncodeError};
use kornak::types::oid;

/// What the documentation shows as a codec of one's own.
#[derive(Debug)]
pub struct Place {
    /// The first coordinate.
    pub longitude: f64,
    /// The second one.
    pub latitude: f64,
}

impl Place {
    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.longitude.to_be_bytes());
        bytes[8..].copy_from_slice(&self.latitude.to_be_bytes());
        bytes
    }
}

impl Encode for Place {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if *ty != Type::POINT {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_slice(&self.bytes());
        Ok(IsNull::No)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        if *ty != Type::POINT {
            return out.measured(self, ty);
        }
        out.fixed(self.bytes())
    }
}

impl<'r> Decode<'r> for Place {
    const USUAL_LENGTH: Option<usize> = Some(16);

    fn accepts(ty: &Type) -> bool {
        *ty == Type::POINT
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let place = Self {
            longitude: reader.f64()?,
            latitude: reader.f64()?,
        };
        reader.finish()?;
        Ok(place)
    }
}

/// A number.
#[derive(Debug)]
pub struct Pieces(pub i32);

impl Encode for Pieces {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::INT4 {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_i32(self.0);
        Ok(IsNull::No)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        if ty.oid() != oid::INT4 {
            return out.measured(self, ty);
        }
        out.fixed(self.0.to_be_bytes())
    }
}

impl<'r> Decode<'r> for Pieces {
    const USUAL_LENGTH: Option<usize> = Some(4);

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::INT4
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(Self(i32::from_be_bytes(value.fixed::<Self, 4>()?)))
    }
}

/// A text: a `&str` or a `String`.
#[derive(Debug)]
pub struct Name<T>(pub T);

impl<T: AsRef<str>> Encode for Name<T> {
    const DECLARED: DeclaredType = DeclaredType::Text;

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        let text = self.0.as_ref().encode(ty, out);
        text.map_err(|error| error.with_rust_type(rust_name::<Self>()))
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        let text = self.0.as_ref().encode_with_length(ty, out);
        text.map_err(|error| error.with_rust_type(rust_name::<Self>()))
    }
}

impl<'r, T: From<&'r str>> Decode<'r> for Name<T> {
    fn accepts(ty: &Type) -> bool {
        <&str>::accepts(ty)
    }

    fn accepts_text(ty: &Type) -> bool {
        <&str>::accepts_text(ty)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        match <&str>::decode(value) {
            Ok(text) => Ok(Self(text.into())),
            Err(error) => Err(error.with_rust_type(rust_name::<Self>())),
        }
    }
}

/// A `bytea`: a `&[u8]` or a `Vec<u8>`.
#[derive(Debug)]
pub struct Photo<T>(pub T);

impl<T: AsRef<[u8]>> Encode for Photo<T> {
    const DECLARED: DeclaredType = DeclaredType::Oid(oid::BYTEA);

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::BYTEA {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_slice(self.0.as_ref());
        Ok(IsNull::No)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        if ty.oid() != oid::BYTEA {
            return out.measured(self, ty);
        }
        out.bytes(self.0.as_ref())
    }
}

impl<'r, T: From<&'r [u8]>> Decode<'r> for Photo<T> {
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::BYTEA
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(Self(value.bytes().into()))
    }
}
