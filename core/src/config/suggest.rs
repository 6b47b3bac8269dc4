//! The known name that a mistyped one probably means.

/// The candidate that is nearest to `name`, if it is near enough to be meant: at most one
/// edit for each three characters of `name`, and at least one.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let length = name.chars().count();
    if length == 0 || length > LONGEST {
        return None;
    }
    let reach = (length / 3).max(1);
    candidates
        .into_iter()
        // At least as many edits as the lengths differ.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= reach)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= reach)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`;
/// upper and lower case, and `-` and `_`, are the same (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().map(folded).collect();
    let b: Vec<char> = b.chars().map(folded).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

fn folded(character: char) -> char {
    match character {
        '-' => '_',
        other => other.to_ascii_lowercase(),
    }
}

/// A name longer than this, in characters, is no mistyped one; the search is quadratic.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_or_none_is() {
        let known = ["host", "hostaddr", "port", "sslmode", "connect_timeout"];
        for (typed, meant) in [
            ("hots", Some("host")),
            ("HOST", Some("host")),
            ("ssl_mode", Some("sslmode")),
            ("sslmod", Some("sslmode")),
            ("conect-timeout", Some("connect_timeout")),
            ("prt", Some("port")),
            ("xyzzy", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!(nearest(&"a".repeat(10_000), known), None);
    }

    #[test]
    fn distances_count_swaps_once() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}
