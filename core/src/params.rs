//! [`Params`]: the parameters of a statement.

use std::borrow::Cow;

use crate::buffer::WriteBuffer;
use crate::codec::{DeclaredType, DynEncode, Encode, SHORT, encode_value, parameter_format};
use crate::error::{EncodeError, Error, Result};
use crate::types::Type;

/// The parameters of a statement: `()`, a tuple of up to 32, a slice or array or `Vec` of one
/// type, or `&[&(dyn DynEncode + Sync)]` for a number of them known only at run time.
///
/// The trait is sealed; a struct of one's own becomes parameters by deriving it: its fields
/// are those of the tuple that they would make.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the parameters of a statement",
    label = "not parameters",
    note = "pass a tuple: `()` for none, `(a,)` for one, `(a, b)` for two",
    note = "for a number of parameters known only at run time pass `&[&(dyn DynEncode + Sync)]`"
)]
pub trait Params: sealed::Sealed {
    /// How many there are.
    #[doc(hidden)]
    fn count(&self) -> usize;

    /// What the parameter at `index` declares itself as.
    #[doc(hidden)]
    fn declared(&self, index: usize) -> DeclaredType;

    /// Whether the parameters declare themselves as `declared`, exactly.
    #[doc(hidden)]
    fn are_declared(&self, declared: &[DeclaredType]) -> bool;

    /// What all of them declare themselves as, where their type alone says so.
    #[doc(hidden)]
    #[inline]
    fn declaration(&self) -> Option<&'static [DeclaredType]> {
        None
    }

    /// Appends each value with its length.
    #[doc(hidden)]
    fn encode(&self, types: &[Type], out: &mut WriteBuffer) -> Result<()>;

    /// Appends `head`, and each value with its length.
    #[doc(hidden)]
    #[inline]
    fn encode_behind(&self, head: [u8; 2], types: &[Type], out: &mut WriteBuffer) -> Result<()> {
        out.put_slice(&head);
        self.encode(types, out)
    }
}

/// What some parameters declare themselves as, for many others to be compared with.
#[derive(Debug)]
pub struct Declaration(Cow<'static, [DeclaredType]>);

impl Declaration {
    pub fn of<P: Params>(params: &P) -> Self {
        Self(match params.declaration() {
            Some(declaration) => Cow::Borrowed(declaration),
            None => (0..params.count())
                .map(|index| params.declared(index))
                .collect(),
        })
    }

    /// Whether `params` declare themselves like this, exactly.
    #[inline]
    pub fn is_of<P: Params>(&mut self, params: &P) -> bool {
        let declaration = params.declaration();
        match (declaration, &self.0) {
            // The same list is the same declaration. The other way about that need not be so:
            // the compiler may lay it down more than once.
            (Some(one), Cow::Borrowed(other)) if std::ptr::eq(one, *other) => true,
            _ => self.is_alike(params, declaration),
        }
    }

    /// Compares each, and remembers the list that turns out to be the same.
    #[inline(never)]
    fn is_alike<P: Params>(
        &mut self,
        params: &P,
        declaration: Option<&'static [DeclaredType]>,
    ) -> bool {
        let is_alike = params.are_declared(&self.0);
        if let (Some(declaration), true) = (declaration, is_alike) {
            self.0 = Cow::Borrowed(declaration);
        }
        is_alike
    }

    pub fn as_slice(&self) -> &[DeclaredType] {
        &self.0
    }
}

/// The fields of a struct as parameters, in their order: what `#[derive(Params)]` writes
/// beside [`Params`] itself.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be flattened into parameters",
    label = "no struct of parameters",
    note = "`flatten` takes structs that derive `kornak::Params`, and `Option`s of them"
)]
pub trait ParamFields {
    /// How many parameters they are.
    const COUNT: usize;

    /// What the parameter at `index` declares itself as.
    fn declared(index: usize) -> DeclaredType;

    /// Whether the parameters declare themselves as `declared`, of which there are
    /// [`COUNT`](Self::COUNT).
    fn are_declared(declared: &[DeclaredType]) -> bool;

