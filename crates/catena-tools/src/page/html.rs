//! Pieces of HTML. Every text that comes from a run goes through [`escape`].
use std::fmt::Write;

/// Text as it is safe in elements and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// JSON as it is safe in a `<script>`.
pub(crate) fn script_json(json: &serde_json::Value) -> String {
    json.to_string().replace('<', "\\u003c")
}

/// How many bytes a text has that may take several lines.
const LONG: usize = 40;

/// A table: its texts are escaped here.
#[derive(Debug, Default)]
pub(crate) struct Table {
    caption: String,
    heads: Vec<String>,
    rows: Vec<Row>,
    /// From which column on there are numbers.
    numbers_from: usize,
}

#[derive(Debug)]
struct Row {
    cells: Vec<String>,
    class: &'static str,
    color: Option<&'static str>,
}

impl Table {
    pub(crate) fn new(
        caption: impl Into<String>,
        heads: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let heads = heads.into_iter().map(Into::into).collect();
        Self { caption: caption.into(), heads, rows: Vec::new(), numbers_from: usize::MAX }
    }

    /// From this column on there are numbers, set flush right.
    pub(crate) fn numbers_from(mut self, column: usize) -> Self {
        self.numbers_from = column;
        self
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.marked(cells, "", None);
    }

    /// A row with a class, and with a swatch of a colour before its head.
    pub(crate) fn marked(&mut self, cells: Vec<String>, class: &'static str, color: Option<&'static str>) {
        self.rows.push(Row { cells, class, color });
    }

    pub(crate) fn caption(&self) -> &str {
        &self.caption
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Nothing, if it has no row.
    pub(crate) fn html(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let caption = escape(&self.caption);
        let mut html = format!(
            "<div class=\"table\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\"><table>\n<caption>{caption}</caption>\n<thead><tr>"
        );
        let class = |column: usize, text: &str| match text.len() {
            _ if column >= self.numbers_from => " class=\"number\"",
            LONG.. => " class=\"long\"",
            _ => "",
        };
        for (i, head) in self.heads.iter().enumerate() {
            put(&mut html, format_args!("<th scope=\"col\"{}>{}</th>", class(i, ""), escape(head)));
        }
        html += "</tr></thead>\n<tbody>\n";
        for Row { cells, class: of_row, color } in &self.rows {
            html += &if of_row.is_empty() { "<tr>".to_owned() } else { format!("<tr class=\"{of_row}\">") };
            for (i, cell) in cells.iter().enumerate() {
                let (cell, class) = (escape(cell), class(i, cell));
                match (i, color) {
                    (0, Some(color)) => {
                        put(&mut html, format_args!("<th scope=\"row\"{class}>{}{cell}</th>", swatch(color)));
                    }
                    // paths may be broken where their parts meet
                    (0, None) => {
                        let cell = cell.replace('/', "/<wbr>");
                        put(&mut html, format_args!("<th scope=\"row\"{class}>{cell}</th>"));
                    }
                    _ => put(&mut html, format_args!("<td{class}>{cell}</td>")),
                }
            }
            html += "</tr>\n";
        }
        html + "</tbody></table></div>\n"
    }
}

/// A dot of a colour.
pub(crate) fn swatch(color: &str) -> String {
    format!("<span class=\"swatch\" style=\"background:{color}\"></span>")
}

/// Something that is folded up.
pub(crate) fn details(summary: &str, content: &str) -> String {
    format!("<details><summary>{}</summary>\n{content}</details>\n", escape(summary))
}

fn put(html: &mut String, piece: std::fmt::Arguments) {
    // writing to a string can't fail
    let _written = html.write_fmt(piece);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_markup() {
        let evil = "<script>alert('\"&\u{1b}')</script>";
        let mut table = Table::new(evil, [evil]);
        table.row(vec![evil.into(), evil.into()]);
        for html in [table.html(), details(evil, ""), format!("<p title=\"{}\">", escape(evil))] {
            assert!(!html.contains("<script") && !html.contains('\u{1b}') && !html.contains("'"), "{html}");
        }
        let json = script_json(&serde_json::json!({ "a": "</script><!--" }));
        assert!(!json.contains('<'), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["a"], "</script><!--");
    }
}
