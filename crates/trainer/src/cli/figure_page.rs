//! A page of tables and figures in one file that needs nothing else, not even a network; values stand under the pointer.

use std::fmt::Write;

use anyhow::Result;

use super::plot::{self, Figure, Hover};

/// The page; [`SLOTS`] are filled.
const TEMPLATE: &str = include_str!("figure_page.html");
/// Title, content, numbers of the figures, seconds between two loads.
const SLOTS: [&str; 4] = ["{{title}}", "{{body}}", "{{figures}}", "{{reload}}"];

/// A part of a page.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// Headings, paragraphs and tables as this program writes them in Markdown; what came from elsewhere is escaped in it.
    Markdown(&'a str),
    /// A figure.
    Figure(&'a Figure),
}

/// The page of these parts, which loads itself anew every `reload_s` seconds; never, where that is 0.
///
/// # Errors
///
/// When the figures cannot be expressed in JSON.
pub fn page(title: &str, parts: &[Part], reload_s: u64) -> Result<String> {
    let mut body = String::new();
    let mut figures: Vec<Hover> = Vec::new();
    for part in parts {
        match part {
            Part::Markdown(text) => body.push_str(&html(text)),
            Part::Figure(figure) => {
                let _ = writeln!(body, "<figure>\n{}</figure>", figure.to_svg());
                figures.push(figure.hover());
            }
        }
    }
    // `</` would end the script element that holds the numbers, and `<!--` would hide its end.
    let figures = serde_json::to_string(&figures)?.replace('<', "\\u003c");
    let filled = [plot::escaped(title), body, figures, reload_s.to_string()];
    Ok(TEMPLATE.split("{{").enumerate().fold(String::new(), |mut page, (index, piece)| {
        // Slot by slot, so that what fills one is not searched for the next.
        let slot = SLOTS.iter().position(|slot| index > 0 && piece.starts_with(&slot[2..]));
        match slot {
            Some(slot) => page.extend([filled[slot].as_str(), &piece[SLOTS[slot].len() - 2..]]),
            None => page.extend([if index > 0 { "{{" } else { "" }, piece]),
        }
        page
    }))
}

/// HTML of the Markdown that this program writes: headings, tables, paragraphs. Pictures are left out: a page has figures.
fn html(markdown: &str) -> String {
    let mut html = String::new();
    let blocks = markdown.split("\n\n").map(str::trim);
    for block in blocks.filter(|block| !block.is_empty() && !block.starts_with("![")) {
        if let Some(heading) = block.strip_prefix("## ") {
            let _ = writeln!(html, "<h2>{}</h2>", unescaped(heading));
        } else if block.starts_with('|') {
            html.push_str("<div class=\"table\"><table>\n");
            for (index, line) in block.lines().filter(|line| line.starts_with("| ")).enumerate() {
                let tag = if index == 0 { "th" } else { "td" };
                let cells = line.trim_start_matches("| ").trim_end_matches(" |").split(" | ");
                let cells: String = cells.map(|cell| format!("<{tag}>{}</{tag}>", unescaped(cell))).collect();
                let _ = writeln!(html, "<tr>{cells}</tr>");
            }
            html.push_str("</table></div>\n");
        } else {
            let _ = writeln!(html, "<p>{}</p>", unescaped(&block.replace('\n', " ")));
        }
    }
    html
}

/// `text` with nothing in it that means something in a table of Markdown or in HTML.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '`' | '*' | '[' | ']' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `text` without the backslashes that keep a character from meaning something in Markdown.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::plot::{Curve, Panel, Point, Scale};
    use super::*;

    fn figure(name: &str) -> Figure {
        let point = |x: f64| Point { x, y: x, low: x, high: x };
        let curve = Curve { name: name.to_owned(), points: vec![point(0.0), point(1.0)] };
        let panels = vec![Panel { label: "cost".into(), curves: vec![curve], limit: None }];
        Figure { title: "T".into(), x_label: "steps".into(), x_scale: Scale::Linear, panels }
    }

    #[test]
    fn what_comes_from_a_run_means_nothing_in_markdown_or_html() {
        assert_eq!(escaped("a|b<!--`\n"), "a\\|b&lt;!--\\` ");
    }

    #[test]
    fn the_template_refers_to_nothing_outside() {
        for outside in ["http:", "https:", "src=", "href=", "@import", "fetch("] {
            assert!(!TEMPLATE.replace("http://www.w3.org/2000/svg", "").contains(outside), "{outside}");
        }
        assert!(SLOTS.iter().all(|slot| TEMPLATE.contains(slot)));
    }

    #[test]
    fn what_a_run_is_called_cannot_become_markup() {
        let figure = figure("</script><!--{{body}}");
        let page = page("a<b {{figures}}", &[Part::Figure(&figure), Part::Markdown("x {{reload}}")], 5).unwrap();
        assert!(page.contains("<title>a&lt;b {{figures}}</title>") && page.contains("<p>x {{reload}}</p>"), "{page}");
        assert!(page.contains("\\u003c/script>\\u003c!--{{body}}") && page.contains("RELOAD_SECONDS = 5;"));
        assert_eq!((page.matches("</script>").count(), page.matches("<!--").count()), (2, 0));
    }

    #[test]
    fn tables_headings_and_paragraphs_are_those_of_the_markdown() {
        let markdown = "| a | b |\n|---|---|\n| 1 | x\\|y<br>z |\n\n![f](f.svg)\n\n## While learning\n\ntwo\nlines of \\*text\\*.\n";
        assert_eq!(
            html(markdown),
            "<div class=\"table\"><table>\n<tr><th>a</th><th>b</th></tr>\n<tr><td>1</td><td>x|y<br>z</td></tr>\n\
             </table></div>\n<h2>While learning</h2>\n<p>two lines of *text*.</p>\n"
        );
    }
}
