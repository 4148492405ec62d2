//! Pieces of HTML. maud escapes every text, so that `PreEscaped` is only for what no run has a say in, and for [`script_json`].
use maud::{Markup, PreEscaped, Render, html};
use serde_json::Value;

/// JSON as it is safe in a `<script>`, where no entities are known: only a `<` can begin what ends it. Control characters that JSON leaves
/// as they are would be lost in [`written`].
pub(crate) fn script_json(json: &Value) -> Markup {
    let mut safe = String::new();
    for c in json.to_string().chars() {
        if c == '<' || c.is_control() {
            safe += &format!("\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    PreEscaped(safe)
}

/// A page as a file holds it. Names may have control characters in them, which HTML forbids.
pub(crate) fn written(page: Markup) -> String {
    page.into_string().replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{fffd}")
}

/// How many bytes a text has that may take several lines.
const LONG: usize = 40;

/// A table. Without a row it is not shown.
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
    class: Option<&'static str>,
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
        self.marked(cells, None, None);
    }

    /// A row with a class, and with a swatch of a colour before its head.
    pub(crate) fn marked(
        &mut self,
        cells: Vec<String>,
        class: Option<&'static str>,
        color: Option<&'static str>,
    ) {
        self.rows.push(Row { cells, class, color });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table folded up, below its caption.
    pub(crate) fn folded(&self) -> Markup {
        details(&self.caption, self)
    }

    fn class(&self, column: usize, text: &str) -> Option<&'static str> {
        match text.len() {
            _ if column >= self.numbers_from => Some("number"),
            LONG.. => Some("long"),
            _ => None,
        }
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        html! {
            @if !self.is_empty() {
                div.table role="region" tabindex="0" aria-label=(self.caption) {
                    table {
                        caption { (self.caption) }
                        thead {
                            tr {
                                @for (i, head) in self.heads.iter().enumerate() {
                                    th scope="col" class=[self.class(i, "")] { (head) }
                                }
                            }
                        }
                        tbody {
                            @for Row { cells, class, color } in &self.rows {
                                tr class=[*class] {
                                    @for (i, cell) in cells.iter().enumerate() {
                                        @if i == 0 {
                                            th scope="row" class=[self.class(i, cell)] { (head(cell, *color)) }
                                        } @else {
                                            td class=[self.class(i, cell)] { (cell) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The head of a row: a swatch and a name, or else a path, which may be broken where its parts meet.
fn head(text: &str, color: Option<&str>) -> Markup {
    html! {
        @if let Some(color) = color {
            span.swatch style={ "background:" (color) } {}
            (text)
        } @else {
            @for part in text.split_inclusive('/') {
                (part)
                @if part.ends_with('/') { wbr; }
            }
        }
    }
}

/// Something that is folded up.
pub(crate) fn details(summary: &str, content: impl Render) -> Markup {
    html! {
        details {
            summary { (summary) }
            (content)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_markup() {
        let evil = "<script>alert('\"&\u{1b}')</script>";
        let escaped = "&lt;script&gt;alert('&quot;&amp;\u{fffd}')&lt;/script&gt;";
        let mut table = Table::new(evil, [evil]);
        table.row(vec![evil.into(), evil.into()]);
        for html in [table.render(), details(evil, ""), html! { p title=(evil) {} }].map(written) {
            let html = html.replace("<wbr>", "");
            assert!(!html.contains("<script") && !html.contains('\u{1b}'), "{html}");
            let around = html.replace(escaped, "");
            assert!(around != html && !around.contains("alert"), "{html}");
            assert!(!around.contains('\''), "a ' in a text ends no attribute: {html}");
        }
        let (text, bare) = ("</script><!--\u{1b}\u{85}", ['<', '\u{1b}', '\u{85}']);
        let json = script_json(&serde_json::json!({ "a": text })).into_string();
        assert!(!json.contains(bare), "{json}");
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["a"], text);
    }
}
