//! [`Format`]: the two forms in which a value travels.

/// The form of a value on the wire.
///
/// Source: the format codes of the manual's section "Formats and Format Codes".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// What the type's output function prints and its input function reads.
    Text,
    /// What the type's send function writes and its receive function reads.
    Binary,
}

impl Format {
    /// The format of a wire code, 0 or 1.
    #[inline]
    pub fn from_wire(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Text),
            1 => Some(Self::Binary),
            _ => None,
        }
    }

    /// The wire code.
    #[inline]
    pub fn to_wire(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}