    /// Appends each value with its length. There are [`COUNT`](Self::COUNT) `types`;
    /// `first` is the index of the first parameter.
    fn encode(&self, types: &[Type], first: usize, out: &mut WriteBuffer) -> Result<()>;
}

/// `None` is NULL for each of them.
impl<T: ParamFields> ParamFields for Option<T> {
    const COUNT: usize = T::COUNT;

    fn declared(index: usize) -> DeclaredType {
        T::declared(index)
    }

    #[inline]
    fn are_declared(declared: &[DeclaredType]) -> bool {
        T::are_declared(declared)
    }

    #[inline]
    fn encode(&self, types: &[Type], first: usize, out: &mut WriteBuffer) -> Result<()> {
        match self {
            Some(fields) => fields.encode(types, first, out),
            None => {
                for _ in 0..T::COUNT {
                    let length = out.begin_length();
                    out.end_null(length);
                }
                Ok(())
            }
        }
    }
}

/// [`Params::are_declared`] of a struct.
#[doc(hidden)]
#[inline]
pub fn fields_are_declared<T: ParamFields>(declared: &[DeclaredType]) -> bool {
    declared.len() == T::COUNT && T::are_declared(declared)
}

/// [`Params::encode`] of a struct.
///
/// # Errors
///
/// If there are more or fewer types than fields, or a value can't be written.
#[doc(hidden)]
#[inline]
pub fn encode_fields<T: ParamFields>(
    fields: &T,
    types: &[Type],
    out: &mut WriteBuffer,
) -> Result<()> {
    check_count(T::COUNT, types.len())?;
    fields.encode(types, 0, out)
}

/// Every [`Encode`], under messages that speak of fields. Derived code goes through this
/// trait alone, so that the compiler tells a field that can't be a parameter once.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a parameter",
    label = "not a parameter",
    note = "numbers, strings, `Vec`s and `Option`s of them and many more can; types of other crates need a feature such as `with-uuid-1`",
    note = "derive `kornak::Encode` for enums, composites and newtypes of your own"
)]
pub trait ParamType {
    /// [`Encode::DECLARED`].
    const DECLARED: DeclaredType;

    /// Appends the value of the field `name`, the parameter at `index`.
    ///
    /// # Errors
    ///
    /// If the value can't be written as a `ty`.
    fn encode_field(
        &self,
        name: &'static str,
        index: usize,
        ty: &Type,
        out: &mut WriteBuffer,
    ) -> Result<()>;
}

#[diagnostic::do_not_recommend]
impl<T: Encode> ParamType for T {
    const DECLARED: DeclaredType = T::DECLARED;

    #[inline]
    fn encode_field(
        &self,
        name: &'static str,
        index: usize,
        ty: &Type,
        out: &mut WriteBuffer,
    ) -> Result<()> {
        encode_value(self, ty, parameter_format(T::DECLARED, ty), out)
            .map_err(|error| at(error.at(format_args!("field {name}")), index))
    }
}

/// Checks that there are as many parameters as the statement takes.
///
/// # Errors
///
/// If there aren't.
pub fn check_count(given: usize, wanted: usize) -> Result<()> {
    if given == wanted {
        Ok(())
    } else {
        Err(wrong_count(given, wanted))
    }
}

#[inline]
fn encode_one<T: Encode>(value: &T, index: usize, ty: &Type, out: &mut WriteBuffer) -> Result<()> {
    encode_value(value, ty, parameter_format(T::DECLARED, ty), out)
        .map_err(|error| at(error, index))
}

/// [`Encode::encode_short`] of a parameter, behind what is `written`.
#[inline]
fn encode_short<T: Encode>(value: &T, ty: &Type, room: &mut [u8], written: usize) -> Option<usize> {
    value.encode_short(ty, parameter_format(T::DECLARED, ty), &mut room[written..])
}

/// Takes what is `written`, appends a parameter that isn't short, and looks for room for
/// `count` that are.
#[inline]
fn encode_long<'o, T: Encode>(
    value: &T,
    index: usize,
    ty: &Type,
    written: usize,
    count: usize,
    out: &'o mut WriteBuffer,
) -> Result<&'o mut [u8]> {
    out.take_room(written);
    encode_one(value, index, ty, out)?;
    Ok(out.room(SHORT * count))
}

