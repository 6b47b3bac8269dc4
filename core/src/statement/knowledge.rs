//! [`Knowledge`]: what the connections to one server tell each other of its statements and
//! types.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lru::LruCache;

use super::description::Description;
use crate::codec::DeclaredType;
use crate::params::Params;
use crate::types::Type;

/// What connections to one server have learnt: the types of its database by OID, and the
/// descriptions of statements. Capped in number and in bytes.
///
/// It is asked when a connection meets something new, never for a statement that it has
/// prepared. Everything in it may be outdated: whoever uses a description has the server
/// describe the statement again in the same flight, and believes that.
///
/// An *epoch* is a time in which types are what they are. It ends when a type is seen to have
/// changed, and when nobody is connected any more: the OIDs of custom types mean something
/// else on the server that may be there next.
pub struct Knowledge {
    epoch: AtomicU64,
    inner: Mutex<Inner>,
}

/// Held by each connection: while there is one, it is the same server.
#[derive(Debug)]
pub struct Presence;

struct Inner {
    types: Arc<HashMap<u32, Type>>,
    statements: LruCache<Box<str>, Vec<Known>>,
    /// How much the statements take, in bytes.
    bytes: usize,
    presence: Weak<Presence>,
}

/// A statement's description, for parameters that are declared so.
struct Known {
    declared: Box<[DeclaredType]>,
    description: Description,
    /// How often it may still be used before it is learnt anew.
    uses: u32,
}

/// How many texts are kept.
pub(crate) const MAX_STATEMENTS: usize = 4096;

/// What they and their descriptions may take, in bytes.
pub(crate) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The longest text that is kept, in bytes.
const MAX_STATEMENT_BYTES: usize = 64 * 1024;

/// How many kinds of parameters of one text are kept.
const MAX_KINDS: usize = 4;

/// How many types are kept.
pub const MAX_TYPES: usize = 32 * 1024;

/// How many connections use a description before one describes the statement anew: a change
/// of the schema that spoils nothing, such as another type that parameters are cast to, is
/// not noticed otherwise.
const MAX_USES: u32 = 256;

impl Default for Knowledge {
    fn default() -> Self {
        Self {
            epoch: AtomicU64::new(next_epoch()),
            inner: Mutex::new(Inner {
                types: Arc::default(),
                statements: LruCache::unbounded(),
                bytes: 0,
                presence: Weak::new(),
            }),
        }
    }
}

impl Knowledge {
    /// The epoch that it is now.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A connection is made. If it is the only one, the server may be another than before.
    pub fn join(&self) -> Arc<Presence> {
        let mut inner = self.lock();
        if let Some(presence) = inner.presence.upgrade() {
            return presence;
        }
        if !inner.types.is_empty() {
            self.begin_epoch(&mut inner);
        }
        let presence = Arc::new(Presence);
        inner.presence = Arc::downgrade(&presence);
        presence
    }

    /// The types that are known, and the epoch that they are of.
    pub fn types(&self) -> (u64, Arc<HashMap<u32, Type>>) {
        let inner = self.lock();
        (self.epoch(), Arc::clone(&inner.types))
    }

    /// Keeps types that were looked up, all of them together with what they are made of, and
    /// returns what is known then. What differs from what was known begins a new epoch.
    ///
    /// `None` if they were looked up in an earlier `epoch`: they are not believed.
    pub fn learn_types(
        &self,
        epoch: u64,
        learnt: &HashMap<u32, Type>,
    ) -> Option<(u64, Arc<HashMap<u32, Type>>)> {
        let mut inner = self.lock();
        (epoch == self.epoch()).then(|| {
            let known = &inner.types;
            // What a type is made of is among what was learnt with it.
            let differs = |(oid, ty): (&u32, &Type)| {
                let known = known.get(oid);
                known.is_some_and(|known| !known.is_described_as(ty))
            };
            if learnt.iter().any(differs) {
                self.begin_epoch(&mut inner);
                inner.forget_statements();
            }
            let types = Arc::make_mut(&mut inner.types);
            if types.len() + learnt.len() > MAX_TYPES {
                types.clear();
            }
            let learnt = learnt.iter().take(MAX_TYPES);
            types.extend(learnt.map(|(oid, ty)| (*oid, ty.clone())));
            (self.epoch(), Arc::clone(&inner.types))
        })
    }

    /// The schema has changed.
    pub fn begin_anew(&self) {
        let mut inner = self.lock();
        self.begin_epoch(&mut inner);
        inner.forget_statements();
    }

