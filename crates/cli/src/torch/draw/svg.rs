//! A table with a bar for each row.

use std::fmt::Write;

/// Pixels of one line of text.
const LINE: usize = 18;
/// Approximate width of a character in pixels.
const CHARACTER: usize = 7;
/// Pixels of the longest bar.
const BAR: f64 = 220.0;
const MARGIN: usize = 16;

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Row<const N: usize> {
    pub(crate) cells: [String; N],
    /// The length of the bar, between 0 and 1.
    pub(crate) share: f64,
    /// Whether the bar is drawn in a pale color.
    pub(crate) is_pale: bool,
}

/// Draws a title, the column names, and the rows. The first `left` columns are left-aligned, the others right-aligned.
pub(crate) fn draw_table<const N: usize>(title: &str, columns: [&str; N], left: usize, rows: &[Row<N>]) -> String {
    let columns = columns.map(str::to_owned);
    let edges = column_edges(&columns, rows);
    let bars = edges[N];
    let (width, height) = (bars + BAR as usize + MARGIN, (rows.len() + 3) * LINE + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"12\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"{}\" font-weight=\"bold\">{}</text>\n",
        MARGIN + LINE / 2,
        escaped(title)
    );
    let mut y = MARGIN + 2 * LINE;
    write_cells(&mut svg, &columns, &edges, left, y, " font-weight=\"bold\"");
    for row in rows {
        y += LINE;
        write_cells(&mut svg, &row.cells, &edges, left, y, "");
        let fill = if row.is_pale { "#cfe0f3" } else { "#2f6fb7" };
        let (length, top, thickness) = (row.share * BAR, y - LINE + 6, LINE - 6);
        let _ = writeln!(
            svg,
            "<rect x=\"{bars}\" y=\"{top}\" width=\"{length:.1}\" height=\"{thickness}\" fill=\"{fill}\"/>"
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The left edge of each column, and the right edge of the last.
fn column_edges<const N: usize>(columns: &[String; N], rows: &[Row<N>]) -> Vec<usize> {
    let mut edges = vec![MARGIN];
    let mut edge = MARGIN;
    for (index, name) in columns.iter().enumerate() {
        let mut width = name.chars().count();
        for row in rows {
            width = width.max(row.cells[index].chars().count());
        }
        edge += (width + 2) * CHARACTER;
        edges.push(edge);
    }
    edges
}

fn write_cells(svg: &mut String, cells: &[String], edges: &[usize], left: usize, y: usize, style: &str) {
    for (column, cell) in cells.iter().enumerate() {
        let (x, anchor) = if column < left {
            (edges[column], "")
        } else {
            (edges[column + 1] - 2 * CHARACTER, " text-anchor=\"end\"")
        };
        let cell = escaped(cell);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" xml:space=\"preserve\"{anchor}{style}>{cell}</text>");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
