//! What the compiler says of a wrong use of the derive macros. The texts are those of the
//! toolchain that the project is built with; `TRYBUILD=overwrite` writes them anew.
//!
//! It is a test of this crate because its cases are checked with all that the tested crate's tests
//! depend on, once more: here that is little.

#[test]
fn wrong_uses_are_told_where_they_are() {
    trybuild::TestCases::new().compile_fail("tests/ui/*/*.rs");
}
