//! Tables for people: columns aligned, two spaces between them.

/// Renders rows under a head; the last column is not padded. A cell's further lines stand under its first.
pub(super) fn render(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| width(cell)).collect();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            let longest = cell.lines().map(width).max().unwrap_or(0);
            match widths.get_mut(at) {
                Some(known) => *known = longest.max(*known),
                None => widths.push(longest),
            }
        }
    }
    let mut out = String::new();
    line(&mut out, head.iter().copied(), &widths);
    for row in rows {
        let height = row
            .iter()
            .map(|cell| cell.lines().count())
            .max()
            .unwrap_or(0)
            .max(1);
        for at in 0..height {
            let cells = row.iter().map(|cell| cell.lines().nth(at).unwrap_or_default());
            line(&mut out, cells, &widths);
        }
    }
    out
}

fn line<'a>(out: &mut String, cells: impl Iterator<Item = &'a str>, widths: &[usize]) {
    let start = out.len();
    for (cell, known) in cells.zip(widths) {
        out.push_str(cell);
        out.extend(std::iter::repeat_n(' ', known.saturating_sub(width(cell)) + 2));
    }
    let end = out.trim_end_matches(' ').len().max(start);
    out.truncate(end);
    out.push('\n');
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = [
            vec!["a".to_owned(), "RUNNING".to_owned(), "one\ntwo".to_owned()],
            vec!["größer".to_owned(), String::new(), String::new()],
        ];
        assert_eq!(
            render(&["NAME", "STATE", "TRACE"], &rows),
            "NAME    STATE    TRACE\na       RUNNING  one\n                 two\ngrößer\n"
        );
    }
}
