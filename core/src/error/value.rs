//! The errors of one value on its way in or out.

use std::borrow::Cow;
use std::fmt;

/// A parameter can't be written as the type that the server wants.
///
/// One word wide, because every encoder returns it.
pub struct EncodeError(Box<ValueError>);

/// A value of the server can't be read into the Rust type that was asked for.
///
/// One word wide, because every decoder returns it.
pub struct DecodeError(Box<ValueError>);

#[derive(Default)]
struct ValueError {
    message: Cow<'static, str>,
    /// `$3`, or `column "price" (4)`.
    place: Option<Box<str>>,
    /// The name of the PostgreSQL type.
    postgres_type: Option<Box<str>>,
    /// The name of the Rust type.
    rust_type: Option<Box<str>>,
    hint: Option<Cow<'static, str>>,
    is_null: bool,
}

macro_rules! value_error {
    ($name:ident) => {
        impl $name {
            /// An error that says `message`. The place and the types are added by the caller.
            #[cold]
            pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
                Self(Box::new(ValueError {
                    message: message.into(),
                    ..ValueError::default()
                }))
            }

            /// Adds advice: what would work instead.
            #[must_use]
            pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
                self.0.hint = Some(hint.into());
                self
            }

            /// Names the two types, unless they are named already.
            #[must_use]
            pub fn with_types(
                mut self,
                postgres_type: impl fmt::Display,
                rust_type: impl Into<Box<str>>,
            ) -> Self {
                if self.0.postgres_type.is_none() {
                    self.0.postgres_type = Some(postgres_type.to_string().into());
                    self.0.rust_type = Some(rust_type.into());
                }
                self
            }

            /// Names this Rust type in place of the one that is named: for a type that is
            /// written and read as another. An element or a field, which has a place of its own,
            /// keeps its type.
            #[must_use]
            pub fn with_rust_type(mut self, rust_type: impl Into<Box<str>>) -> Self {
                if self.0.place.is_none() {
                    self.0.rust_type = Some(rust_type.into());
                }
                self
            }

            /// Names the parameter, column, element or field, the outer one before the inner one.
            #[must_use]
            pub fn at(mut self, place: impl fmt::Display) -> Self {
                let place = match self.0.place.take() {
                    Some(inner) => format!("{place}, {inner}"),
                    None => place.to_string(),
                };
                self.0.place = Some(place.into());
                self
            }

            /// What is wrong, without place and types.
            pub fn message(&self) -> &str {
                &self.0.message
            }

            /// The PostgreSQL type's name.
            pub fn postgres_type(&self) -> Option<&str> {
                self.0.postgres_type.as_deref()
            }

            /// The Rust type's name.
            pub fn rust_type(&self) -> Option<&str> {
                self.0.rust_type.as_deref()
            }

            /// What would work instead.
            pub fn hint(&self) -> Option<&str> {
                self.0.hint.as_deref()
            }

            /// The parameter, column, element or field.
            pub fn place(&self) -> Option<&str> {
                self.0.place.as_deref()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write(f, stringify!($name) == "EncodeError")
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::error::Error for $name {}
    };
}

value_error!(EncodeError);
value_error!(DecodeError);

impl DecodeError {
    /// The value is NULL, and the Rust type has no room for that.
    #[cold]
    pub fn null() -> Self {
        let mut this = Self::new("the value is NULL").with_hint("read it into an Option");
        this.0.is_null = true;
        this
    }

    /// Whether a NULL was read into a type without room for it.
    pub fn is_null(&self) -> bool {
        self.0.is_null
    }
}

impl ValueError {
    fn write(&self, f: &mut fmt::Formatter<'_>, encode: bool) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if let (Some(postgres), Some(rust)) = (&self.postgres_type, &self.rust_type) {
            if encode {
                write!(f, "can't write a Rust {rust} as PostgreSQL {postgres}: ")?;
            } else {
                write!(f, "can't read PostgreSQL {postgres} into a Rust {rust}: ")?;
            }
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\nHINT: {hint}")?;
        }
        Ok(())
    }
}
