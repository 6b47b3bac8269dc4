//! The table that `cost` prints.

use std::fmt::Write;

use super::gates::Gates;
use super::{DRIVERS, Figures, Row};

/// One row's figures, in the order of [`DRIVERS`].
pub type Measured = (Row, [Option<Figures>; DRIVERS.len()]);

const FIGURES: [&str; 6] = [
    "instructions",
    "allocations",
    "bytes",
    "sends",
    "receives",
    "other-calls",
];

/// Renders it as Markdown.
pub fn render(rows: &[Measured], gates: &Gates) -> String {
    let mut out = String::from(
        "| workload | figure | per | target | reached | kornak | raw | raw-decode | tokio-postgres | |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for (row, figures) in rows {
        for name in FIGURES {
            let unit = match name {
                "instructions" => row.work.unit().1,
                _ => "run",
            };
            let gate = gates.gate(row.work.name(), name);
            let target = gate.map_or(String::new(), |gate| number(gate.target));
            let reached = gate
                .and_then(|gate| gate.reached)
                .map_or(String::new(), number);
            let _ = write!(
                out,
                "| {} | {name} | {unit} | {target} | {reached} |",
                row.work.name()
            );
            for driver in figures {
                let figure = driver.as_ref().and_then(|driver| driver.named(name));
                let _ = write!(out, " {} |", figure.map_or("–".to_owned(), number));
            }
            let kornak = figures[0].as_ref().and_then(|kornak| kornak.named(name));
            let verdict = gate
                .zip(kornak)
                .map_or("", |(gate, figure)| gate.verdict(figure));
            let _ = writeln!(out, " {verdict} |");
        }
    }
    out
}

/// Enough digits to tell figures apart, and no more.
pub fn number(figure: f64) -> String {
    if (figure - figure.round()).abs() < 0.005 {
        format!("{:.0}", figure.round() + 0.0)
    } else if figure.abs() < 10.0 {
        format!("{figure:.2}")
    } else if figure.abs() < 1000.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.0}")
    }
}
