//! One table: a row for each scenario, a column for each variant, the goal beside.

use crate::rounds::{BARE, COLUMNS, Figures, GUARDED, TOKIO, medians, names};

/// One line of the table.
pub struct Row {
    scenario: String,
    cells: [String; COLUMNS],
    goal: String,
    met: &'static str,
}

impl Row {
    /// The overhead over the bare call, as a ratio to tokio's in the same round.
    pub fn overhead(scenario: &str, rounds: &[Figures], goal: Option<f64>) -> Self {
        let over = |round: &Figures, column: usize| Some(round[column]? - round[BARE]?);
        let ratios = medians(rounds, |round, column| Some(over(round, column)? / over(round, TOKIO)?));
        Self::ratios(scenario, ratios, medians(rounds, over)[TOKIO], "ns", goal)
    }

    /// A figure as a ratio to tokio's in the same round.
    pub fn ratio(scenario: &str, rounds: &[Figures], unit: &str, goal: Option<f64>) -> Self {
        let ratios = medians(rounds, |round, column| Some(round[column]? / round[TOKIO]?));
        Self::ratios(scenario, ratios, medians(rounds, |round, column| round[column])[TOKIO], unit, goal)
    }

    /// The figures themselves.
    pub fn absolute(scenario: &str, rounds: &[Figures], unit: &str, goal: Option<f64>) -> Self {
        let figures = medians(rounds, |round, column| round[column]);
        let cells = figures.map(|figure| figure.map_or("–".to_owned(), |figure| format!("{} {unit}", number(figure))));
        Self::new(scenario, cells, figures[GUARDED], goal, &format!(" {unit}"))
    }

    fn ratios(scenario: &str, ratios: Figures, tokio: Option<f64>, unit: &str, goal: Option<f64>) -> Self {
        let mut cells = ratios.map(|ratio| ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}")));
        cells[BARE] = if ratios[BARE] == Some(0.0) { "0".to_owned() } else { std::mem::take(&mut cells[BARE]) };
        if let Some(tokio) = tokio {
            cells[TOKIO] = format!("1 ({} {unit})", number(tokio));
        }
        Self::new(scenario, cells, ratios[GUARDED], goal, "")
    }

    fn new(scenario: &str, cells: [String; COLUMNS], guarded: Option<f64>, goal: Option<f64>, unit: &str) -> Self {
        let met = match (guarded, goal) {
            (Some(guarded), Some(goal)) if rounded(guarded) <= goal => "met",
            (Some(_), Some(_)) => "missed",
            _ => "",
        };
        let goal = goal.map_or(String::new(), |goal| format!("≤ {}{unit}", number(goal)));
        Self { scenario: scenario.to_owned(), cells, goal, met }
    }

    fn columns(&self) -> Vec<&str> {
        let cells = self.cells.iter().map(String::as_str);
        std::iter::once(self.scenario.as_str()).chain(cells).chain([self.goal.as_str(), self.met]).collect()
    }
}

/// Prints the rows as a table of Markdown.
pub fn print(rows: &[Row]) {
    let head: Vec<&str> = std::iter::once("scenario").chain(names()).chain(["goal", ""]).collect();
    let lines: Vec<Vec<&str>> = std::iter::once(head).chain(rows.iter().map(Row::columns)).collect();
    let widths: Vec<usize> = (0..COLUMNS + 3).map(|column| width(&lines, column)).collect();
    for (place, line) in lines.iter().enumerate() {
        println!("{}", padded(line, &widths));
        if place == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            println!("{}", padded(&rules.iter().map(String::as_str).collect::<Vec<_>>(), &widths));
        }
    }
}

fn width(lines: &[Vec<&str>], column: usize) -> usize {
    lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
}

fn padded(line: &[&str], widths: &[usize]) -> String {
    line.iter().zip(widths).fold("|".to_owned(), |text, (cell, width)| format!("{text} {cell:<width$} |"))
}

/// As it is printed, so that the verdict is that of the printed figure.
fn rounded(figure: f64) -> f64 {
    number(figure).parse().unwrap_or(figure)
}

/// Two digits after the point where they say something.
fn number(figure: f64) -> String {
    match figure.abs() {
        size if size >= 10.0 => format!("{figure:.0}"),
        size if size >= 0.1 => format!("{figure:.2}"),
        _ => format!("{figure:.4}"),
    }
}
