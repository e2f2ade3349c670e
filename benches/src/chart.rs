//! The results as a picture: for each row, a bar for each contender, as long as its ratio.

use std::fmt::Write as _;

use crate::report::{Measured, Report};

/// A chart of all rows but those of growth, which are tables.
pub(crate) fn svg(report: &Report) -> String {
    let rows: Vec<&Measured> = report.rows.iter().filter(|row| !row.is_growth()).collect();
    let lines: usize = rows.iter().map(|row| row.figures.len()).sum();
    let height = MARGIN * 2 + rows.len() * (TITLE + GAP) + lines * BAR;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let mut y = MARGIN;
    for row in rows {
        let ratios: Vec<f64> = row.figures.iter().map(|figures| row.ratio(figures).unwrap_or(0.0)).collect();
        let longest = ratios.iter().copied().fold(1.0, f64::max);
        y += TITLE;
        // Writing into a string cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{}\" font-weight=\"bold\">{} (time, {} = 1)</text>",
            y - 6,
            escaped(&row.title),
            escaped(&row.baseline)
        );
        for (figures, ratio) in row.figures.iter().zip(ratios) {
            let length = ratio / longest * BARS;
            let colour = if figures.contender == "ours" { "#1a7f37" } else { "#9aa4af" };
            let base = y + BAR - 5;
            let _ = writeln!(
                svg,
                "<text x=\"{NAMES}\" y=\"{base}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{base}\">{ratio:.2}</text>",
                escaped(&figures.name()),
                NAMES + 8,
                y + 2,
                BAR - 4,
                NAMES as f64 + 14.0 + length,
            );
            y += BAR;
        }
        y += GAP;
    }
    svg + "</svg>\n"
}

const WIDTH: usize = 900;
const MARGIN: usize = 16;
/// The right edge of the names.
const NAMES: usize = 250;
/// The length of the longest bar.
const BARS: f64 = 560.0;
const TITLE: usize = 24;
const BAR: usize = 18;
const GAP: usize = 8;

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_end_an_element() {
        assert_eq!(escaped("a<b & c>d"), "a&lt;b &amp; c&gt;d");
    }
}
