//! [`Secret`]: bytes that are never printed.

use std::fmt;

/// A password or a key: bytes that neither `Debug` nor `Display` nor an error shows.
///
/// It holds bytes, not text, because PostgreSQL's passwords may be any bytes but NUL: a
/// connection URI can spell them with percent signs. When it is dropped its memory is
/// overwritten, as far as safe code can do so.
///
/// ```
/// use kornak::config::Secret;
///
/// let secret = Secret::from("open sesame");
/// assert_eq!(format!("{secret:?}"), "Secret([redacted])");
/// assert_eq!(secret.expose(), b"open sesame");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    bytes: Vec<u8>,
}

impl Secret {
    /// The secret itself. The name is meant to be seen in a review.
    ///
    /// ```
    /// # use kornak::config::Secret;
    /// assert_eq!(Secret::from(vec![1, 2]).expose(), [1, 2]);
    /// ```
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is nothing in it. libpq takes an empty password for none.
    ///
    /// ```
    /// # use kornak::config::Secret;
    /// assert!(Secret::from("").is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self {
            bytes: text.as_bytes().to_vec(),
        }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self {
            bytes: text.into_bytes(),
        }
    }
}

impl From<&String> for Secret {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.fill(0);
        // Keeps the compiler from dropping the writes above as dead.
        std::hint::black_box(&self.bytes);
    }
}