#[cold]
fn at(error: EncodeError, index: usize) -> Error {
    error.at(format_args!("parameter ${}", index + 1)).into()
}

#[cold]
fn wrong_count(given: usize, wanted: usize) -> Error {
    let takes = if wanted == 1 {
        "parameter"
    } else {
        "parameters"
    };
    let were = if given == 1 { "was" } else { "were" };
    Error::usage(format!(
        "the statement takes {wanted} {takes}, {given} {were} given"
    ))
}

/// A tuple of parameters.
trait Tuple {
    /// Appends `head`, and the values with their lengths.
    fn put<const HEAD: usize>(
        &self,
        head: [u8; HEAD],
        types: &[Type],
        out: &mut WriteBuffer,
    ) -> Result<()>;
}

macro_rules! tuples {
    ($(($count:literal: $($name:ident $index:tt)*))*) => {$(
        impl<$($name: Encode),*> sealed::Sealed for ($($name,)*) {}

        #[allow(
            unused_variables,
            unused_assignments,
            unused_mut,
            reason = "the tuple without elements uses none, and the last one no room behind it"
        )]
        impl<$($name: Encode),*> Tuple for ($($name,)*) {
            #[inline]
            fn put<const HEAD: usize>(
                &self,
                head: [u8; HEAD],
                types: &[Type],
                out: &mut WriteBuffer,
            ) -> Result<()> {
                let [$($name),*] = types else {
                    return Err(wrong_count($count, types.len()));
                };
                // Short values are written to room that is looked for once.
                let mut room = out.room(HEAD + SHORT * $count);
                let mut written = HEAD;
                if let Some(place) = room.first_chunk_mut() {
                    *place = head;
                } else {
                    out.put_slice(&head);
                    room = out.room(SHORT * $count);
                    written = 0;
                }
                $(
                    if let Some(count) = encode_short(&self.$index, $name, room, written) {
                        written += count;
                    } else {
                        room = encode_long(&self.$index, $index, $name, written, $count, out)?;
                        written = 0;
                    }
                )*
                out.take_room(written);
                Ok(())
            }
        }

        #[allow(unused_variables, reason = "the tuple without elements uses none")]
        impl<$($name: Encode),*> Params for ($($name,)*) {
            #[inline]
            fn count(&self) -> usize {
                $count
            }

            #[inline]
            fn declared(&self, index: usize) -> DeclaredType {
                let declared: &'static [DeclaredType] = const { &[$($name::DECLARED),*] };
                declared[index]
            }

            #[inline]
            fn declaration(&self) -> Option<&'static [DeclaredType]> {
                Some(const { &[$($name::DECLARED),*] })
            }

            #[inline]
            fn are_declared(&self, declared: &[DeclaredType]) -> bool {
                match declared {
                    [$($name),*] => true $(&& *$name == <$name as Encode>::DECLARED)*,
                    _ => false,
                }
            }

            #[inline]
            fn encode(&self, types: &[Type], out: &mut WriteBuffer) -> Result<()> {
                self.put([], types, out)
            }

            #[inline]
            fn encode_behind(&self, head: [u8; 2], types: &[Type], out: &mut WriteBuffer) -> Result<()> {
                self.put(head, types, out)
            }
        }
    )*};
}

#[allow(
    non_snake_case,
    reason = "a type parameter's name also names its value"
)]
mod tuples {
    use super::*;

