//! What stands on a page: its blocks of code, under which heading, and which file or
//! commands each is. It knows nothing of what they do.

use std::fs;
use std::path::{Path, PathBuf};

/// A block of code.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The heading that it stands under.
    heading: String,
    /// `sh` for commands.
    pub(crate) language: String,
    /// What the line before it names first: a file, if it is one.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Block {
    /// Its commands, each in one piece; none of a file.
    pub(crate) fn commands(&self) -> Vec<String> {
        if self.language != "sh" {
            return Vec::new();
        }
        let joined = self.text.replace("\\\n", " ");
        joined.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    }

    /// Whether it is a file.
    pub(crate) fn is_file(&self) -> bool {
        !["sh", "text"].contains(&self.language.as_str())
    }
}

/// A page of `docs/`.
#[derive(Debug)]
pub(crate) struct Page {
    path: PathBuf,
    pub(crate) blocks: Vec<Block>,
}

impl Page {
    /// Reads a page, as `how-to/php.md`.
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let blocks = blocks(&text);
        assert!(!blocks.is_empty(), "{path:?}: there is no block of code");
        Self { path, blocks }
    }

    /// The blocks under headings that begin so.
    pub(crate) fn under(&self, heading: &str) -> Vec<Block> {
        let under = self.blocks.iter().filter(|block| block.heading.starts_with(heading));
        let found: Vec<_> = under.cloned().collect();
        assert!(!found.is_empty(), "{:?}: no code under {heading:?}", self.path);
        found
    }

    /// What a file is to say.
    pub(crate) fn file(&self, name: &str) -> &str {
        let is_it = |block: &&Block| block.is_file() && block.name == name;
        let found = self.blocks.iter().find(is_it);
        &found.unwrap_or_else(|| panic!("{:?}: no file {name:?}", self.path)).text
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut heading, mut before) = (String::new(), String::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if let Some(language) = line[indent..].strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| line.trim_start() != "```");
            // An empty line has no indent.
            let text: Vec<_> = inside.map(|line| line.get(indent..).unwrap_or_default()).collect();
            let name = before.split('`').nth(1).unwrap_or_default().to_owned();
            let (heading, language) = (heading.clone(), language.to_owned());
            blocks.push(Block { heading, language, name, text: text.join("\n") + "\n" });
            before.clear();
        } else if let Some(text) = line.strip_prefix("## ") {
            text.clone_into(&mut heading);
        } else if !line.trim().is_empty() {
            line.clone_into(&mut before);
        }
    }
    blocks
}

#[test]
fn blocks_are_found_with_their_names() {
    let page = "# T\n## Steps\n1. In `/etc/a`, as `b`:\n\n   ```toml\n   [x]\n\n     y = 1\n   ```\n\
                ```sh\na \\\n  b\nc\n```\n";
    let found = blocks(page);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].name.as_str(), found[0].text.as_str()), ("/etc/a", "[x]\n\n  y = 1\n"));
    assert!(found[0].is_file() && found[0].heading == "Steps");
    assert_eq!(found[1].commands(), ["a    b", "c"]);
}
