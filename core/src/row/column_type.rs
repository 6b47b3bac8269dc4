//! [`ColumnType`]: what one column can be read into, for the derive macros' code.

use super::fields::ReadFields;
use super::plan::PlanBuilder;
use crate::codec::Decode;
use crate::error::Result;

/// Every [`Decode`], under messages that speak of fields.
///
/// Derived code goes through this trait alone, so that the compiler tells a field that can't
/// be read once and without naming functions that nobody has called.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be read from a column",
    label = "not read from a column",
    note = "numbers, strings, `Vec`s and `Option`s of them and many more can; types of other crates need a feature such as `with-uuid-1`",
    note = "derive `kornak::Decode` for enums, composites and newtypes of your own"
)]
#[doc(hidden)]
pub trait ColumnType<'r>: Sized {
    /// [`PlanBuilder::named`].
    ///
    /// # Errors
    ///
    /// As there.
    fn named(plan: &mut PlanBuilder<'_>, name: &str) -> Result<()>;

    /// [`PlanBuilder::named_or_default`].
    ///
    /// # Errors
    ///
    /// As there.
    fn named_or_default(plan: &mut PlanBuilder<'_>, name: &str) -> Result<()>;

    /// [`PlanBuilder::positional`].
    ///
    /// # Errors
    ///
    /// As there.
    fn positional(plan: &mut PlanBuilder<'_>) -> Result<()>;

    /// [`ReadFields::read`].
    ///
    /// # Errors
    ///
    /// As there.
    fn read(fields: &mut impl ReadFields<'r>) -> Result<Self>;

    /// [`ReadFields::read_or_default`].
    ///
    /// # Errors
    ///
    /// As there.
    fn read_or_default(
        fields: &mut impl ReadFields<'r>,
        default: impl FnOnce() -> Self,
    ) -> Result<Self>;
}

#[diagnostic::do_not_recommend]
impl<'r, T: Decode<'r>> ColumnType<'r> for T {
    fn named(plan: &mut PlanBuilder<'_>, name: &str) -> Result<()> {
        plan.named::<T>(name)
    }

    fn named_or_default(plan: &mut PlanBuilder<'_>, name: &str) -> Result<()> {
        plan.named_or_default::<T>(name).map(|_| ())
    }

    fn positional(plan: &mut PlanBuilder<'_>) -> Result<()> {
        plan.positional::<T>()
    }

    #[inline(always)]
    fn read(fields: &mut impl ReadFields<'r>) -> Result<Self> {
        fields.read()
    }

    #[inline(always)]
    fn read_or_default(
        fields: &mut impl ReadFields<'r>,
        default: impl FnOnce() -> Self,
    ) -> Result<Self> {
        fields.read_or_default(default)
    }
}