    /// The description of a statement, as another connection has learnt it.
    pub fn description<P: Params + ?Sized>(&self, sql: &str, params: &P) -> Option<Description> {
        let mut inner = self.lock();
        let kinds = inner.statements.get_mut(sql)?;
        let place = kinds
            .iter()
            .position(|known| params.are_declared(&known.declared))?;
        let known = &mut kinds[place];
        known.uses = known.uses.saturating_sub(1);
        let is_current = known.description.is_of(self.epoch());
        let description = known.description.clone();
        if !is_current || known.uses == 0 {
            inner.remove(sql, |known| params.are_declared(&known.declared));
        }
        is_current.then_some(description)
    }

    /// Keeps the description of a statement.
    pub fn learn(&self, sql: &str, declared: &[DeclaredType], description: &Description) {
        if sql.len() > MAX_STATEMENT_BYTES || !description.is_of(self.epoch()) {
            return;
        }
        let known = Known {
            declared: declared.into(),
            description: description.clone(),
            uses: MAX_USES,
        };
        let mut inner = self.lock();
        inner.remove(sql, |known| *known.declared == *declared);
        let size = known.size();
        if let Some(kinds) = inner.statements.get_mut(sql) {
            let outdated = (kinds.len() == MAX_KINDS).then(|| kinds.remove(0));
            kinds.push(known);
            inner.bytes -= outdated.map_or(0, |outdated| outdated.size());
        } else {
            inner.statements.put(sql.into(), vec![known]);
            inner.bytes += sql.len();
        }
        inner.bytes += size;
        while inner.statements.len() > MAX_STATEMENTS || inner.bytes > MAX_BYTES {
            let Some((sql, kinds)) = inner.statements.pop_lru() else {
                break;
            };
            inner.bytes -= size_of_entry(&sql, &kinds);
        }
    }

    /// Gives a description up that has turned out to be wrong.
    pub fn forget(&self, sql: &str, declared: &[DeclaredType]) {
        let mut inner = self.lock();
        inner.remove(sql, |known| *known.declared == *declared);
    }

    /// Descriptions with types that aren't built in are of no more use; the others stay.
    fn begin_epoch(&self, inner: &mut Inner) {
        inner.types = Arc::default();
        self.epoch.store(next_epoch(), Ordering::Release);
    }

    /// Nothing panics under the lock but for a lack of memory.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_statements(&mut self) {
        self.statements.clear();
        self.bytes = 0;
    }

    fn remove(&mut self, sql: &str, is_it: impl Fn(&Known) -> bool) {
        let Some(kinds) = self.statements.peek_mut(sql) else {
            return;
        };
        if let Some(place) = kinds.iter().position(is_it) {
            self.bytes -= kinds.remove(place).size();
            if kinds.is_empty() {
                self.statements.pop(sql);
                self.bytes -= sql.len();
            }
        }
    }
}

impl Known {
    fn size(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.declared) + self.description.size()
    }
}

fn size_of_entry(sql: &str, kinds: &[Known]) -> usize {
    sql.len() + kinds.iter().map(Known::size).sum::<usize>()
}

impl fmt::Debug for Knowledge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        f.debug_struct("Knowledge")
            .field("epoch", &self.epoch())
            .field("types", &inner.types.len())
            .field("statements", &inner.statements.len())
            .field("bytes", &inner.bytes)
            .finish_non_exhaustive()
    }
}

