//! The table of all that was played, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::case::{Case, Group, Verdict};

/// What came of every case with every contender.
pub struct Table {
    contenders: Vec<(String, String)>,
    rows: Vec<(Case, Vec<Cell>)>,
}

/// What came of one case with one contender.
pub type Cell = Verdict;

impl Table {
    /// A table of these contenders, by name and version, without a row.
    pub fn new(contenders: Vec<(String, String)>) -> Self {
        Self { contenders, rows: Vec::new() }
    }

    /// Appends a row, with a cell for each contender.
    pub fn push(&mut self, case: Case, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.contenders.len(), "a cell for each contender");
        self.rows.push((case, cells));
    }

    /// The wrong cells of a contender: the case, and what happened.
    pub fn wrong(&self, contender: &str) -> Vec<(&'static str, String)> {
        let Some(column) = self.contenders.iter().position(|(name, _)| name == contender) else {
            return Vec::new();
        };
        let cells = self.rows.iter().map(|(case, cells)| (case.id, &cells[column]));
        cells
            .filter_map(|(id, cell)| match cell {
                Verdict::Wrong(what) => Some((id, what.clone())),
                Verdict::Right | Verdict::Allowed(_) => None,
            })
            .collect()
    }

    /// The whole of it, with what happened in each cell that is not right, as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for group in Group::ALL {
            let rows: Vec<_> = self.rows.iter().filter(|(case, _)| case.group == group).collect();
            if rows.is_empty() {
                continue;
            }
            let names: Vec<_> = self.contenders.iter().map(|(name, _)| name.as_str()).collect();
            let _ = write!(text, "\n## {}\n\n", group.title());
            let _ = writeln!(text, "| | {} |", names.join(" | "));
            let _ = writeln!(text, "|---|{}", ":-:|".repeat(names.len()));
            for (case, cells) in &rows {
                let cells: Vec<_> = cells.iter().map(mark).collect();
                let _ = writeln!(text, "| {} | {} |", escaped(case.title), cells.join(" | "));
            }
            let _ = writeln!(text);
            for (case, cells) in &rows {
                let _ = writeln!(text, "- **{}**: {} ({}).{}", case.title, case.right, case.source, self.notes(cells));
            }
        }
        text
    }

    /// How many cases each contender got wrong, as a Markdown table.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let heads: Vec<_> = self.contenders.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let _ = writeln!(text, "| wrong, of how many | {} |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}", "--:|".repeat(heads.len()));
        let mut line = |title: &str, of: &dyn Fn(&Case) -> bool| {
            let rows: Vec<_> = self.rows.iter().filter(|(case, _)| of(case)).collect();
            let wrong = |column: usize| {
                rows.iter().filter(|(_, cells)| matches!(cells[column], Verdict::Wrong(_))).count().to_string()
            };
            let counts: Vec<_> = (0..heads.len()).map(wrong).collect();
            let _ = writeln!(text, "| {title}: {} | {} |", rows.len(), counts.join(" | "));
        };
        for group in Group::ALL {
            line(group.title(), &|case| case.group == group);
        }
        line("all", &|_| true);
        text
    }

    /// All of it for programs.
    pub fn json(&self) -> Value {
        let clients: Vec<_> =
            self.contenders.iter().map(|(name, version)| json!({"name": name, "version": version})).collect();
        let cases: Vec<_> = self
            .rows
            .iter()
            .map(|(case, cells)| {
                let cells: Map<_, _> = self
                    .contenders
                    .iter()
                    .zip(cells)
                    .map(|((name, _), cell)| {
                        let (verdict, what) = match cell {
                            Verdict::Right => ("right", None),
                            Verdict::Allowed(what) => ("allowed", Some(what)),
                            Verdict::Wrong(what) => ("wrong", Some(what)),
                        };
                        (name.clone(), json!({"verdict": verdict, "what": what}))
                    })
                    .collect();
                json!({
                    "id": case.id,
                    "group": case.group.title(),
                    "title": case.title,
                    "right": case.right,
                    "source": case.source,
                    "cells": cells,
                })
            })
            .collect();
        json!({"clients": clients, "cases": cases})
    }

    /// What happened in the cells that are not right, those who did the same together.
    fn notes(&self, cells: &[Cell]) -> String {
        let mut notes: Vec<(&Cell, &str, Vec<&str>)> = Vec::new();
        for ((name, _), cell) in self.contenders.iter().zip(cells) {
            let (Verdict::Allowed(what) | Verdict::Wrong(what)) = cell else { continue };
            match notes.iter_mut().find(|(noted, ..)| *noted == cell) {
                Some((_, _, names)) => names.push(name),
                None => notes.push((cell, what, vec![name])),
            }
        }
        notes.iter().map(|(cell, what, names)| format!("\n  - {} {}: {what}", mark(cell), names.join(", "))).collect()
    }
}

fn mark(cell: &Cell) -> &'static str {
    match cell {
        Verdict::Right => "✓",
        Verdict::Allowed(_) => "–",
        Verdict::Wrong(_) => "✗",
    }
}

/// Text for a cell of a table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
