//! Codecs for types of other crates, one file and one feature for each.
//!
//! Most go [`through!`] one of the driver's own types, which represent whatever the server
//! can: there the bytes are understood, here is only checked what the foreign type can't
//! hold. Nothing is clamped: an infinity, a year, a scale without a counterpart is an error
//! that names the limit.

#[cfg(feature = "with-bigdecimal-0_4")]
mod bigdecimal_0_4;
#[cfg(feature = "with-bit-vec-0_10")]
mod bit_vec_0_10;
mod bytes_1;
#[cfg(feature = "with-chrono-0_4")]
mod chrono_0_4;
#[cfg(feature = "with-cidr-0_3")]
mod cidr_0_3;
#[cfg(feature = "with-compact_str-0_10")]
mod compact_str_0_10;
#[cfg(feature = "with-geo-types-0_7")]
mod geo_types_0_7;
#[cfg(feature = "with-ipnet-2")]
mod ipnet_2;
#[cfg(feature = "with-ipnetwork-0_21")]
mod ipnetwork_0_21;
#[cfg(feature = "with-jiff-0_2")]
mod jiff_0_2;
#[cfg(feature = "with-mac_address-1")]
mod mac_address_1;
#[cfg(feature = "with-rust_decimal-1")]
mod rust_decimal_1;
#[cfg(feature = "with-serde_json-1")]
pub(super) mod serde_json_1;
#[cfg(feature = "with-smol_str-0_3")]
mod smol_str_0_3;
mod through;
#[cfg(feature = "with-time-0_3")]
mod time_0_3;
#[cfg(feature = "with-uuid-1")]
mod uuid_1;
