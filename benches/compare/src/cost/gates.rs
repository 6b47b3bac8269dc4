//! `benches/targets.toml`: for each figure its target, what has been reached, and why that
//! is less.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Figures;
use super::coding::{self, Coded};
use crate::Result;

/// The gates of every row, by its name.
#[derive(Debug, Deserialize)]
pub struct Gates {
    /// What costs no more than what: codecs by hand, and the built-in ones of the same types.
    #[serde(default, rename = "no-more-than")]
    no_more_than: BTreeMap<String, String>,
    #[serde(flatten)]
    rows: BTreeMap<String, BTreeMap<String, Gate>>,
}

/// The gate of one figure.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// What it shall be at most.
    pub target: f64,
    /// The best figure so far, where the target is not met: it must not get worse.
    pub reached: Option<f64>,
    /// Why it isn't met.
    pub why: Option<String>,
}

/// By how much a gate may be missed, in parts of it: figures repeat to 1 %.
pub const TOLERANCE: f64 = 0.03;

impl Gates {
    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// If it is malformed, or a figure over its target has no reason.
    pub fn parse(text: &str) -> Result<Self> {
        let gates: Self = toml::from_str(text)?;
        for (row, figures) in &gates.rows {
            for (name, gate) in figures {
                let says_why = gate.why.as_deref().is_some_and(|why| !why.is_empty());
                if gate.is_loose() && !says_why {
                    return Err(
                        format!("{row}.{name} is over its target and doesn't say why").into(),
                    );
                }
            }
        }
        Ok(gates)
    }

    /// The gate of a row's figure.
    pub fn gate(&self, row: &str, figure: &str) -> Option<&Gate> {
        self.rows.get(row)?.get(figure)
    }

    /// Whether a gate asks for this driver's figures at this row: those of Kornak wherever there is
    /// a gate, those of tokio-postgres where a gate is looser than its target.
    pub fn want(&self, row: &str, driver: &str) -> bool {
        let mut gates = self.rows.get(row).into_iter().flat_map(BTreeMap::values);
        match driver {
            "kornak" => gates.next().is_some(),
            "tokio-postgres" => gates.any(Gate::is_loose),
            _ => false,
        }
    }

    /// Whether what reading or writing a value costs is compared with another's.
    pub fn want_value(&self, row: &str) -> bool {
        let mut pairs = self.no_more_than.iter();
        pairs.any(|(one, other)| [one, other].into_iter().any(|name| name == row))
    }

    /// What is wrong with a row's figures, and with its gates beside the best peer's.
    pub fn failures(&self, row: &str, figures: &Figures, peer: Option<&Figures>) -> Vec<String> {
        let Some(gates) = self.rows.get(row) else {
            return Vec::new();
        };
        let mut failures = Vec::new();
        for (name, gate) in gates {
            let Some(figure) = figures.named(name) else {
                failures.push(format!("{row}.{name} is no figure that is measured"));
                continue;
            };
            if gate.is_missed(figure) {
                failures.push(format!(
                    "{row}.{name} is {figure:.1}, its gate {:.1}",
                    gate.limit()
                ));
            }
            let peer = peer.and_then(|peer| peer.named(name));
            if gate.is_loose() && peer.is_some_and(|peer| gate.limit() > peer) {
                failures.push(format!("the gate of {row}.{name} lies under the best peer"));
            }
        }
        failures
    }

    /// Which codecs cost more than what they are to cost no more than. What isn't in `figures`
    /// was not asked for.
    pub fn dearer(&self, figures: &[Coded]) -> Vec<String> {
        let figure = |row: &str| {
            let found = figures.iter().find(|one| one.row == row);
            found.map(|one| one.instructions)
        };
        let mut failures = Vec::new();
        for (row, other) in &self.no_more_than {
            match (figure(row), figure(other)) {
                (Some(cost), Some(limit)) if is_over(cost, limit) => {
                    failures.push(format!("{row} is {cost:.1}, {other} {limit:.1}"));
                }
                _ => {}
            }
            for name in [row, other] {
                if !coding::is_row(name) {
                    failures.push(format!("{name} is no value that is measured"));
                }
            }
        }
        failures
    }
}

impl Gate {
    /// Whether it lets more pass than its target.
    fn is_loose(&self) -> bool {
        self.limit() > self.target
    }

