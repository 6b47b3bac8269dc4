//! The ways in which the backend's bytes of a dialogue can arrive: split, dripping, cut off,
//! changed.

/// What happens to the backend's bytes on their way. Offsets count from the first byte that
/// the backend sends in the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Each step arrives at once.
    None,
    /// What is delivered together arrives in two parts, one on each side of this offset.
    SplitAt(usize),
    /// At most so many bytes arrive at a time.
    Pieces(usize),
    /// The stream ends at this offset.
    CutAt(usize),
    /// The bits of `mask` are the other way round in the byte at `offset`.
    Flip {
        /// Which byte.
        offset: usize,
        /// Which bits of it; never 0.
        mask: u8,
    },
}

/// One read of the frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// These bytes arrive.
    Bytes(Vec<u8>),
    /// The stream ends.
    End,
}

/// Turns what the backend sends into what arrives.
#[derive(Clone, Debug)]
pub struct Delivery {
    mutation: Mutation,
    sent: usize,
    ended: bool,
}

impl Mutation {
    /// Every split that isn't at an end of `total` bytes.
    pub fn splits(total: usize) -> impl Iterator<Item = Self> {
        (1..total).map(Self::SplitAt)
    }

    /// Every place where a stream of `total` bytes can be cut off.
    pub fn cuts(total: usize) -> impl Iterator<Item = Self> {
        (0..total).map(Self::CutAt)
    }

    /// Every byte of `total` changed: each of its bits alone, and all of them.
    pub fn flips(total: usize) -> impl Iterator<Item = Self> {
        let masks = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff];
        (0..total).flat_map(move |offset| {
            masks
                .into_iter()
                .map(move |mask| Self::Flip { offset, mask })
        })
    }

    /// All of these, and one byte at a time: what scenario D1 asks for.
    pub fn all(total: usize) -> impl Iterator<Item = Self> {
        [Self::None, Self::Pieces(1)]
            .into_iter()
            .chain(Self::splits(total))
            .chain(Self::cuts(total))
            .chain(Self::flips(total))
    }

    /// Whether the same bytes arrive, so that the outcome must be the same.
    pub fn keeps_the_bytes(self) -> bool {
        matches!(self, Self::None | Self::SplitAt(_) | Self::Pieces(_))
    }
}

impl Delivery {
    /// A delivery from the first byte on.
    pub fn new(mutation: Mutation) -> Self {
        Self {
            mutation,
            sent: 0,
            ended: false,
        }
    }

    /// How `bytes`, which the backend sends next, arrive.
    pub fn deliver(&mut self, bytes: &[u8]) -> Vec<Arrival> {
        if self.ended {
            return Vec::new();
        }
        let start = self.sent;
        self.sent += bytes.len();
        // An offset within these bytes, counted from their first.
        let inside = |offset: usize| offset.checked_sub(start).filter(|at| *at < bytes.len());
        match self.mutation {
            Mutation::SplitAt(offset) => match inside(offset) {
                Some(at) => arrivals([&bytes[..at], &bytes[at..]]),
                None => arrivals([bytes]),
            },
            Mutation::Pieces(size) => arrivals(bytes.chunks(size)),
            Mutation::CutAt(offset) => match inside(offset) {
                Some(at) => {
                    self.ended = true;
                    let mut arrived = arrivals([&bytes[..at]]);
                    arrived.push(Arrival::End);
                    arrived
                }
                None => arrivals([bytes]),
            },
            Mutation::Flip { offset, mask } => {
                let mut bytes = bytes.to_vec();
                if let Some(at) = inside(offset) {
                    bytes[at] ^= mask;
                }
                arrivals([bytes.as_slice()])
            }
            Mutation::None => arrivals([bytes]),
        }
    }

    /// The backend ends the stream.
    pub fn end(&mut self) -> Vec<Arrival> {
        if std::mem::replace(&mut self.ended, true) {
            Vec::new()
        } else {
            vec![Arrival::End]
        }
    }

    /// How many bytes the backend has sent, before any was lost.
    pub fn sent(&self) -> usize {
        self.sent
    }
}

fn arrivals<'b>(parts: impl IntoIterator<Item = &'b [u8]>) -> Vec<Arrival> {
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|part| Arrival::Bytes(part.to_vec()))
        .collect()
}
