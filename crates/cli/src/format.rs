//! Tables for people.

/// Columns that are as wide as their longest cell; the first `left` of them start at the left, numbers end at the right.
pub(super) fn table<const N: usize>(rows: &[[String; N]], left: usize) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let cell = |(column, (cell, width)): (usize, (&String, usize))| {
        if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    };
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).enumerate().map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn words_are_to_the_left_and_numbers_to_the_right() {
        let rows = [["layer", "ms"], ["a", "12"], ["conv1", "3"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows, 1), "layer  ms\na      12\nconv1   3\n");
    }
}
