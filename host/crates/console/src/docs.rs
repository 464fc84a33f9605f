//! The documentation of this version, as it is in `docs/`, for the console: it needs no other server.

use std::collections::HashMap;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

macro_rules! embedded {
    ($include:ident, $($name:literal),+ $(,)?) => {
        &[$(($name, $include!(concat!("../../../../docs/", $name)))),+]
    };
}

/// The pages, by their names.
pub(crate) const PAGES: &[(&str, &str)] = embedded!(
    include_str,
    "audit.md",
    "cases.md",
    "console.md",
    "dead-letters.md",
    "delivery.md",
    "deployment.md",
    "first-plugin.md",
    "hot-swap.md",
    "http-api.md",
    "install.md",
    "kafka.md",
    "languages.md",
    "metrics.md",
    "operations.md",
    "performance.md",
    "pipelines.md",
    "schemas.md",
    "security.md",
    "settings.md",
    "simulation.md",
    "troubleshooting.md",
);

/// The pictures of the pages.
pub(crate) const IMAGES: &[(&str, &[u8])] = embedded!(
    include_bytes,
    "images/console-dead-letters.png",
    "images/console-group.png",
    "images/console-pipeline-narrow.png",
    "images/console-pipeline.png",
);

/// A page as HTML, without its title.
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) html: String,
}

/// The page with this name; `None` if there is none.
pub(crate) fn page(name: &str) -> Option<Page> {
    PAGES.iter().find(|(known, _)| *known == name).map(|(_, markdown)| render(markdown))
}

/// The title of each page, by its name.
pub(crate) fn titles() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGES.iter().map(|(name, markdown)| {
        let title = markdown.lines().find_map(|line| line.strip_prefix("# "));
        (*name, title.unwrap_or(name))
    })
}

/// The page about a command of `mapper-host`.
pub(crate) fn of_command(command: &str) -> Option<&'static str> {
    let name = command.split_whitespace().nth(1)?;
    Some(match name {
        "dlq" => "dead-letters.md",
        "swap" | "rollback" | "history" | "shadow" => "hot-swap.md",
        "audit" => "audit.md",
        "map" | "test" => "cases.md",
        "run" => "settings.md",
        _ => return None,
    })
}

/// The pages are ours, so their text is not escaped beyond HTML. Raw HTML in them is left out.
fn render(markdown: &str) -> Page {
    let events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    let mut title = String::new();
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut shown: Vec<Event<'_>> = Vec::with_capacity(events.len());
    let (mut is_in_title, mut open_links) = (false, Vec::new());
    for (index, event) in events.iter().enumerate() {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) => is_in_title = true,
            Event::End(TagEnd::Heading(HeadingLevel::H1)) => is_in_title = false,
            Event::Text(text) | Event::Code(text) if is_in_title => title += text,
            Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
                let id = unique(&mut ids, slug(&heading_text(&events[index + 1..])));
                let (level, classes, attrs) = (*level, classes.clone(), attrs.clone());
                shown.push(Event::Start(Tag::Heading { level, id: Some(id.into()), classes, attrs }));
            }
            // Other files of the repository are not embedded.
            Event::Start(Tag::Link { dest_url, .. }) => {
                open_links.push(is_shown(dest_url));
                if is_shown(dest_url) {
                    shown.push(event.clone());
                }
            }
            Event::End(TagEnd::Link) => {
                if open_links.pop().unwrap_or_default() {
                    shown.push(event.clone());
                }
            }
            Event::Start(Tag::Table(_)) => {
                shown.push(raw("<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Table\">"));
                // Its alignment would be an inline style.
                shown.push(Event::Start(Tag::Table(Vec::new())));
            }
            Event::End(TagEnd::Table) => {
                shown.push(event.clone());
                shown.push(raw("</div>"));
            }
            Event::Html(_) | Event::InlineHtml(_) => {}
            other => shown.push(other.clone()),
        }
    }
    let mut page = String::new();
    html::push_html(&mut page, shown.into_iter());
    Page { title, html: page }
}

fn raw(html: &'static str) -> Event<'static> {
    Event::Html(CowStr::Borrowed(html))
}

/// Whether a link leads to something: a heading, another page, or another site.
fn is_shown(target: &str) -> bool {
    let page = target.split('#').next().unwrap_or_default();
    page.is_empty() || target.starts_with("https://") || PAGES.iter().any(|(name, _)| *name == page)
}

/// The text of the heading whose content begins here.
fn heading_text(events: &[Event<'_>]) -> String {
    let content = events.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    content
        .filter_map(|event| if let Event::Text(text) | Event::Code(text) = event { Some(text.as_ref()) } else { None })
        .collect()
}

/// The anchor that GitHub gives a heading, so that links of the pages lead to it.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|char| if char == ' ' { '-' } else { char }).collect()
}

/// The slug, with a number if an earlier heading has the same.
fn unique(ids: &mut HashMap<String, usize>, slug: String) -> String {
    let number = ids.entry(slug.clone()).or_default();
    *number += 1;
    if *number == 1 { slug } else { format!("{slug}-{}", *number - 1) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn all_pages_and_pictures_of_the_repository_are_embedded() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs");
        let files = |dir: &str| -> BTreeSet<String> {
            let entries = std::fs::read_dir(docs.join(dir)).unwrap().map(|entry| entry.unwrap());
            let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
            files.map(|file| format!("{dir}{}", file.file_name().to_string_lossy())).collect()
        };
        let names =
            |names: &mut dyn Iterator<Item = &&str>| names.map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(names(&mut PAGES.iter().map(|(name, _)| name)), files(""));
        assert_eq!(names(&mut IMAGES.iter().map(|(name, _)| name)), files("images/"));
    }

    #[test]
    fn every_link_between_pages_leads_to_a_heading() {
        let pages: HashMap<&str, Page> = PAGES.iter().map(|(name, markdown)| (*name, render(markdown))).collect();
        for (name, page) in &pages {
            assert!(!page.title.is_empty(), "{name} has no title");
            for link in page.html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                let Some((target, anchor)) = link.split_once('#').filter(|_| !link.starts_with("https:")) else {
                    continue;
                };
                let target = if target.is_empty() { *name } else { target };
                let id = format!("id=\"{anchor}\"");
                assert!(pages[target].html.contains(&id), "{name}: {link}");
            }
        }
    }

    #[test]
    fn links_to_files_that_are_not_embedded_and_styles_are_left_out() {
        let page = render(
            "# A `b` c\n\n[wit](../wit/mapper.wit), [cases](cases.md#x), <b>bold</b>\n\n## The same\n\n## The same\n",
        );
        assert_eq!(page.title, "A b c");
        assert!(page.html.contains("<p>wit, <a href=\"cases.md#x\">cases</a>, bold</p>"), "{}", page.html);
        let aligned = render("# A\n\n| n |\n|--:|\n| 1 |\n").html;
        assert!(aligned.contains("<table>") && !aligned.contains("style"), "{aligned}");
        assert!(page.html.contains("id=\"the-same\"") && page.html.contains("id=\"the-same-1\""), "{}", page.html);
    }

    #[test]
    fn commands_of_the_pages_have_documentation() {
        for command in
            ["mapper-host dlq groups", "mapper-host swap a.wasm", "mapper-host map a.wasm", "mapper-host audit"]
        {
            let name = of_command(command).unwrap();
            assert!(page(name).is_some(), "{command}: {name}");
        }
        assert_eq!(of_command("mapper-host"), None);
    }
}
