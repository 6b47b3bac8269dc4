//! [`Pipeline`]: the statements of a pipeline as a tuple, a `Vec` or an array.

use std::ops::ControlFlow;

use super::error::{PipelineError, at};
use super::item::{Item, Slot, State};
use crate::connection::sinks::Collector;
use crate::error::Result;
use crate::protocol::RowBytes;
use crate::wire::backend::{CommandComplete, RowDescription};

/// The statements of a pipeline: a tuple of up to 16; for a number of them known only at run
/// time a `Vec`, a slice or an array of one kind, or [`Statements`](super::Statements) of
/// several kinds.
///
/// The trait is sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a pipeline",
    note = "pass a tuple of up to 16 statements made by `one`, `optional`, `all` and `exec`, a \
            `Vec` or an array of one kind, or `Statements` of several kinds"
)]
pub trait Pipeline: sealed::Pipeline {}

impl<P: sealed::Pipeline + ?Sized> Pipeline for P {}

/// What is known of each statement while its pipeline runs.
pub trait Slots {
    /// Whether a statement keeps large rows.
    const SHARES_ROWS: bool;

    fn count(&self) -> u32;

    fn state(&mut self, index: u32) -> Option<&mut State>;

    fn row(&mut self, index: u32, row: RowBytes<'_>) -> ControlFlow<()>;

    fn complete(&mut self, index: u32, command: CommandComplete<'_>);

    fn describe(&mut self, index: u32, fields: Option<RowDescription<'_>>);
}

/// Does something with each statement and its slot; `before` is the one before it, where that
/// is of the same kind.
pub trait Visitor<'q> {
    /// # Errors
    ///
    /// Those of what it does; no further statement is visited.
    fn visit<I: Item>(
        &mut self,
        index: u32,
        item: &'q I,
        slot: &mut Slot<I::Collector>,
        before: Option<(&'q I, &Slot<I::Collector>)>,
    ) -> Result<()>;
}

impl<C: Collector> Slot<C> {
    #[inline(always)]
    fn row(&mut self, row: RowBytes<'_>) -> ControlFlow<()> {
        if self.state.reply.failure.is_some() {
            return ControlFlow::Continue(());
        }
        match self.collector.row(row) {
            Ok(flow) => flow,
            Err(error) => self.state.reply.fail_locally(error, false),
        }
    }

    /// The result is described, by the flight itself.
    #[cold]
    fn describe(&mut self, fields: Option<RowDescription<'_>>) {
        let State {
            prepared,
            learning,
            reply,
        } = &mut self.state;
        if let Some(learning) = learning {
            let begun = learning.learn_columns(fields, &mut self.collector);
            reply.failure = begun.err();
        } else if let Some(prepared) = prepared {
            reply.compare(prepared.description().columns(), fields);
        }
    }

    #[inline(always)]
    fn complete(&mut self, command: CommandComplete<'_>) {
        if C::COUNTS_ROWS {
            self.state.reply.rows = command.rows();
        }
    }
}

/// Visits the statement at this index of a tuple.
#[inline]
fn visit_at<'q, I: Item, V: Visitor<'q>>(
    index: u32,
    item: &'q I,
    slot: &mut Slot<I::Collector>,
    visitor: &mut V,
) -> Result<(), (u32, crate::error::Error)> {
    visitor
        .visit(index, item, slot, None)
        .map_err(|error| (index, error))
}

/// What became of the statement at this index.
#[inline]
fn finish_at<I: Item>(
    index: u32,
    item: &I,
    slot: &mut Slot<I::Collector>,
) -> Result<I::Output, PipelineError> {
    slot.finish(item).map_err(|error| at((index, error)))
}

macro_rules! tuples {
    ($(($count:literal: $($name:ident $index:tt)*))*) => {$(
        impl<$($name: Collector),*> Slots for ($(Slot<$name>,)*) {
            const SHARES_ROWS: bool = false $(|| $name::SHARES_ROWS)*;

            #[inline]
            fn count(&self) -> u32 {
                $count
            }

            #[inline]
            fn state(&mut self, index: u32) -> Option<&mut State> {
                match index {
                    $($index => Some(&mut self.$index.state),)*
                    _ => None,
                }
            }

            #[inline(always)]
            fn row(&mut self, index: u32, row: RowBytes<'_>) -> ControlFlow<()> {
                match index {
                    $($index => self.$index.row(row),)*
                    _ => ControlFlow::Continue(()),
                }
            }

            #[inline(always)]
            fn complete(&mut self, index: u32, command: CommandComplete<'_>) {
                match index {
                    $($index => self.$index.complete(command),)*
                    _ => {}
                }
            }

            fn describe(&mut self, index: u32, fields: Option<RowDescription<'_>>) {
                match index {
                    $($index => self.$index.describe(fields),)*
                    _ => {}
                }
            }
        }

        impl<$($name: Item),*> sealed::Pipeline for ($($name,)*) {
            type Output = ($($name::Output,)*);
            type Each = ($(Result<$name::Output>,)*);
            type Slots = ($(Slot<$name::Collector>,)*);

            fn slots(&self) -> Self::Slots {
                ($(Slot::new(&self.$index),)*)
            }

            fn sql(&self, index: u32) -> Option<&str> {
                match index {
                    $($index => Some(self.$index.sql()),)*
                    _ => None,
                }
            }

            #[inline]
            fn visit<'q, V: Visitor<'q>>(
                &'q self,
                slots: &mut Self::Slots,
                visitor: &mut V,
            ) -> Result<(), (u32, crate::error::Error)> {
                $(visit_at($index, &self.$index, &mut slots.$index, visitor)?;)*
                Ok(())
            }

            fn finish(&self, mut slots: Self::Slots) -> Result<Self::Output, PipelineError> {
                Ok(($(finish_at($index, &self.$index, &mut slots.$index)?,)*))
            }

            fn finish_each(&self, mut slots: Self::Slots) -> Self::Each {
                ($(slots.$index.finish(&self.$index),)*)
            }
        }
    )*};
}

mod tuples {
    use super::*;

    tuples! {
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
    }
}

impl<C: Collector> Slots for Vec<Slot<C>> {
    const SHARES_ROWS: bool = C::SHARES_ROWS;

    fn count(&self) -> u32 {
        // More statements than that would not fit into memory.
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    fn state(&mut self, index: u32) -> Option<&mut State> {
        self.get_mut(index as usize).map(|slot| &mut slot.state)
    }

    #[inline(always)]
    fn row(&mut self, index: u32, row: RowBytes<'_>) -> ControlFlow<()> {
        match self.get_mut(index as usize) {
            Some(slot) => slot.row(row),
            None => ControlFlow::Continue(()),
        }
    }

    #[inline(always)]
    fn complete(&mut self, index: u32, command: CommandComplete<'_>) {
        if let Some(slot) = self.get_mut(index as usize) {
            slot.complete(command);
        }
    }

    fn describe(&mut self, index: u32, fields: Option<RowDescription<'_>>) {
        if let Some(slot) = self.get_mut(index as usize) {
            slot.describe(fields);
        }
    }
}

macro_rules! lists {
    ($([$($generics:tt)*] $list:ty;)*) => {$(
        impl<$($generics)*> sealed::Pipeline for $list {
            type Output = Vec<I::Output>;
            type Each = Vec<Result<I::Output>>;
            type Slots = Vec<Slot<I::Collector>>;

            fn slots(&self) -> Self::Slots {
                self.iter().map(Slot::new).collect()
            }

            fn sql(&self, index: u32) -> Option<&str> {
                self.get(index as usize).map(|item| item.sql())
            }

            #[inline]
            fn visit<'q, V: Visitor<'q>>(
                &'q self,
                slots: &mut Self::Slots,
                visitor: &mut V,
            ) -> Result<(), (u32, crate::error::Error)> {
                let mut before = None;
                let mut index = 0;
                for (item, slot) in self.iter().zip(slots.iter_mut()) {
                    visitor
                        .visit(index, item, slot, before)
                        .map_err(|error| (index, error))?;
                    before = Some((item, &*slot));
                    index += 1;
                }
                Ok(())
            }

            fn finish(&self, mut slots: Self::Slots) -> Result<Self::Output, PipelineError> {
                // Collecting `Result`s would not know how many there are.
                let mut outputs = Vec::with_capacity(slots.len());
                for (index, (item, slot)) in (0..).zip(self.iter().zip(&mut slots)) {
                    let output = slot.finish(item).map_err(|error| at((index, error)))?;
                    outputs.push(output);
                }
                Ok(outputs)
            }

            fn finish_each(&self, mut slots: Self::Slots) -> Self::Each {
                let both = self.iter().zip(&mut slots);
                both.map(|(item, slot)| slot.finish(item)).collect()
            }
        }
    )*};
}

lists! {
    [I: Item] Vec<I>;
    [I: Item] [I];
    [I: Item, const N: usize] [I; N];
}

/// So that what is sent a second time need not be given away the first time.
impl<P: sealed::Pipeline + ?Sized> sealed::Pipeline for &P {
    type Output = P::Output;
    type Each = P::Each;
    type Slots = P::Slots;

    fn slots(&self) -> Self::Slots {
        P::slots(self)
    }

    fn sql(&self, index: u32) -> Option<&str> {
        P::sql(self, index)
    }

    #[inline]
    fn visit<'q, V: Visitor<'q>>(
        &'q self,
        slots: &mut Self::Slots,
        visitor: &mut V,
    ) -> Result<(), (u32, crate::error::Error)> {
        P::visit(self, slots, visitor)
    }

    fn finish(&self, slots: Self::Slots) -> Result<Self::Output, PipelineError> {
        P::finish(self, slots)
    }

    fn finish_each(&self, slots: Self::Slots) -> Self::Each {
        P::finish_each(self, slots)
    }
}

pub(super) mod sealed {
    use super::{PipelineError, Result, Slots, Visitor};

    #[expect(unnameable_types, reason = "that is what seals the trait")]
    pub trait Pipeline {
        type Output;
        type Each;
        type Slots: Slots;

        fn slots(&self) -> Self::Slots;

        /// The text of a statement.
        fn sql(&self, index: u32) -> Option<&str>;

        /// The text of the first, or `None` if there is none.
        fn first_sql(&self) -> Option<&str> {
            self.sql(0)
        }

        fn visit<'q, V: Visitor<'q>>(
            &'q self,
            slots: &mut Self::Slots,
            visitor: &mut V,
        ) -> Result<(), (u32, crate::error::Error)>;

        fn finish(&self, slots: Self::Slots) -> Result<Self::Output, PipelineError>;

        fn finish_each(&self, slots: Self::Slots) -> Self::Each;
    }
}
