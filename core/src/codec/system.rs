//! Types of the system itself: `pg_lsn`, `tid`, `xid8`, `pg_snapshot`, and the nothing that
//! functions without a result return, `void` (`pg_lsn.c`, `tid.c`, `xid8funcs.c`).

use std::fmt;
use std::str::FromStr;

use super::fixed::encode_fixed;
use super::{ArrayElements, Decode, Encode, IsNull, ParamWriter, RawValue, ValueWriter, Written};
use super::{array, out_of_range, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

/// A `pg_lsn`: a place in the write-ahead log, as its distance from the start in bytes.
///
/// # Example
///
/// ```
/// use kornak::codec::Lsn;
///
/// let lsn: Lsn = "16/B374D848".parse()?;
/// assert_eq!(lsn, Lsn(0x16_b374_d848));
/// assert_eq!(lsn.to_string(), "16/B374D848");
/// # Ok::<(), kornak::codec::ParseLsnError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// A text is not a place in the write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseLsnError;

/// A `tid`: where a row lies in its table.
///
/// # Example
///
/// ```
/// use kornak::codec::Tid;
///
/// let tid = Tid { block: 7, offset: 1 };
/// assert_eq!(tid.to_string(), "(7,1)");
/// assert_eq!("(7,1)".parse(), Ok(tid));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tid {
    /// The number of the block.
    pub block: u32,
    /// The number of the row's pointer in the block, from 1.
    pub offset: u16,
}

/// A text is no place of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseTidError;

/// A `pg_snapshot` or `txid_snapshot`: which transactions were over at a moment.
///
/// # Example
///
/// ```
/// use kornak::codec::Snapshot;
///
/// let snapshot: Snapshot = "10:20:10,14,15".parse()?;
/// assert_eq!(snapshot.in_progress, [10, 14, 15]);
/// # Ok::<(), kornak::codec::ParseSnapshotError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The first transaction that was still running; all before it were over.
    pub xmin: u64,
    /// The first transaction that had not begun.
    pub xmax: u64,
    /// Those between the two that were running, in ascending order.
    pub in_progress: Vec<u64>,
}

/// A text is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseSnapshotError;

/// As the server prints it.
impl fmt::Display for Lsn {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// Reads two hexadecimal numbers with a slash between them.
impl FromStr for Lsn {
    type Err = ParseLsnError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseLsnError> {
        let half = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !digits || text.len() > 8 {
                return Err(ParseLsnError);
            }
            u64::from_str_radix(text, 16).map_err(|_| ParseLsnError)
        };
        let (high, low) = text.split_once('/').ok_or(ParseLsnError)?;
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

impl fmt::Display for ParseLsnError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a place in the write-ahead log is two hexadecimal numbers with a slash")
    }
}

impl std::error::Error for ParseLsnError {}

/// As the server prints it.
impl fmt::Display for Tid {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.block, self.offset)
    }
}

/// Reads what `Display` prints.
impl FromStr for Tid {
    type Err = ParseTidError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseTidError> {
        let inside = text
            .strip_prefix('(')
            .and_then(|text| text.strip_suffix(')'));
        let (block, offset) = inside
            .and_then(|inside| inside.split_once(','))
            .ok_or(ParseTidError)?;
        Ok(Self {
            block: parse_digits(block).ok_or(ParseTidError)?,
            offset: parse_digits(offset).ok_or(ParseTidError)?,
        })
    }
}

impl fmt::Display for ParseTidError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the place of a row is written like (7,1): its block, and its number there")
    }
}

impl std::error::Error for ParseTidError {}

/// As the server prints it.
impl fmt::Display for Snapshot {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (index, xid) in self.in_progress.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{xid}")?;
        }
        Ok(())
    }
}

/// Reads what `Display` prints. Whether the numbers ascend is left to the server.
impl FromStr for Snapshot {
    type Err = ParseSnapshotError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseSnapshotError> {
        let mut parts = text.splitn(3, ':');
        let mut number = || {
            parts
                .next()
                .and_then(parse_digits)
                .ok_or(ParseSnapshotError)
        };
        let (xmin, xmax) = (number()?, number()?);
        let in_progress = match parts.next().ok_or(ParseSnapshotError)? {
            "" => Vec::new(),
            list => list
                .split(',')
                .map(|xid| parse_digits(xid).ok_or(ParseSnapshotError))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            xmin,
            xmax,
            in_progress,
        })
    }
}

impl fmt::Display for ParseSnapshotError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a snapshot is written like 10:20:10,14: xmin, xmax, and what was in progress")
    }
}

impl std::error::Error for ParseSnapshotError {}

/// A number without a sign.
fn parse_digits<N: FromStr>(text: &str) -> Option<N> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

encode_fixed!(Lsn, PG_LSN, Described, Lsn::bytes);

impl Lsn {
    #[inline]
    fn bytes(&self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl<'r> Decode<'r> for Lsn {
    const USUAL_LENGTH: Option<usize> = Some(8);

    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::PG_LSN
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(Self(u64::from_be_bytes(value.fixed::<Self, 8>()?)))
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, |bytes| Self(u64::from_be_bytes(bytes)))
    }
}

/// `xid8`, or an integer type if the value fits.
impl Encode for u64 {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() == oid::XID8 {
            out.put_u64(*self);
            return Ok(IsNull::No);
        }
        match i64::try_from(*self) {
            Ok(number) => match number.encode(ty, out) {
                Ok(is_null) => Ok(is_null),
                Err(_) if i64::accepts(ty) || u32::accepts(ty) => {
                    Err(out_of_range::<Self>(ty, self))
                }
                Err(_) => Err(wrong_encode_type::<Self>(ty)),
            },
            Err(_) => Err(out_of_range::<Self>(ty, self)),
        }
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        if ty.oid() != oid::XID8 {
            return out.measured(self, ty);
        }
        out.fixed(self.to_be_bytes())
    }
}

