//! The setters of [`Config`](super::Config), each named as the option is.

mod identity;
mod session;
mod target;
mod tls;