    tuples! {
        (0:)
        (1: A 0)
        (2: A 0 B 1)
        (3: A 0 B 1 C 2)
        (4: A 0 B 1 C 2 D 3)
        (5: A 0 B 1 C 2 D 3 E 4)
        (6: A 0 B 1 C 2 D 3 E 4 F 5)
        (7: A 0 B 1 C 2 D 3 E 4 F 5 G 6)
        (8: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7)
        (9: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8)
        (10: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9)
        (11: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10)
        (12: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11)
        (13: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12)
        (14: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13)
        (15: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14)
        (16: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15)
        (17: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16)
        (18: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17)
        (19: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18)
        (20: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19)
        (21: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20)
        (22: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21)
        (23: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21
             W 22)
        (24: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21
             W 22 X 23)
        (25: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21
             W 22 X 23 Y 24)
        (26: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21
             W 22 X 23 Y 24 Z 25)
        (27: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21
             W 22 X 23 Y 24 Z 25 AA 26)
        (28: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21
             W 22 X 23 Y 24 Z 25 AA 26 AB 27)
        (29: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21
             W 22 X 23 Y 24 Z 25 AA 26 AB 27 AC 28)
        (30: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21
             W 22 X 23 Y 24 Z 25 AA 26 AB 27 AC 28 AD 29)
        (31: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21
             W 22 X 23 Y 24 Z 25 AA 26 AB 27 AC 28 AD 29 AE 30)
        (32: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 R 17 S 18 T 19 U 20 V 21
             W 22 X 23 Y 24 Z 25 AA 26 AB 27 AC 28 AD 29 AE 30 AF 31)
    }
}

impl<T: Encode> sealed::Sealed for [T] {}

impl<T: Encode> Params for [T] {
    fn count(&self) -> usize {
        self.len()
    }

    fn declared(&self, _: usize) -> DeclaredType {
        T::DECLARED
    }

    fn are_declared(&self, declared: &[DeclaredType]) -> bool {
        self.len() == declared.len() && declared.iter().all(|declared| *declared == T::DECLARED)
    }

    fn encode(&self, types: &[Type], out: &mut WriteBuffer) -> Result<()> {
        check_count(self.len(), types.len())?;
        for (index, (value, ty)) in self.iter().zip(types).enumerate() {
            encode_one(value, index, ty, out)?;
        }
        Ok(())
    }
}

impl sealed::Sealed for [&(dyn DynEncode + Sync)] {}

impl Params for [&(dyn DynEncode + Sync)] {
    fn count(&self) -> usize {
        self.len()
    }

    fn declared(&self, index: usize) -> DeclaredType {
        self[index].declared()
    }

    fn are_declared(&self, declared: &[DeclaredType]) -> bool {
        self.len() == declared.len()
            && self
                .iter()
                .zip(declared)
                .all(|(value, declared)| value.declared() == *declared)
    }

    fn encode(&self, types: &[Type], out: &mut WriteBuffer) -> Result<()> {
        check_count(self.len(), types.len())?;
        for (index, (value, ty)) in self.iter().zip(types).enumerate() {
            encode_value(*value, ty, parameter_format(value.declared(), ty), out)
                .map_err(|error| at(error, index))?;
        }
        Ok(())
    }
}

macro_rules! delegate {
    ($([$($generics:tt)*] $type:ty, $this:ident => $inner:expr;)*) => {$(
        impl<$($generics)*> sealed::Sealed for $type {}

        impl<$($generics)*> Params for $type {
            #[inline]
            fn count(&self) -> usize {
                let $this = self;
                Params::count($inner)
            }

            #[inline]
            fn declared(&self, index: usize) -> DeclaredType {
                let $this = self;
                Params::declared($inner, index)
            }

            #[inline]
            fn are_declared(&self, declared: &[DeclaredType]) -> bool {
                let $this = self;
                Params::are_declared($inner, declared)
            }

            #[inline]
            fn declaration(&self) -> Option<&'static [DeclaredType]> {
                let $this = self;
                Params::declaration($inner)
            }

            #[inline]
            fn encode(&self, types: &[Type], out: &mut WriteBuffer) -> Result<()> {
                let $this = self;
                Params::encode($inner, types, out)
            }

            #[inline]
            fn encode_behind(&self, head: [u8; 2], types: &[Type], out: &mut WriteBuffer) -> Result<()> {
                let $this = self;
                Params::encode_behind($inner, head, types, out)
            }
        }
    )*};
}

delegate! {
    [P: Params + ?Sized] &P, this => *this;
    [T: Encode] Vec<T>, this => this.as_slice();
    [T: Encode, const N: usize] [T; N], this => this.as_slice();
    [const N: usize] [&(dyn DynEncode + Sync); N], this => this.as_slice();
    [] Vec<&(dyn DynEncode + Sync)>, this => this.as_slice();
}

