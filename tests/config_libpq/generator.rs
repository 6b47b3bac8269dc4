//! Connection strings by their grammar, and broken ones.

/// Numbers that look random and are the same each time (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// A connection string: a third URIs, a third pairs, a third of either with mistakes made
/// at random. `keywords` are the options that it may name.
pub(crate) fn connection_string(random: &mut Random, keywords: &[&str]) -> String {
    let mut text = if random.once_in(2) {
        uri(random, keywords)
    } else {
        pairs(random, keywords)
    };
    if random.once_in(3) {
        for _ in 0..=random.below(3) {
            text = mutated(random, &text);
        }
    }
    text
}

fn uri(random: &mut Random, keywords: &[&str]) -> String {
    let mut text = if random.once_in(50) {
        random
            .pick(&[
                "postgres:/",
                "Postgres://",
                "postgresql:",
                "postgresqls://",
                " postgres://",
            ])
            .to_owned()
    } else {
        random.pick(&["postgres://", "postgresql://"]).to_owned()
    };
    if random.below(3) > 0 {
        text += &word(random);
        if random.once_in(2) {
            text += ":";
            text += &word(random);
        }
        text += "@";
    }
    for index in 0..random.below(4) {
        if index > 0 {
            text += ",";
        }
        match random.below(8) {
            0 => {}
            1 => text += random.pick(&["[::1]", "[fe80::1%25lo]", "[2001:db8::1]", "[]", "[x"]),
            2 => text += random.pick(&["%2Ftmp", "%2fvar%2Frun", "%40abstract", "[::1]x"]),
            _ => text += &word(random),
        }
        if random.once_in(2) {
            text += ":";
            text += random.pick(&["5432", "1", "", "x", "%31", " 1", "1 "]);
        }
    }
    if random.below(3) > 0 {
        text += "/";
        text += &word(random);
    }
    if random.once_in(2) {
        text += "?";
        for index in 0..random.below(4) {
            if index > 0 {
                text += "&";
            }
            text += &parameter_name(random, keywords);
            text += random.pick(&["=", "=", "=", "=", "=", "=", "", "=="]);
            text += &word(random);
        }
    }
    text
}

fn parameter_name(random: &mut Random, keywords: &[&str]) -> String {
    let name = keyword(random, keywords);
    match random.below(10) {
        0 => {
            // A percent sign can spell any letter.
            let at = random.below(name.len().max(1));
            name.bytes()
                .enumerate()
                .map(|(index, byte)| match index == at {
                    true => format!("%{byte:02X}"),
                    false => char::from(byte).to_string(),
                })
                .collect()
        }
        1 => "ssl".to_owned(),
        _ => name,
    }
}

fn pairs(random: &mut Random, keywords: &[&str]) -> String {
    let mut text = String::new();
    for _ in 0..random.below(5) {
        text += blanks(random);
        text += &keyword(random, keywords);
        text += blanks(random);
        text += random.pick(&["=", "=", "=", "=", "=", "=", "=", ""]);
        text += blanks(random);
        if random.once_in(3) {
            text += "'";
            for _ in 0..random.below(4) {
                text += random.pick(&["a", " ", "\\'", "\\\\", "\\x", "=", "é", "\n", "\""]);
            }
            text += random.pick(&["'", "'", "'", "'", "'", "'", "\\"]);
        } else {
            for _ in 0..random.below(5) {
                text +=
                    random.pick(&["a", "b", "1", "\\ ", "\\", "\\'", "é", "=", "'", "%41", ","]);
            }
        }
        text += random.pick(&[" ", "\t", "\n", "  ", "", "\x0B", "\x0C", "\r"]);
    }
    text
}

fn blanks<'a>(random: &mut Random) -> &'a str {
    random.pick(&["", "", "", "", " ", "\t\n", "\x0B", "\x0C\r"])
}

fn keyword(random: &mut Random, keywords: &[&str]) -> String {
    match random.below(30) {
        0 => "requiressl".to_owned(),
        1 => random
            .pick(&["nonsense", "", "Host", "ho st", "é"])
            .to_owned(),
        _ => random.pick(keywords).to_owned(),
    }
}

/// A part of a URI, most often a good one.
fn word(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(5) {
        text += match random.below(24) {
            0 => random.pick(&["%41", "%2F", "%2c", "%40", "%e9", "%20", "%25", "%0a"]),
            1 => random.pick(&["é", "+", "~", "!", "\"", "'", "\\", "#", "\t", ";"]),
            2 => random.pick(SPECIAL),
            3 => random.pick(&["true", "1", "require"]),
            _ => random.pick(&["a", "b", "host", "db", ".", "-", "_", "7"]),
        };
    }
    text
}

/// `text` with one character put in, left out, replaced or moved, or cut off behind it.
fn mutated(random: &mut Random, text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let at = random.below(characters.len() + 1);
    let special: Vec<char> = random.pick(SPECIAL).chars().collect();
    match random.below(5) {
        0 => {
            characters.splice(at..at, special);
        }
        1 if at < characters.len() => {
            characters.remove(at);
        }
        2 if at < characters.len() => {
            characters.splice(at..=at, special);
        }
        3 if at < characters.len() => {
            let to = random.below(characters.len());
            characters.swap(at, to);
        }
        _ => characters.truncate(at),
    }
    characters.into_iter().collect()
}

/// What the grammars give a meaning to.
const SPECIAL: &[&str] = &[
    "@", ":", "/", "?", "&", "=", ",", "[", "]", "%", "%0", "%00", "%zz", "'", "\\", " ", "#",
    "\u{a0}",
];
