use std::path::Path;

use super::*;

#[test]
fn the_page_is_what_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == markdown(),
        "docs/configuration.md is not what the program prints; make it anew by \
         `cargo run -- man --configuration --markdown > docs/configuration.md`"
    );
}

#[test]
fn the_manual_page_has_every_key() {
    let page = roff();
    for section in &sections() {
        let header = format!(".SH {}", section.header());
        let at = page.find(&header).unwrap_or_else(|| panic!("no {header}"));
        for key in &section.keys {
            // A hyphen or a dot would be escaped; an underscore is not.
            assert!(page[at..].contains(&format!("\\fB{}\\fR", key.name)), "{}", key.name);
        }
    }
}
