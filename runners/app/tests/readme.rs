//! README's table of starters is what the program prints of its cards.

use std::path::Path;
use std::process::Command;

const BEGIN: &str = "<!-- starters: written by REGATTA_WRITE_README=1 cargo test --workspace --test readme -->\n";
const END: &str = "<!-- end of starters -->";

#[test]
fn the_table_of_starters_is_that_of_the_cards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listed = Command::new(env!("CARGO_BIN_EXE_regatta"))
        .args(["list", "--format", "md", "--costs", "docs/costs.json"])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let table = String::from_utf8(listed.stdout).unwrap();

    let path = root.join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap_or_else(|| panic!("README.md has no line {BEGIN}"));
    let (found, after) = rest.split_once(END).unwrap_or_else(|| panic!("README.md has no line {END} after {BEGIN}"));
    if std::env::var_os("REGATTA_WRITE_README").is_some() {
        return std::fs::write(&path, format!("{before}{BEGIN}\n{table}\n{END}{after}")).unwrap();
    }
    assert!(
        found.trim() == table.trim(),
        "README.md's table is not what `regatta list --format md --costs docs/costs.json` prints; write it anew with \
         `REGATTA_WRITE_README=1 cargo test --workspace --test readme`. It is now\n\n{table}"
    );
}
