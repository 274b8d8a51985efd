//! A Markdown page, as far as it can be tested.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where in a document something stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// From the root of the repository.
    pub path: PathBuf,
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    pub place: Place,
    /// What stands behind the fence.
    pub info: String,
    pub body: String,
}

impl Block {
    pub fn language(&self) -> &str {
        self.info.split_whitespace().next().unwrap_or("")
    }

    /// Whether `word` stands behind the language.
    pub fn is(&self, word: &str) -> bool {
        self.info.split_whitespace().nth(1) == Some(word)
    }
}

#[derive(Debug)]
pub struct Document {
    pub path: PathBuf,
    pub blocks: Vec<Block>,
    /// Code within a line.
    pub spans: Vec<(Place, String)>,
    /// Targets of links and pictures, but for those on the web.
    pub links: Vec<(Place, String)>,
    /// As GitHub and mdBook write them behind `#`.
    pub anchors: Vec<String>,
}

impl Document {
    pub fn read(root: &Path, path: PathBuf) -> Self {
        let text = std::fs::read_to_string(root.join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(path, &text)
    }

    fn parse(path: PathBuf, text: &str) -> Self {
        let mut document = Self { path, blocks: Vec::new(), spans: Vec::new(), links: Vec::new(), anchors: Vec::new() };
        let (mut in_block, mut heading) = (false, None::<String>);
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = 1 + text[..range.start].matches('\n').count();
            let place = Place { path: document.path.clone(), line };
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = if let CodeBlockKind::Fenced(info) = kind { info.to_string() } else { "an indented block".into() };
                    document.blocks.push(Block { place, info, body: String::new() });
                    in_block = true;
                }
                Event::End(TagEnd::CodeBlock) => in_block = false,
                Event::Text(text) if in_block => document.blocks.last_mut().unwrap().body.push_str(&text),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => document.anchors.extend(heading.take().map(|title| anchor(&title))),
                Event::Text(text) => heading.iter_mut().for_each(|title| title.push_str(&text)),
                Event::Code(code) => {
                    heading.iter_mut().for_each(|title| title.push_str(&code));
                    document.spans.push((place, code.replace('\n', " ")));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) if !dest_url.contains("://") => {
                    document.links.push((place, dest_url.to_string()));
                }
                _ => {}
            }
        }
        document
    }
}

fn anchor(title: &str) -> String {
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
}

#[test]
fn a_page_by_hand() {
    let text = "# A `b`, c?\n\nSee [there](x.md#y), `regatta list`.\n\n```yaml fragment\nseeds: 2\n```\n";
    let page = Document::parse("page.md".into(), text);
    assert_eq!(page.anchors, ["a-b-c"]);
    assert_eq!(page.links[0].1, "x.md#y");
    assert_eq!(page.spans.iter().map(|(_, code)| code.as_str()).collect::<Vec<_>>(), ["b", "regatta list"]);
    let [block] = &page.blocks[..] else { panic!("{page:?}") };
    assert_eq!((block.language(), block.is("fragment"), block.body.as_str()), ("yaml", true, "seeds: 2\n"));
    assert_eq!(block.place.to_string(), "page.md:5");
}