/// `xid8`.
impl<'r> Decode<'r> for u64 {
    const USUAL_LENGTH: Option<usize> = Some(8);

    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::XID8
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(u64::from_be_bytes(value.fixed::<Self, 8>()?))
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, u64::from_be_bytes)
    }
}

encode_fixed!(Tid, TID, Described, Tid::bytes);

impl Tid {
    #[inline]
    fn bytes(&self) -> [u8; 6] {
        let mut bytes = [0; 6];
        bytes[..4].copy_from_slice(&self.block.to_be_bytes());
        bytes[4..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }
}

impl<'r> Decode<'r> for Tid {
    const USUAL_LENGTH: Option<usize> = Some(6);

    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::TID
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let this = Self {
            block: reader.u32()?,
            offset: reader.u16()?,
        };
        reader.finish()?;
        Ok(this)
    }
}

#[inline]
fn is_snapshot(ty: &Type) -> bool {
    matches!(ty.oid(), oid::PG_SNAPSHOT | oid::TXID_SNAPSHOT)
}

impl Encode for Snapshot {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if !is_snapshot(ty) {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_count::<Self>(self.in_progress.len(), ty)?;
        out.put_u64(self.xmin);
        out.put_u64(self.xmax);
        for &xid in &self.in_progress {
            out.put_u64(xid);
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for Snapshot {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        is_snapshot(ty)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let count = reader.count(8)?;
        let (xmin, xmax) = (reader.u64()?, reader.u64()?);
        let in_progress = (0..count)
            .map(|_| reader.u64())
            .collect::<Result<_, DecodeError>>()?;
        reader.finish()?;
        Ok(Self {
            xmin,
            xmax,
            in_progress,
        })
    }
}

/// The nothing that a function takes which is declared with `void`.
impl Encode for () {
    #[inline]
    fn encode(&self, ty: &Type, _: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::VOID {
            return Err(wrong_encode_type::<Self>(ty));
        }
        Ok(IsNull::No)
    }
}

/// The result of a function that returns `void`.
impl<'r> Decode<'r> for () {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::VOID
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let [] = value.fixed::<Self, 0>()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, refuses_to_read, refuses_to_write, writes};

    #[test]
    fn system_types_have_the_servers_bytes_and_text() {
        check(&Type::PG_LSN, Lsn(0x16_b374_d848), "00000016b374d848");
        check(&Type::PG_LSN, Lsn(u64::MAX), "ffffffffffffffff");
        assert_eq!(Lsn(u64::MAX).to_string(), "FFFFFFFF/FFFFFFFF");
        assert_eq!(Lsn(0).to_string(), "0/0");
        for text in ["", "/", "1", "1/", "1/2/3", "123456789/0", "+1/2", "1/é"] {
            assert_eq!(text.parse::<Lsn>(), Err(ParseLsnError), "{text}");
        }
        let tid = Tid {
            block: 4_294_967_295,
            offset: 65_535,
        };
        check(&Type::TID, tid, "ffffffffffff");
        assert_eq!(tid.to_string(), "(4294967295,65535)");
        assert_eq!("(4294967295,65535)".parse(), Ok(tid));
        for text in [
            "",
            "1,2",
            "(1)",
            "(1,2",
            "(+1,2)",
            "(4294967296,0)",
            "(0,65536)",
            "(1,2)3",
        ] {
            assert_eq!(text.parse::<Tid>(), Err(ParseTidError), "{text}");
        }
        assert_eq!(
            "1:2:".parse::<Snapshot>().map(|s| s.in_progress),
            Ok(vec![])
        );
        for text in [
            "", "1", "1:2", "1:2:3,", "1:2:,3", "1:2:3:4", "-1:2:", "1:2:x",
        ] {
            assert_eq!(text.parse::<Snapshot>(), Err(ParseSnapshotError), "{text}");
        }
        check(&Type::XID8, u64::MAX, "ffffffffffffffff");
        writes(&Type::INT8, &5_u64, "0000000000000005");
        refuses_to_write(&Type::INT8, &u64::MAX, "out of range");
        refuses_to_write(&Type::INT2, &65_536_u64, "out of range");
        refuses_to_write(&Type::TEXT, &5_u64, "Rust type for text is String");
        let snapshot = Snapshot {
            xmin: 10,
            xmax: 20,
            in_progress: vec![10, 14, 15],
        };
        assert_eq!(snapshot.to_string(), "10:20:10,14,15");
        assert_eq!("10:20:10,14,15".parse(), Ok(snapshot.clone()));
        let hex = "00000003000000000000000a0000000000000014\
                   000000000000000a000000000000000e000000000000000f";
        check(&Type::PG_SNAPSHOT, snapshot.clone(), hex);
        check(&Type::TXID_SNAPSHOT, snapshot, hex);
        check(&Type::VOID, (), "");
        refuses_to_read::<()>(&Type::VOID, "00", "1 bytes instead of 0");
        refuses_to_read::<Snapshot>(&Type::PG_SNAPSHOT, &hex.replace("00000003", "00000004"), "");
    }

    #[test]
    fn s25_snapshots_that_lie() {
        for count in ["00000002", "7fffffff", "ffffffff"] {
            let hex = format!("{count}000000000000000a0000000000000014000000000000000a");
            refuses_to_read::<Snapshot>(&Type::PG_SNAPSHOT, &hex, "");
        }
    }
}