    /// What must not be exceeded.
    pub fn limit(&self) -> f64 {
        self.reached.unwrap_or(self.target)
    }

    /// How a figure compares.
    pub fn verdict(&self, figure: f64) -> &'static str {
        if self.is_missed(figure) {
            "MISSED"
        } else if is_over(figure, self.target) {
            "gate held, target not met"
        } else {
            "met"
        }
    }

    /// Whether a figure is over the gate by more than the tolerance.
    pub fn is_missed(&self, figure: f64) -> bool {
        is_over(figure, self.limit())
    }
}

fn is_over(figure: f64, limit: f64) -> bool {
    // A part of nothing is nothing, but the runtime's odd call within a run of many counts.
    figure > limit * (1.0 + TOLERANCE) + 0.01
}

impl Figures {
    /// The figure of this name.
    pub fn named(&self, name: &str) -> Option<f64> {
        Some(match name {
            "instructions" => self.instructions,
            "allocations" => self.allocations,
            "bytes" => self.bytes,
            "sends" => self.sends,
            "receives" => self.receives,
            "other-calls" => self.other_calls,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(instructions: f64) -> Figures {
        Figures {
            instructions,
            ..Figures::default()
        }
    }

    #[test]
    fn a_gate_holds_within_its_tolerance() {
        let gates = Gates::parse("[w]\ninstructions = { target = 1000.0 }").unwrap();
        assert!(gates.failures("w", &figures(1029.0), None).is_empty());
        assert_eq!(gates.failures("w", &figures(1031.0), None).len(), 1);
        assert!(gates.failures("other", &figures(9e9), None).is_empty());
    }

    #[test]
    fn what_was_reached_is_the_gate_and_says_why() {
        let loose = "[w]\ninstructions = { target = 10.0, reached = 20.0 }";
        assert!(Gates::parse(loose).is_err());
        let argued = "[w]\ninstructions = { target = 10.0, reached = 20.0, why = \"profile\" }";
        let gates = Gates::parse(argued).unwrap();
        assert!(gates.failures("w", &figures(20.5), None).is_empty());
        assert_eq!(gates.failures("w", &figures(21.0), None).len(), 1);
        // Slower than a peer is no gate at all.
        assert_eq!(
            gates
                .failures("w", &figures(20.0), Some(&figures(15.0)))
                .len(),
            1
        );
    }

    #[test]
    fn what_no_gate_asks_for_is_not_wanted() {
        let gates = "[w]\nsends = { target = 1.0 }\n\
                     [x]\nsends = { target = 1.0, reached = 2.0, why = \"profile\" }\n\
                     [no-more-than]\nencode-int4-by-hand = \"encode-int4\"";
        let gates = Gates::parse(gates).unwrap();
        let wanted = |row| ["kornak", "raw", "tokio-postgres"].map(|one| gates.want(row, one));
        assert_eq!(wanted("w"), [true, false, false]);
        assert_eq!(wanted("x"), [true, false, true]);
        assert_eq!(wanted("y"), [false; 3]);
        assert!(gates.want_value("encode-int4") && gates.want_value("encode-int4-by-hand"));
        assert!(!gates.want_value("encode-text"));
    }

    #[test]
    fn a_pair_is_compared() {
        let pair = "[no-more-than]\nencode-int4-by-hand = \"encode-int4\"";
        let gates = Gates::parse(pair).unwrap();
        let coded = |row, instructions| Coded { row, instructions };
        let dearer = |own| {
            gates.dearer(&[
                coded("encode-int4-by-hand", own),
                coded("encode-int4", 100.0),
            ])
        };
        assert!(dearer(50.0).is_empty());
        assert!(dearer(103.0).is_empty());
        assert_eq!(dearer(104.0).len(), 1);
        assert!(gates.dearer(&[coded("encode-int4", 1.0)]).is_empty());
        let unknown = Gates::parse("[no-more-than]\nencode-int = \"encode-int4\"").unwrap();
        assert_eq!(unknown.dearer(&[]).len(), 1);
    }

    #[test]
    fn an_unknown_figure_fails() {
        let gates = Gates::parse("[w]\ninstuctions = { target = 1.0 }").unwrap();
        assert_eq!(gates.failures("w", &figures(0.0), None).len(), 1);
    }
}