pub mod sealed {
    /// Keeps `Params` to this crate and its macros.
    pub trait Sealed {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Timestamp, TimestampTz, Uuid};

    /// The bytes in a buffer that has room, which short values are written to; and in one that
    /// has none, or little.
    fn both<P: Params>(params: &P, types: &[Type]) -> (Result<Vec<u8>>, Result<Vec<u8>>) {
        let encoded = |mut out: WriteBuffer| {
            let mark = out.mark();
            params.encode(types, &mut out)?;
            Ok(out.since(mark).to_vec())
        };
        let mut roomy = WriteBuffer::with_capacity(4096);
        roomy.put_u8(0);
        assert_eq!(roomy.room(SHORT).len(), SHORT);
        (encoded(roomy), encoded(WriteBuffer::default()))
    }

    fn check<P: Params>(params: &P, types: &[Type]) {
        let (quick, plain) = both(params, types);
        let show = |error: Error| error.to_string();
        assert_eq!(quick.map_err(show), plain.map_err(show));
    }

    #[test]
    fn short_values_are_what_they_are_anywhere() {
        let fixed = (
            (-2_i16, 3_i32, -4_i64, 5_u32),
            (1.5_f32, -2.5_f64, true),
            (Timestamp::INFINITY, TimestampTz::MIN, Uuid([7; 16])),
        );
        let ((a, b, c, d), (e, f, g), (h, i, j)) = fixed;
        let types = [
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::OID,
            Type::FLOAT4,
            Type::FLOAT8,
            Type::BOOL,
            Type::TIMESTAMP,
            Type::TIMESTAMPTZ,
            Type::UUID,
        ];
        check(&(a, b, c, d, e, f, g, h, i, j), &types);
        // As other types than the usual ones, and as some that they are not.
        for ty in [Type::INT2, Type::INT8, Type::OID, Type::TEXT, Type::UUID] {
            check(&(b, c, b), &[Type::INT4, ty.clone(), Type::INT4]);
            check(
                &(Some(b), None::<i64>, &Some(c)),
                &[ty.clone(), ty.clone(), ty],
            );
        }
        check(&(a,), &[]);
    }

    #[test]
    fn texts_of_any_length_are_what_they_are_anywhere() {
        for length in 0..40 {
            let text: String = ('a'..='z').cycle().take(length).collect();
            let (quick, _) = both(
                &(1_i32, text.as_str(), 2_i32),
                &[Type::INT4, Type::TEXT, Type::INT4],
            );
            let quick = quick.unwrap();
            assert_eq!(&quick[8..12], (length as u32).to_be_bytes());
            assert_eq!(&quick[12..12 + length], text.as_bytes());
            for ty in [Type::TEXT, Type::VARCHAR, Type::JSONB, Type::INT4] {
                check(
                    &(1_i32, text.clone(), Some("x"), text.as_str()),
                    &[Type::INT4, ty.clone(), Type::TEXT, ty],
                );
            }
            for place in 0..length {
                let mut with_nul = text.clone();
                with_nul.replace_range(place..=place, "\0");
                let types = [Type::TEXT, Type::INT4];
                assert!(both(&(with_nul.as_str(), 1_i32), &types).0.is_err());
                check(&(with_nul, 1_i32), &types);
            }
        }
    }

    #[test]
    fn a_head_goes_before_the_values_wherever_there_is_room() {
        let types = [Type::INT4, Type::TEXT];
        let long = "long ".repeat(100);
        for text in ["short", &long] {
            for spare in 0..60 {
                let mut out = WriteBuffer::with_capacity(0);
                // Leaves room for so many bytes.
                out.put_u8(1);
                let room = out.capacity();
                out.put_slice(&vec![1; room.saturating_sub(1 + spare)]);
                let mark = out.mark();
                (7_i32, text)
                    .encode_behind([8, 9], &types, &mut out)
                    .unwrap();
                let mut plain = WriteBuffer::default();
                plain.put_slice(&[8, 9]);
                Params::encode(&(7_i32, text), &types, &mut plain).unwrap();
                assert_eq!(out.since(mark), plain.pending());
            }
        }
    }
}
