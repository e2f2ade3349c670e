//! The rows of `BEHAVIOURS.md`, and how many of each area hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::run::{Outcome, Verdict};

/// The rows of every behaviour, with their cases.
pub const BEHAVIOURS: &str = include_str!("../BEHAVIOURS.md");

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its id, such as `P1`.
    pub id: &'static str,
    /// The heading it stands under, such as `Pooling`.
    pub heading: &'static str,
    /// The fact.
    pub behaviour: &'static str,
    /// What the last column says.
    pub standing: Standing,
}

/// What holds a row, or why nothing does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// These cases, each as `area::name`.
    Cases(BTreeSet<&'static str>),
    /// Another row, or a test of core.
    Elsewhere,
    /// Nothing yet.
    Later,
    /// Nothing: it is not a goal.
    NotHere,
    /// Nothing, and no reason is given.
    Unsaid,
}

/// All rows, in their order.
pub fn rows() -> Vec<Row> {
    let mut heading = "";
    let mut rows = Vec::new();
    for line in BEHAVIOURS.lines() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text.trim();
        }
        rows.extend(row(line, heading));
    }
    rows
}

/// The id of the row that a case belongs to: `P9b` belongs to `P9`.
pub fn row_of(case: &str) -> &str {
    case.trim_end_matches(|letter: char| letter.is_ascii_lowercase())
}

/// How many rows of an area came to what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The letter of its ids.
    pub letter: char,
    /// What it is about.
    pub heading: &'static str,
    /// Cases that ran.
    pub cases: usize,
    /// Rows of which every case holds.
    pub passed: usize,
    /// Rows of which a case does not.
    pub failed: usize,
    /// Rows that another row or a test of core holds.
    pub elsewhere: usize,
    /// Rows that are no goal, or that this host decides otherwise.
    pub not_here: usize,
    /// Rows that are not built yet.
    pub later: usize,
}

/// What came of each area: of all rows, or only of those that a case of `verdicts` belongs to.
pub fn counts(verdicts: &[Verdict], all_rows: bool) -> Vec<Counts> {
    let mut outcomes = BTreeMap::<&str, Vec<&Outcome>>::new();
    for verdict in verdicts {
        outcomes.entry(row_of(verdict.case.id)).or_default().push(&verdict.outcome);
    }
    let mut areas = Vec::<Counts>::new();
    for row in rows() {
        let outcomes = outcomes.get(row.id).map_or(&[][..], Vec::as_slice);
        if outcomes.is_empty() && !all_rows {
            continue;
        }
        let letter = row.id.chars().next().unwrap_or_default();
        let area = match areas.iter().position(|area| area.letter == letter) {
            Some(found) => &mut areas[found],
            None => {
                areas.push(Counts { letter, heading: row.heading, ..Counts::default() });
                areas.last_mut().expect("one was pushed")
            }
        };
        area.cases += outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::NotHere(_))).count();
        let of_row = if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_))) {
            &mut area.failed
        } else if outcomes.iter().any(|outcome| matches!(outcome, Outcome::NotHere(_))) {
            // Not whole, even where another case of the row holds.
            &mut area.not_here
        } else if !outcomes.is_empty() {
            &mut area.passed
        } else {
            match row.standing {
                Standing::Elsewhere => &mut area.elsewhere,
                Standing::NotHere => &mut area.not_here,
                // A row whose case did not run holds as little as one without.
                Standing::Later | Standing::Cases(_) | Standing::Unsaid => &mut area.later,
            }
        };
        *of_row += 1;
    }
    areas
}

/// The counts of all areas as a table for people.
pub struct Table<'a>(pub &'a [Counts]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|area| area.heading.chars().count()).max().unwrap_or_default().max(3);
        writeln!(
            f,
            "   {:width$}  {:>5}  {:>12}  {:>6}  {:>9}  {:>8}  {:>5}",
            "", "cases", "rows: passed", "failed", "elsewhere", "not here", "later"
        )?;
        let mut all = Counts { letter: ' ', heading: "all", ..Counts::default() };
        for area in self.0 {
            line(area, width, f)?;
            all.cases += area.cases;
            all.passed += area.passed;
            all.failed += area.failed;
            all.elsewhere += area.elsewhere;
            all.not_here += area.not_here;
            all.later += area.later;
        }
        line(&all, width, f)
    }
}

fn line(area: &Counts, width: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Counts { letter, heading, cases, passed, failed, elsewhere, not_here, later } = area;
    writeln!(
        f,
        "{letter}  {heading:width$}  {cases:>5}  {passed:>12}  {failed:>6}  {elsewhere:>9}  {not_here:>8}  {later:>5}"
    )
}

fn row(line: &'static str, heading: &'static str) -> Option<Row> {
    let mut columns = line.trim().strip_prefix('|')?.strip_suffix('|')?.splitn(3, '|').map(str::trim);
    let (id, behaviour, last) = (columns.next()?, columns.next()?, columns.next()?);
    let digits = id.strip_prefix(|letter: char| letter.is_ascii_uppercase())?;
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let cases: BTreeSet<_> = last.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    let standing = if last.starts_with("elsewhere: ") {
        Standing::Elsewhere
    } else if last.starts_with("later: ") {
        Standing::Later
    } else if last.starts_with("not here: ") {
        Standing::NotHere
    } else if cases.is_empty() {
        Standing::Unsaid
    } else {
        Standing::Cases(cases)
    };
    Some(Row { id, heading, behaviour, standing })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn verdict(id: &str, outcome: Outcome) -> Verdict {
        let case = crate::all().into_iter().find(|case| case.id == id).expect("a case of this id");
        Verdict { case, outcome, took: Duration::ZERO }
    }

    #[test]
    fn a_row_counts_once_and_the_worst_of_its_cases_decides() {
        let verdicts = [
            verdict("P1", Outcome::Passed),
            verdict("P9", Outcome::Passed),
            verdict("P9b", Outcome::NotHere("")),
            verdict("R1", Outcome::Passed),
            verdict("R15", Outcome::Passed),
            verdict("R15b", Outcome::Failed(String::new())),
        ];
        let counts = counts(&verdicts, false);
        assert_eq!(counts.iter().map(|area| area.letter).collect::<String>(), "PR");
        let figures = |area: &Counts| (area.cases, area.passed, area.failed, area.not_here, area.later);
        assert_eq!(figures(&counts[0]), (2, 1, 0, 1, 0));
        assert_eq!(figures(&counts[1]), (3, 1, 1, 0, 0));
        assert_eq!(counts[0].heading, "Pooling");
    }

    #[test]
    fn all_rows_are_counted_without_a_verdict_too() {
        let counts = counts(&[], true);
        let sum: usize = counts.iter().map(|area| area.elsewhere + area.not_here + area.later).sum();
        assert_eq!(sum, rows().len());
        assert!(counts.iter().all(|area| area.passed + area.failed + area.cases == 0));
        // The table has a line for each area, one above and one below.
        assert_eq!(Table(&counts).to_string().lines().count(), counts.len() + 2);
    }
}
