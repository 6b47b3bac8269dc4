//! What the test runners report.

/// How many tests passed and failed by the output of `cargo test` or `cargo nextest`.
pub(crate) fn tests(output: &str) -> (usize, usize) {
    let mut passed = 0;
    let mut failed = 0;
    for line in output.lines() {
        // `test result: ok. 6 passed; 0 failed; …`, once for each binary, and
        // `Summary [ 1.2s] 57 tests run: 55 passed (1 slow), 2 failed, 0 skipped`, once.
        // Indented, the former is nextest showing what a test that failed has printed.
        let is_summary = line.starts_with("test result:")
            || (line.trim_start().starts_with("Summary [") && line.contains("run:"));
        if !is_summary {
            continue;
        }
        passed += number_before(line, " passed");
        failed += number_before(line, " failed");
        failed += number_before(line, " timed out");
    }
    (passed, failed)
}

fn number_before(line: &str, word: &str) -> usize {
    line.find(word)
        .and_then(|at| {
            let digits = line[..at]
                .rsplit(|c: char| !c.is_ascii_digit())
                .next()
                .unwrap_or_default();
            digits.parse().ok()
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_runners_are_understood() {
        let cargo = "test result: ok. 6 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out\n\
                     other text 9 passed\n\
                     test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured\n";
        assert_eq!(super::tests(cargo), (10, 1));
        let nextest = "    test result: FAILED. 0 passed; 1 failed;\n     Summary [   1.234s] 57 tests run: 55 passed (1 slow), 2 failed, 0 skipped\n";
        assert_eq!(super::tests(nextest), (55, 2));
        assert_eq!(super::tests(""), (0, 0));
    }
}
