//! Codecs for types of other crates, one file and one feature for each.

#[cfg(feature = "with-chrono-0_4")]
mod chrono_0_4;
#[cfg(feature = "with-serde_json-1")]
pub(super) mod serde_json_1;
#[cfg(feature = "with-uuid-1")]
mod uuid_1;
