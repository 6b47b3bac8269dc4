//! [`UsesTls`]: how connections come by their TLS.

use crate::transport::TlsProvider;

/// Says which TLS connections are encrypted with.
///
/// [`Connection`](super::Connection) has it once, in the crate `kornak`, for its own `T`: so the
/// compiler finds the `T` of [`Connection::connect`](super::Connection::connect) and its like by
/// itself, and nobody else has a use for it.
pub trait UsesTls<T> {
    /// What makes encrypted connections, `None` where `kornak` is built without.
    #[doc(hidden)]
    fn provider() -> Option<&'static dyn TlsProvider>;
}