/// An epoch that nobody else has; never 0.
pub fn next_epoch() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Column, Columns};
    use crate::types::Kind;

    fn described(ty: &Type, epoch: u64) -> Description {
        let column = Column::new("a", ty.clone(), 0, 0, 0, -1);
        Description::new(vec![ty.clone()], Columns::new(vec![column])).of_epoch(epoch)
    }

    fn mood(labels: &[&str]) -> Type {
        let labels = labels.iter().map(|&label| label.into()).collect();
        Type::custom(70_000, "public", "mood", Kind::Enum(labels), true, true).unwrap()
    }

    fn types(types: &[Type]) -> HashMap<u32, Type> {
        types.iter().map(|ty| (ty.oid(), ty.clone())).collect()
    }

    fn declared(count: usize) -> Vec<DeclaredType> {
        vec![DeclaredType::Described; count]
    }

    const DATE: crate::codec::Date = crate::codec::Date::MIN;

    #[test]
    fn a_description_is_found_by_text_and_declared_types() {
        let knowledge = Knowledge::default();
        knowledge.learn("select $1", &declared(1), &described(&Type::DATE, 0));
        let found = knowledge.description("select $1", &(DATE,)).unwrap();
        assert_eq!(found.parameters(), [Type::DATE]);
        assert!(knowledge.description("select $1", &(1,)).is_none());
        assert!(knowledge.description("select $2", &(DATE,)).is_none());
        assert!(knowledge.description("select $1", &(DATE, DATE)).is_none());
        knowledge.forget("select $1", &declared(1));
        assert!(knowledge.description("select $1", &(DATE,)).is_none());
        assert_eq!(knowledge.lock().bytes, 0);
    }

    #[test]
    fn r30_descriptions_are_capped_in_number_bytes_and_uses() {
        let knowledge = Knowledge::default();
        for i in 0..100_000 {
            let sql = format!("select {i}");
            knowledge.learn(&sql, &declared(1), &described(&Type::DATE, 0));
        }
        assert_eq!(knowledge.lock().statements.len(), MAX_STATEMENTS);
        for i in 0..1_000 {
            let sql = format!("{i:>60000}");
            knowledge.learn(&sql, &declared(1), &described(&Type::DATE, 0));
            assert!(knowledge.lock().bytes <= MAX_BYTES);
        }
        for count in 0..10 * MAX_KINDS {
            knowledge.learn("select", &declared(count), &described(&Type::DATE, 0));
        }
        {
            let inner = knowledge.lock();
            assert_eq!(inner.statements.peek("select").unwrap().len(), MAX_KINDS);
            let counted = inner.statements.iter();
            let counted: usize = counted.map(|(sql, kinds)| size_of_entry(sql, kinds)).sum();
            assert_eq!(inner.bytes, counted);
        }
        knowledge.learn("used", &declared(1), &described(&Type::DATE, 0));
        let found = (0..2 * MAX_USES).map(|_| knowledge.description("used", &(DATE,)));
        assert_eq!(found.flatten().count(), MAX_USES as usize);
        let many: HashMap<u32, Type> = (0..100_000)
            .map(|oid| (70_000 + oid, Type::unknown(70_000 + oid)))
            .collect();
        knowledge.learn_types(knowledge.epoch(), &many);
        assert_eq!(knowledge.types().1.len(), MAX_TYPES);
    }

    #[test]
    fn r46_a_type_that_has_changed_ends_the_epoch() {
        let knowledge = Knowledge::default();
        let (first, old) = (knowledge.epoch(), mood(&["a"]));
        knowledge.learn_types(first, &types(std::slice::from_ref(&old)));
        knowledge.learn_types(first, &types(&[old.clone(), Type::unknown(70_001)]));
        assert_eq!(knowledge.epoch(), first);
        knowledge.learn("select $1", &declared(1), &described(&old, first));
        assert!(knowledge.description("select $1", &(DATE,)).is_some());
        let new = mood(&["a", "b"]);
        let learnt = knowledge.learn_types(first, &types(std::slice::from_ref(&new)));
        let (second, found) = learnt.unwrap();
        assert_ne!(second, first);
        assert_eq!(*found, types(&[new]));
        assert!(knowledge.description("select $1", &(DATE,)).is_none());
        // What was looked up before the change is not believed behind it.
        assert!(
            knowledge
                .learn_types(first, &types(std::slice::from_ref(&old)))
                .is_none()
        );
        knowledge.learn("select $1", &declared(1), &described(&old, first));
        assert_eq!(*knowledge.types().1, *found);
        assert!(knowledge.description("select $1", &(DATE,)).is_none());
    }

    #[test]
    fn the_types_of_a_server_that_nobody_is_connected_to_are_forgotten() {
        let knowledge = Knowledge::default();
        let (first, second) = (knowledge.join(), knowledge.join());
        let epoch = knowledge.epoch();
        knowledge.learn_types(epoch, &types(&[mood(&["a"])]));
        knowledge.learn("select $1", &declared(1), &described(&mood(&["a"]), epoch));
        knowledge.learn("select $2", &declared(1), &described(&Type::DATE, 0));
        drop(first);
        let third = knowledge.join();
        assert_eq!(knowledge.types().1.len(), 1);
        drop((second, third));
        let _fourth = knowledge.join();
        assert!(knowledge.types().1.is_empty());
        assert_ne!(knowledge.epoch(), epoch);
        assert!(knowledge.description("select $1", &(DATE,)).is_none());
        // Built-in types are the same everywhere.
        assert!(knowledge.description("select $2", &(DATE,)).is_some());
    }
}
