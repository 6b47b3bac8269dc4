//! Names of columns, labels and types out of Rust names.

use proc_macro2::Ident;
use syn::LitStr;
use syn::ext::IdentExt;

/// How `rename_all` writes names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RenameRule {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

/// The rules by the names that they are asked for with, which are written as they write.
const RULES: [(&str, RenameRule); 8] = [
    ("lowercase", RenameRule::Lower),
    ("UPPERCASE", RenameRule::Upper),
    ("PascalCase", RenameRule::Pascal),
    ("camelCase", RenameRule::Camel),
    ("snake_case", RenameRule::Snake),
    ("SCREAMING_SNAKE_CASE", RenameRule::ScreamingSnake),
    ("kebab-case", RenameRule::Kebab),
    ("SCREAMING-KEBAB-CASE", RenameRule::ScreamingKebab),
];

/// How many edits away a name may be to be suggested.
const NEAR: usize = 3;

impl RenameRule {
    /// # Errors
    ///
    /// If there is no such rule.
    pub(crate) fn parse(text: &LitStr) -> syn::Result<Self> {
        let given = text.value();
        if let Some((_, rule)) = RULES.iter().find(|(name, _)| *name == given) {
            return Ok(*rule);
        }
        let names: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
        let message = match nearest(&given, &names) {
            Some(near) => format!("there is no case {given:?}; did you mean {near:?}?"),
            None => format!(
                "there is no case {given:?}; the cases are \"{}\"",
                names.join("\", \"")
            ),
        };
        Err(syn::Error::new(text.span(), message))
    }

    pub(crate) fn apply(self, name: &str) -> String {
        let words = words(name);
        let lower = || words.iter().map(|word| word.to_lowercase());
        let upper = || words.iter().map(|word| word.to_uppercase());
        let capitalized = |index: usize, word: &String| {
            if index == 0 && self == Self::Camel {
                word.to_lowercase()
            } else {
                capitalize(word)
            }
        };
        match self {
            Self::Lower => lower().collect(),
            Self::Upper => upper().collect(),
            Self::Pascal | Self::Camel => words
                .iter()
                .enumerate()
                .map(|(index, word)| capitalized(index, word))
                .collect(),
            Self::Snake => lower().collect::<Vec<_>>().join("_"),
            Self::ScreamingSnake => upper().collect::<Vec<_>>().join("_"),
            Self::Kebab => lower().collect::<Vec<_>>().join("-"),
            Self::ScreamingKebab => upper().collect::<Vec<_>>().join("-"),
        }
    }
}

/// The name of what `ident` stands for: what `rename` says, or `ident` by the rule of
/// `rename_all`.
pub(crate) fn name_of(ident: &Ident, rename: Option<&LitStr>, rule: Option<RenameRule>) -> String {
    if let Some(rename) = rename {
        return rename.value();
    }
    let name = ident.unraw().to_string();
    match rule {
        Some(rule) => rule.apply(&name),
        None => name,
    }
}

/// The candidate that `given` may have been meant to be.
pub(crate) fn nearest<'c>(given: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let given = given.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (distance(&given, &candidate.to_lowercase()), *candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= NEAR.min(candidate.len() / 2))
        .map(|(_, candidate)| candidate)
}

/// The words of a Rust name: `HTTPServer_v2` is `HTTP`, `Server`, `v2`.
fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (index, &character) in characters.iter().enumerate() {
        if character == '_' {
            words.push(String::new());
            continue;
        }
        let before = index.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(index + 1);
        let begins = character.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
            });
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capitalize(word: &str) -> String {
    let mut characters = word.chars();
    match characters.next() {
        Some(first) => first
            .to_uppercase()
            .chain(characters.flat_map(char::to_lowercase))
            .collect(),
        None => String::new(),
    }
}

/// How many characters to insert, drop or replace to get from one to the other
/// (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.chars().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (column, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_by_the_rule() {
        let check = |rule: &str, name: &str, expected: &str| {
            let rule = RULES.iter().find(|(known, _)| *known == rule).unwrap().1;
            assert_eq!(rule.apply(name), expected, "{rule:?} {name}");
        };
        for (rule, field, variant) in [
            ("lowercase", "randomnumber", "inprogress"),
            ("UPPERCASE", "RANDOMNUMBER", "INPROGRESS"),
            ("PascalCase", "RandomNumber", "InProgress"),
            ("camelCase", "randomNumber", "inProgress"),
            ("snake_case", "random_number", "in_progress"),
            ("SCREAMING_SNAKE_CASE", "RANDOM_NUMBER", "IN_PROGRESS"),
            ("kebab-case", "random-number", "in-progress"),
            ("SCREAMING-KEBAB-CASE", "RANDOM-NUMBER", "IN-PROGRESS"),
        ] {
            check(rule, "random_number", field);
            check(rule, "InProgress", variant);
        }
        check("snake_case", "HTTPServer", "http_server");
        check("snake_case", "Level2Cache", "level2_cache");
        check("snake_case", "A", "a");
        check("snake_case", "IPv6", "i_pv6");
        check("camelCase", "_private__field_", "privateField");
        check("SCREAMING_SNAKE_CASE", "GrößeÄndern", "GRÖSSE_ÄNDERN");
    }

    #[test]
    fn near_names_are_suggested() {
        let keys = ["rename", "rename_all", "skip"];
        assert_eq!(nearest("renam", &keys), Some("rename"));
        assert_eq!(nearest("rename_al", &keys), Some("rename_all"));
        assert_eq!(nearest("Skip", &keys), Some("skip"));
        assert_eq!(nearest("column", &keys), None);
        assert_eq!(nearest("x", &keys), None);
    }
}
