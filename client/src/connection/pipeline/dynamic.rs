//! [`Statements`]: a pipeline whose length and kinds are known only at run time.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{PipelineError, at};
use super::item::{Item, Slot, sealed};
use super::tuple::Visitor;
use super::tuple::sealed::Pipeline;
use crate::connection::sinks::Collector;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::protocol::RowBytes;
use crate::row::{Columns, Plans};

/// The statements of a pipeline, of any number and of several kinds, where both are known
/// only at run time.
///
/// Each statement that is added gives a [`Ticket`], for which [`Results`] has the result.
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection, seen: bool) -> kornak::Result<()> {
/// use kornak::connection::pipeline::Statements;
/// use kornak::{all, exec, one};
///
/// let mut statements = Statements::new();
/// let name = statements.add(one::<String>("select name from users where id = $1", (7,)));
/// let posts = statements.add(all::<(i32, String)>("select id, title from posts", ()));
/// if seen {
///     statements.add(exec("update users set seen = now() where id = $1", (7,)));
/// }
/// let mut results = connection.pipeline(statements).await?;
/// println!("{}: {} posts", results.take(name)?, results.take(posts)?.len());
/// # Ok(())
/// # }
/// ```
#[must_use = "a pipeline runs when it is given to a connection or a pool"]
pub struct Statements<'q> {
    id: u64,
    items: Vec<Boxed<'q>>,
}

/// Stands for the result of one of [`Statements`].
#[derive(Debug)]
pub struct Ticket<T> {
    statements: u64,
    index: u32,
    result: PhantomData<fn() -> T>,
}

/// The results of [`Statements`].
#[derive(Debug)]
pub struct Results {
    statements: u64,
    results: Vec<Option<Result<Box<dyn Any + Send>>>>,
}

impl<'q> Statements<'q> {
    /// No statement yet.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            items: Vec::new(),
        }
    }

    /// Adds a statement, made by [`one`](super::one), [`optional`](super::optional),
    /// [`all`](super::all) or [`exec`](super::exec).
    pub fn add<I>(&mut self, item: I) -> Ticket<I::Output>
    where
        I: Item<Output: Send + 'static, Collector: Send + 'static> + Send + Sync + 'q,
    {
        let ticket = Ticket {
            statements: self.id,
            // A pipeline of so many statements would not fit into memory.
            index: u32::try_from(self.items.len()).unwrap_or(u32::MAX),
            result: PhantomData,
        };
        self.items.push(Boxed(Box::new(item)));
        ticket
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl Default for Statements<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Statements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.items.iter().map(|item| item.0.sql());
        f.debug_list().entries(texts).finish()
    }
}

impl<T> Ticket<T> {
    /// The statement's place in the pipeline, counted from 0, as
    /// [`PipelineError::index`] names it.
    pub fn index(&self) -> u64 {
        self.index.into()
    }
}

impl Results {
    /// The result of the statement that the ticket stands for.
    ///
    /// # Errors
    ///
    /// The statement's own, of [`pipeline_each`](super::super::Connection::pipeline_each). A ticket
    /// of other statements.
    pub fn take<T: 'static>(&mut self, ticket: Ticket<T>) -> Result<T> {
        let result = (ticket.statements == self.statements)
            .then(|| self.results.get_mut(ticket.index as usize)?.take())
            .flatten();
        let foreign = || Error::usage("the ticket is one of other statements");
        let value = result.ok_or_else(foreign)??;
        value.downcast().map(|value| *value).map_err(|_| foreign())
    }
}

impl Pipeline for Statements<'_> {
    type Output = Results;
    type Each = Results;
    type Slots = Vec<Slot<BoxedCollector>>;

    fn slots(&self) -> Self::Slots {
        self.items.slots()
    }

    fn sql(&self, index: u32) -> Option<&str> {
        Pipeline::sql(&self.items, index)
    }

    fn visit<'v, V: Visitor<'v>>(
        &'v self,
        slots: &mut Self::Slots,
        visitor: &mut V,
    ) -> Result<(), (u32, Error)> {
        self.items.visit(slots, visitor)
    }

    fn finish(&self, mut slots: Self::Slots) -> Result<Results, PipelineError> {
        let mut results = Vec::with_capacity(slots.len());
        for (index, (item, slot)) in (0..).zip(self.items.iter().zip(&mut slots)) {
            let result = slot.finish(item).map_err(|error| at((index, error)))?;
            results.push(Some(Ok(result)));
        }
        Ok(Results {
            statements: self.id,
            results,
        })
    }

    fn finish_each(&self, mut slots: Self::Slots) -> Results {
        let both = self.items.iter().zip(&mut slots);
        Results {
            statements: self.id,
            results: both.map(|(item, slot)| Some(slot.finish(item))).collect(),
        }
    }
}

/// A statement of any kind.
struct Boxed<'q>(Box<dyn AnyItem + Send + Sync + 'q>);

/// [`Item`] without its types.
trait AnyItem {
    fn sql(&self) -> &str;
    fn params(&self) -> &dyn Params;
    fn collector(&self) -> Box<dyn AnyCollector + Send>;
    fn finish(&self, collector: &mut dyn Any, rows: u64) -> Result<Box<dyn Any + Send>>;
}

/// [`Collector`] without its types.
trait AnyCollector {
    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()>;
    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>>;
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<I> AnyItem for I
where
    I: sealed::Item<Output: Send + 'static, Collector: Send + 'static>,
{
    fn sql(&self) -> &str {
        sealed::Item::sql(self)
    }

    fn params(&self) -> &dyn Params {
        self.any_params()
    }

    fn collector(&self) -> Box<dyn AnyCollector + Send> {
        Box::new(sealed::Item::collector(self))
    }

    fn finish(&self, collector: &mut dyn Any, rows: u64) -> Result<Box<dyn Any + Send>> {
        match collector.downcast_mut::<I::Collector>() {
            Some(collector) => Ok(Box::new(sealed::Item::finish(self, collector, rows)?)),
            None => Err(Error::usage("a statement was given another's rows")),
        }
    }
}

impl sealed::Item for Boxed<'_> {
    type Collector = BoxedCollector;
    type Output = Box<dyn Any + Send>;

    fn sql(&self) -> &str {
        self.0.sql()
    }

    fn params(&self) -> impl Params {
        self.0.params()
    }

    fn any_params(&self) -> &dyn Params {
        self.0.params()
    }

    fn collector(&self) -> BoxedCollector {
        BoxedCollector(self.0.collector())
    }

    fn finish(&self, collector: &mut BoxedCollector, rows: u64) -> Result<Box<dyn Any + Send>> {
        self.0.finish(collector.0.as_any(), rows)
    }
}

/// A [`Collector`] of any kind.
pub struct BoxedCollector(Box<dyn AnyCollector + Send>);

impl Collector for BoxedCollector {
    // Some of them may keep rows; to the others it makes no difference but for large ones.
    const SHARES_ROWS: bool = true;

    const COUNTS_ROWS: bool = true;

    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()> {
        self.0.begin(columns, plans)
    }

    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        self.0.row(row)
    }
}

impl<C: Collector + Send + 'static> AnyCollector for C {
    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()> {
        Collector::begin(self, columns, plans)
    }

    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        Collector::row(self, row)
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
