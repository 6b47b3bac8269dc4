//! What the server asks for before it lets a client in.

use crate::error::Result;
use crate::wire::reader::{Reader, ends_early, invalid};

/// An authentication request, or the end of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// The client is in.
    Ok,
    /// Kerberos V5, which no supported server asks for.
    KerberosV5,
    /// The password itself.
    CleartextPassword,
    /// The password, hashed with MD5 and this salt.
    Md5Password {
        /// The salt of this connection.
        salt: [u8; 4],
    },
    /// GSSAPI.
    Gss,
    /// More of GSSAPI or SSPI.
    GssContinue(&'a [u8]),
    /// SSPI.
    Sspi,
    /// SASL, by one of these mechanisms.
    Sasl(SaslMechanisms<'a>),
    /// A challenge of the mechanism.
    SaslContinue(&'a [u8]),
    /// The last word of the mechanism.
    SaslFinal(&'a [u8]),
    /// A request that this driver doesn't know.
    Unknown(i32),
}

impl<'a> Authentication<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that ends early, or goes on after what its request has.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let request = reader
            .i32()
            .ok_or_else(|| ends_early(MESSAGE, "the request"))?;
        let this = match request {
            0 => Self::Ok,
            2 => Self::KerberosV5,
            3 => Self::CleartextPassword,
            5 => Self::Md5Password {
                salt: reader
                    .array()
                    .ok_or_else(|| ends_early(MESSAGE, "the salt"))?,
            },
            7 => Self::Gss,
            8 => return Ok(Self::GssContinue(reader.rest())),
            9 => Self::Sspi,
            10 => return SaslMechanisms::parse(reader).map(Self::Sasl),
            11 => return Ok(Self::SaslContinue(reader.rest())),
            12 => return Ok(Self::SaslFinal(reader.rest())),
            unknown => return Ok(Self::Unknown(unknown)),
        };
        reader.finish(MESSAGE)?;
        Ok(this)
    }
}

/// The names of the SASL mechanisms that the server offers, the one it prefers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaslMechanisms<'a> {
    /// Names with their NULs, without the empty one that ends the list.
    names: &'a [u8],
}

impl<'a> SaslMechanisms<'a> {
    fn parse(mut reader: Reader<'a>) -> Result<Self> {
        let list = reader.rest();
        loop {
            let name = reader
                .string()
                .ok_or_else(|| ends_early(MESSAGE, "the list of SASL mechanisms"))?;
            if name.is_empty() {
                break;
            }
        }
        let names = &list[..list.len() - reader.rest().len() - 1];
        if names.is_empty() {
            return Err(invalid(MESSAGE, "the list of SASL mechanisms", "empty"));
        }
        reader.finish(MESSAGE)?;
        Ok(Self { names })
    }

    /// The names, in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader::new(self.names);
        std::iter::from_fn(move || reader.string())
    }
}

const MESSAGE: &str = "Authentication";
