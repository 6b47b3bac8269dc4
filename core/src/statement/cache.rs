//! [`StatementCache`]: the statements that a connection keeps prepared, the least recently
//! used ones leaving first.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use lru::LruCache;

use super::description::{Prepared, is_unused};
use crate::codec::DeclaredType;
use crate::params::Params;
use crate::row::Plans;

/// The statements of one connection by SQL text and declared parameter types.
///
/// Capped in statements and in bytes of SQL. What leaves is closed on the server when
/// nothing uses it any more: [`begin_closing`](Self::begin_closing).
pub struct StatementCache<S = lru::DefaultHasher> {
    entries: LruCache<Key, Entry, BuildHasherDefault<Prehashed>>,
    capacity: usize,
    /// The SQL of all entries, in bytes.
    bytes: usize,
    hasher: S,
    /// The hashes of texts by the address that they were last seen at.
    memos: [Memo; MEMOS],
    /// Statements that have left the cache, to be closed when they are unused.
    evicted: Vec<Arc<Prepared>>,
    /// Names that the server may or may not know: their Parse was sent, and nobody saw what
    /// became of it.
    unsettled: Vec<Box<str>>,
    /// What the flight that is being written closes.
    closing: Vec<Box<str>>,
}

/// A cached statement.
#[derive(Debug)]
pub struct Entry {
    pub prepared: Arc<Prepared>,
    pub plans: Plans,
}

/// The SQL that a connection keeps at most, in bytes.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The longest SQL that is kept, in bytes. A longer one is rarely sent twice.
pub(crate) const MAX_STATEMENT_BYTES: usize = 64 * 1024;

/// How many texts the cache remembers the address of.
const MEMOS: usize = 16;

struct Key {
    hash: u64,
    sql: Box<str>,
    declared: Box<[DeclaredType]>,
}

/// Where a text was, and what it hashed to then. The text may have changed since: the hash
/// only picks a candidate, whose text is compared.
#[derive(Clone, Copy, Default)]
struct Memo {
    address: usize,
    length: usize,
    hash: u64,
}

impl StatementCache {
    pub fn new(capacity: usize) -> Self {
        Self::with_hasher(capacity, lru::DefaultHasher::default())
    }
}

impl<S: BuildHasher> StatementCache<S> {
    fn with_hasher(capacity: usize, hasher: S) -> Self {
        Self {
            entries: LruCache::unbounded_with_hasher(BuildHasherDefault::default()),
            capacity,
            bytes: 0,
            hasher,
            memos: [Memo::default(); MEMOS],
            evicted: Vec::new(),
            unsettled: Vec::new(),
            closing: Vec::new(),
        }
    }

    /// How many statements are cached.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Whether a statement of this text would be kept.
    pub fn keeps(&self, sql: &str) -> bool {
        self.capacity > 0 && sql.len() <= MAX_STATEMENT_BYTES
    }

    /// The statement of exactly this text, prepared for parameters that are declared alike.
    #[inline]
    pub fn lookup<P: Params + ?Sized>(&mut self, sql: &str, params: &P) -> Option<&mut Entry> {
        if self.entries.is_empty() {
            return None;
        }
        // The statement that was used last is the likeliest one.
        if let Some((key, _)) = self.entries.peek_mru() {
            if *key.sql == *sql && params.are_declared(&key.declared) {
                return self.entries.iter_mut().next().map(|(_, entry)| entry);
            }
        }
        let (address, length) = (sql.as_ptr() as usize, sql.len());
        let slot = (address >> 3) % MEMOS;
        let memo = self.memos[slot];
        if memo.address == address && memo.length == length {
            let query = Query {
                hash: memo.hash,
                sql,
                params,
            };
            if self.entries.promote(&query as &dyn Lookup) {
                return self.entries.iter_mut().next().map(|(_, entry)| entry);
            }
        }
        let hash = self.hash(sql);
        self.memos[slot] = Memo {
            address,
            length,
            hash,
        };
        self.entries
            .get_mut(&Query { hash, sql, params } as &dyn Lookup)
    }

    /// Makes room for a statement of this text before its Parse is sent, so that the server
    /// closes what leaves first and never holds more statements than the cap.
    pub fn make_room(&mut self, sql: &str) {
        if self.keeps(sql) {
            self.shrink_to(self.capacity - 1, MAX_BYTES - sql.len());
        }
    }

    /// Keeps a statement; the least recently used ones make room.
    pub fn insert(&mut self, sql: &str, declared: &[DeclaredType], prepared: Arc<Prepared>) {
        let key = Key {
            hash: self.hash(sql),
            sql: sql.into(),
            declared: declared.into(),
        };
        self.bytes += sql.len();
        if let Some((old, entry)) = self.entries.push(
            key,
            Entry {
                prepared,
                plans: Plans::default(),
            },
        ) {
            // The same key: prepared twice, or replaced after an error.
            self.bytes -= old.sql.len();
            self.evicted.push(entry.prepared);
        }
        self.shrink_to(self.capacity, MAX_BYTES);
    }

