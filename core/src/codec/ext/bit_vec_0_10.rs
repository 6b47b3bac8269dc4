//! `bit_vec::BitVec`, version 0.10 of the crate.

use bit_vec::BitVec;

use super::through::{NoCounterpart, through};
use crate::codec::BitString;

through!(
    /// `bit` and `varbit`.
    BitVec, BitString, [BIT, VARBIT],
    |bits| Ok(BitString::from_bytes(bits.to_bytes(), bits.len())),
    |bits| {
        let mut vector = Self::from_bytes(bits.as_bytes());
        vector.truncate(bits.len());
        Ok(vector)
    }
);
