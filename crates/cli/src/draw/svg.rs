//! The table of `mmcv summary` as a drawing, with a bar for each share.

use std::fmt::Write;

use crate::commands::{COLUMNS, Line};

/// Pixels of one line of text.
const LINE: usize = 18;
/// Pixels of one character, about.
const CHARACTER: usize = 7;
/// Pixels of the longest bar.
const BAR: f64 = 220.0;
const MARGIN: usize = 16;

/// Draws the lines below a title. Bars of modules that hold others are pale, since those count in them.
pub(crate) fn table(title: &str, lines: &[Line]) -> String {
    let rows: Vec<[String; 5]> =
        std::iter::once(COLUMNS.map(str::to_owned)).chain(lines.iter().map(Line::cells)).collect();
    // The left edges of the columns, and where the bars begin.
    let mut edges = vec![MARGIN];
    for column in 0..COLUMNS.len() {
        let width = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        edges.push(edges.last().copied().unwrap_or(0) + (width + 2) * CHARACTER);
    }
    let bars = edges.last().copied().unwrap_or(0);
    let (width, height) = (bars + BAR as usize + MARGIN, (rows.len() + 2) * LINE + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"12\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"{}\" font-weight=\"bold\">{}</text>\n",
        MARGIN + LINE / 2,
        escaped(title)
    );
    let shown = [None].into_iter().chain(lines.iter().map(Some));
    for (position, (row, line)) in rows.iter().zip(shown).enumerate() {
        let y = MARGIN + (position + 2) * LINE;
        for (column, (cell, edge)) in row.iter().zip(&edges).enumerate() {
            let right = column >= 2;
            let x = if right { edges.get(column + 1).copied().unwrap_or(*edge) - 2 * CHARACTER } else { *edge };
            let anchor = if right { " text-anchor=\"end\"" } else { "" };
            let weight = if line.is_none() { " font-weight=\"bold\"" } else { "" };
            let cell = escaped(cell);
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" xml:space=\"preserve\"{anchor}{weight}>{cell}</text>");
        }
        if let Some(line) = line {
            let holds_others = lines.get(position).is_some_and(|next| next.depth > line.depth);
            let fill = if holds_others { "#cfe0f3" } else { "#2f6fb7" };
            let (length, top) = (line.share * BAR, y - LINE + 6);
            let thickness = LINE - 6;
            let _ = writeln!(
                svg,
                "<rect x=\"{bars}\" y=\"{top}\" width=\"{length:.1}\" height=\"{thickness}\" fill=\"{fill}\"/>"
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