    /// Gives up the statement that `prepared` is, if it is kept, to be closed.
    pub fn evict(&mut self, prepared: &Arc<Prepared>) {
        let key = self
            .entries
            .iter()
            .find(|(_, entry)| Arc::ptr_eq(&entry.prepared, prepared));
        let Some((sql, declared)) = key.map(|(key, _)| (key.sql.clone(), key.declared.clone()))
        else {
            return;
        };
        let exact = Key {
            hash: self.hash(&sql),
            sql,
            declared,
        };
        if let Some(entry) = self.entries.pop(&exact as &dyn Lookup) {
            self.bytes -= exact.sql.len();
            self.evicted.push(entry.prepared);
        }
    }

    /// Gives up the statements with types that aren't built in.
    pub fn evict_custom(&mut self) {
        let entries = self.entries.iter();
        let custom = entries.filter(|(_, entry)| entry.prepared.description().epoch() != 0);
        let custom: Vec<_> = custom
            .map(|(_, entry)| Arc::clone(&entry.prepared))
            .collect();
        custom.iter().for_each(|prepared| self.evict(prepared));
    }

    /// All statements are about to be deallocated on the server.
    pub fn forget_all(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        self.evicted.clear();
    }

    /// Has a statement that isn't kept closed once nothing uses it any more.
    pub fn release(&mut self, prepared: Arc<Prepared>) {
        self.evicted.push(prepared);
    }

    /// Parse is about to be sent under `name`.
    pub fn begin_parse(&mut self, name: &str) {
        if !name.is_empty() {
            self.unsettled.push(name.into());
        }
    }

    /// It is known what became of the Parse under `name`.
    pub fn settle(&mut self, name: &str) {
        self.unsettled.retain(|unsettled| **unsettled != *name);
    }

    /// Whether [`begin_closing`](Self::begin_closing) may have something.
    #[inline]
    pub fn has_closable(&self) -> bool {
        self.evicted.len() | self.unsettled.len() | self.closing.len() != 0
    }

    /// The names to close on the server now. Closing a name that it doesn't know is no error
    /// (manual, "Message Flow", Extended Query). They are named again until
    /// [`end_closing`](Self::end_closing) says that their Close is on its way.
    pub fn begin_closing(&mut self) -> &[Box<str>] {
        self.closing.append(&mut self.unsettled);
        self.evicted.retain(|prepared| {
            let unused = is_unused(prepared);
            // The unnamed one goes by itself.
            if unused && !prepared.name().is_empty() {
                self.closing.push(prepared.name().into());
            }
            !unused
        });
        &self.closing
    }

    /// The names of the last [`begin_closing`](Self::begin_closing) are closed.
    #[inline]
    pub fn end_closing(&mut self) {
        self.closing.clear();
    }

    /// Gives up the least recently used statements until so many and so much SQL is left.
    fn shrink_to(&mut self, capacity: usize, bytes: usize) {
        while self.entries.len() > capacity || self.bytes > bytes {
            let Some((key, entry)) = self.entries.pop_lru() else {
                break;
            };
            self.bytes -= key.sql.len();
            self.evicted.push(entry.prepared);
        }
    }

    fn hash(&self, sql: &str) -> u64 {
        self.hasher.hash_one(sql)
    }
}

impl<S> fmt::Debug for StatementCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatementCache")
            .field("entries", &self.entries.len())
            .field("capacity", &self.capacity)
            .field("bytes", &self.bytes)
            .field("evicted", &self.evicted.len())
            .finish_non_exhaustive()
    }
}

/// What a cached statement is found by: its own key, or a text and parameters that are lent.
trait Lookup {
    fn hash_code(&self) -> u64;
    fn as_key(&self) -> Option<&Key>;
    fn is_for(&self, key: &Key) -> bool;
}

struct Query<'a, P: ?Sized> {
    hash: u64,
    sql: &'a str,
    params: &'a P,
}

impl<P: Params + ?Sized> Lookup for Query<'_, P> {
    fn hash_code(&self) -> u64 {
        self.hash
    }

    fn as_key(&self) -> Option<&Key> {
        None
    }

    fn is_for(&self, key: &Key) -> bool {
        *key.sql == *self.sql && self.params.are_declared(&key.declared)
    }
}

impl Lookup for Key {
    fn hash_code(&self) -> u64 {
        self.hash
    }

    fn as_key(&self) -> Option<&Key> {
        Some(self)
    }

    fn is_for(&self, key: &Key) -> bool {
        self.sql == key.sql && self.declared == key.declared
    }
}

impl<'a> Borrow<dyn Lookup + 'a> for Key {
    fn borrow(&self) -> &(dyn Lookup + 'a) {
        self
    }
}

impl PartialEq for dyn Lookup + '_ {
    fn eq(&self, other: &Self) -> bool {
        match (self.as_key(), other.as_key()) {
            (Some(key), _) => other.is_for(key),
            (None, Some(key)) => self.is_for(key),
            (None, None) => false,
        }
    }
}

