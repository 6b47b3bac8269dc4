//! Derive macros of the [kornak](https://docs.rs/kornak) PostgreSQL driver.
