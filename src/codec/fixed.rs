//! [`FixedValue`]: a short value with its length.

/// The binary form of a value of at most 16 bytes, for
/// [`Encode::encode_fixed`](super::Encode::encode_fixed).
#[derive(Clone, Copy, Debug)]
pub struct FixedValue {
    /// The length and the value behind it: all at once, so that room in the buffer is looked for
    /// only once.
    bytes: [u8; LENGTH + LONGEST],
    end: usize,
}

/// The bytes of a length.
const LENGTH: usize = 4;

/// The bytes of the longest value.
const LONGEST: usize = 16;

impl FixedValue {
    /// The value of these bytes. More than 16 are an error when the program is compiled.
    ///
    /// ```
    /// use kornak::codec::FixedValue;
    ///
    /// let int4 = FixedValue::new(42_i32.to_be_bytes());
    /// let uuid = FixedValue::new([7; 16]);
    /// ```
    ///
    /// ```compile_fail
    /// # use kornak::codec::FixedValue;
    /// let too_long = FixedValue::new([7; 17]);
    /// ```
    #[inline]
    pub fn new<const N: usize>(value: [u8; N]) -> Self {
        const { assert!(N <= LONGEST, "a fixed value has at most 16 bytes") };
        let mut bytes = [0; LENGTH + LONGEST];
        bytes[..LENGTH].copy_from_slice(&(N as i32).to_be_bytes());
        bytes[LENGTH..LENGTH + N].copy_from_slice(&value);
        let end = LENGTH + N;
        Self { bytes, end }
    }

    /// The length and the value.
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_behind_their_lengths() {
        assert_eq!(FixedValue::new([]).as_slice(), [0; 4]);
        let two = FixedValue::new(7_i16.to_be_bytes());
        assert_eq!(two.as_slice(), [0, 0, 0, 2, 0, 7]);
        let most = FixedValue::new([9; 16]);
        assert_eq!(most.as_slice(), [&[0, 0, 0, 16][..], &[9; 16]].concat());
    }
}