impl Eq for dyn Lookup + '_ {}

impl Hash for dyn Lookup + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash_code());
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.is_for(other)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A hasher for keys that carry their hash.
#[derive(Default)]
struct Prehashed(u64);

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Description;
    use super::*;
    use crate::row::Columns;

    /// Every text hashes to the same.
    #[derive(Default)]
    struct Constant;

    impl BuildHasher for Constant {
        type Hasher = Prehashed;

        fn build_hasher(&self) -> Prehashed {
            Prehashed(0)
        }

        fn hash_one<T: Hash>(&self, _: T) -> u64 {
            7
        }
    }

    fn prepared(name: &str) -> Arc<Prepared> {
        let description = Description::new(Vec::new(), Columns::new(Vec::new()));
        Arc::new(Prepared::new(name, "", &[], description, false).unwrap())
    }

    fn name_of<S: BuildHasher>(cache: &mut StatementCache<S>, sql: &str) -> Option<String> {
        cache
            .lookup(sql, &())
            .map(|entry| entry.prepared.name().to_owned())
    }

    #[test]
    fn s35_a_constant_hash_finds_the_right_statement() {
        let mut cache = StatementCache::with_hasher(100, Constant);
        for i in 0..100 {
            cache.insert(&format!("select {i}"), &[], prepared(&format!("k{i}")));
        }
        for i in (0..100).rev() {
            assert_eq!(
                name_of(&mut cache, &format!("select {i}")),
                Some(format!("k{i}"))
            );
        }
        assert_eq!(name_of(&mut cache, "select 100"), None);
    }

    #[test]
    fn s35_a_buffer_that_is_rewritten_finds_the_new_text() {
        let mut cache = StatementCache::new(10);
        cache.insert("select 1", &[], prepared("one"));
        cache.insert("select 2", &[], prepared("two"));
        let mut buffer = String::from("select 1");
        let address = buffer.as_ptr();
        for (text, name) in [
            ("select 1", Some("one")),
            ("select 2", Some("two")),
            ("select 3", None),
            ("select 1", Some("one")),
        ] {
            buffer.clear();
            buffer.push_str(text);
            assert_eq!(buffer.as_ptr(), address);
            assert_eq!(name_of(&mut cache, &buffer).as_deref(), name);
        }
    }

    #[test]
    fn declared_types_are_part_of_the_key() {
        let mut cache = StatementCache::new(10);
        cache.insert("select $1", &[i32::DECLARED], prepared("int"));
        assert!(cache.lookup("select $1", &(1_i64,)).is_none());
        assert!(cache.lookup("select $1", &(1_i32,)).is_some());
        assert!(cache.lookup("select $1", &()).is_none());
    }

    #[test]
    fn r30_entries_and_bytes_are_capped() {
        let mut cache = StatementCache::new(8);
        for i in 0..100_000 {
            cache.insert(&format!("select {i}"), &[], prepared(&format!("k{i}")));
            assert!(cache.count() <= 8);
            // Nothing but the cache holds them: each is closed as soon as it has left.
            assert_eq!(cache.begin_closing().len(), usize::from(i >= 8));
            cache.end_closing();
        }
        let mut cache = StatementCache::new(1_000_000);
        for i in 0..1_000 {
            cache.insert(&format!("{i:>60000}"), &[], prepared("k"));
            assert!(cache.bytes <= MAX_BYTES);
        }
        assert!(cache.count() < MAX_BYTES / 60_000 + 1);
    }

    #[test]
    fn r43_room_is_made_before_a_statement_is_prepared() {
        let mut cache = StatementCache::new(2);
        for i in 0..100 {
            let sql = format!("select {i}");
            cache.make_room(&sql);
            assert!(cache.count() < 2);
            cache.insert(&sql, &[], prepared(&format!("k{i}")));
            assert_eq!(cache.count(), (i + 1).min(2));
        }
        // What won't be kept needs no room.
        cache.make_room(&"x".repeat(MAX_STATEMENT_BYTES + 1));
        assert_eq!(cache.count(), 2);
        StatementCache::new(0).make_room("select 1");
    }

    #[test]
    fn r44_a_statement_in_use_is_closed_when_it_is_released() {
        let mut cache = StatementCache::new(1);
        let held = prepared("held");
        cache.insert("select 1", &[], Arc::clone(&held));
        cache.insert("select 2", &[], prepared("next"));
        assert!(cache.begin_closing().is_empty());
        drop(held);
        assert_eq!(cache.begin_closing(), ["held".into()]);
        // The flight was not sent.
        assert_eq!(cache.begin_closing(), ["held".into()]);
        cache.end_closing();
        assert!(!cache.has_closable());
    }

    #[test]
    fn a_parse_that_nobody_saw_the_end_of_is_closed() {
        let mut cache = StatementCache::new(1);
        cache.begin_parse("seen");
        cache.begin_parse("dropped");
        cache.settle("seen");
        assert_eq!(cache.begin_closing(), ["dropped".into()]);
    }

    use crate::codec::Encode;
}
