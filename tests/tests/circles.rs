//! No circles of files: within a crate, files use each other in one direction. What a file uses is read from its `use` lines and
//! its paths, tests aside; a name that a module re-exports belongs to the file that defines it.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree};

/// A module by its names from the crate's root down.
type Name = Vec<String>;

/// A file, what it re-exports, and the paths in it.
#[derive(Debug, Default)]
struct File {
    /// What stands for a name of this module: `pub use child::Name`.
    exports: BTreeMap<String, Name>,
    /// Modules whose every name is re-exported.
    globs: Vec<Name>,
    paths: BTreeSet<Name>,
}

type Files = BTreeMap<Name, File>;

/// Collects a file's paths from the root of its crate.
struct Reader<'a> {
    module: Name,
    file: &'a mut File,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test") || attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl Reader<'_> {
    /// A path from the crate's root, where it begins with `crate`, `super` or `self`.
    fn resolved(&self, path: &[String]) -> Option<Name> {
        let mut base = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        for segment in &path[1..] {
            if segment == "super" {
                base.pop();
            } else {
                base.push(segment.clone());
            }
        }
        Some(base)
    }

    fn used(&mut self, tree: &UseTree, before: &[String], exported: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.used(&path.tree, &with(&path.ident), exported),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.used(tree, before, exported)),
            UseTree::Name(name) if name.ident == "self" => self.leaf(before, before.last().cloned(), exported),
            UseTree::Name(name) => self.leaf(&with(&name.ident), Some(name.ident.to_string()), exported),
            UseTree::Rename(rename) => self.leaf(&with(&rename.ident), Some(rename.rename.to_string()), exported),
            UseTree::Glob(_) => self.leaf(before, None, exported),
        }
    }

    /// One name of a `use`; `None` stands for all names of the path. A path that does not begin with `crate`, `self` or `super`
    /// belongs to a child module or to another crate.
    fn leaf(&mut self, path: &[String], name: Option<String>, exported: bool) {
        let target = self.resolved(path).unwrap_or_else(|| [self.module.as_slice(), path].concat());
        match name {
            Some(name) if exported => _ = self.file.exports.insert(name, target),
            None if exported => self.file.globs.push(target),
            _ => _ = self.file.paths.insert(target),
        }
    }

    /// Paths in the tokens of a macro: names with `::` between them.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 => path.push(name.to_string()),
                TokenTree::Ident(name) => {
                    self.end(&path);
                    path = vec![name.to_string()];
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    self.end(&std::mem::take(&mut path));
                    self.tokens(group.stream());
                }
                _ => self.end(&std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.end(&path);
    }

    fn end(&mut self, path: &[String]) {
        if let Some(path) = self.resolved(path) {
            self.file.paths.insert(path);
        }
    }
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        let exported = !matches!(item.vis, syn::Visibility::Inherited);
        self.used(&item.tree, &[], exported);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.end(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

fn read(module: &Name, text: &str) -> File {
    let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{module:?}: {error}"));
    let mut file = File::default();
    Reader { module: module.clone(), file: &mut file }.visit_file(&parsed);
    file
}

/// The file that defines what is at `path`: the deepest module on it, by way of what that re-exports.
fn home(files: &Files, path: &Name) -> Option<Name> {
    let mut path = path.clone();
    for _ in 0..16 {
        let depth = (0..=path.len()).rev().find(|depth| files.contains_key(&path[..*depth]))?;
        let (module, rest) = path.split_at(depth);
        let Some(name) = rest.first() else { return Some(path) };
        let file = &files[module];
        let target = file.exports.get(name).cloned().or_else(|| {
            let mut of_globs = file.globs.iter().filter(|glob| files.contains_key(*glob));
            of_globs.next().map(|glob| [glob.as_slice(), std::slice::from_ref(name)].concat())
        });
        match target {
            Some(target) if target != path => path = [target.as_slice(), &rest[1..]].concat(),
            _ => return Some(module.to_vec()),
        }
    }
    None
}

/// For each file, the files that it uses. Uses between a folder's `mod.rs` and the files below it do not count.
fn arrows(files: &Files) -> BTreeMap<&Name, BTreeSet<Name>> {
    let uses = |name: &Name, file: &File| -> BTreeSet<Name> {
        let homes = file.paths.iter().filter_map(|path| home(files, path));
        homes.filter(|home| !home.starts_with(name) && !name.starts_with(home)).collect()
    };
    files.iter().map(|(name, file)| (name, uses(name, file))).collect()
}

/// Each set of files that can be reached from one another.
fn circles(files: &Files) -> Vec<BTreeSet<Name>> {
    let arrows = arrows(files);
    let reached: BTreeMap<&Name, BTreeSet<Name>> = arrows
        .keys()
        .map(|&start| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![start.clone()]);
            while let Some(name) = next.pop() {
                next.extend(arrows[&name].iter().filter(|used| seen.insert((*used).clone())).cloned());
            }
            (start, seen)
        })
        .collect();
    let mut found: Vec<BTreeSet<Name>> = Vec::new();
    for (name, seen) in &reached {
        let circle: BTreeSet<Name> = seen.iter().filter(|other| reached[other].contains(*name)).cloned().collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

/// The files below `folder`, by module; those of tests are left out.
fn files_of(folder: &Path) -> Files {
    let (mut files, mut folders) = (Files::new(), vec![folder.to_owned()]);
    while let Some(here) = folders.pop() {
        for entry in std::fs::read_dir(&here).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let mut module: Name =
                path.parent().and_then(|parent| parent.strip_prefix(folder).ok()).map_or(Vec::new(), |below| {
                    below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
                });
            if !["lib", "main", "mod"].contains(&stem.as_str()) {
                module.push(stem);
            }
            if module.iter().any(|part| ["tests", "testing", "plain"].contains(&part.as_str())) {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            files.insert(module.clone(), read(&module, &text));
        }
    }
    files
}

fn crates() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned();
    let below =
        |folder: &str| std::fs::read_dir(root.join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path());
    let several = ["regularizers", "interventions", "runners"].into_iter().flat_map(below);
    [root.join("core"), root.join("kernels")]
        .into_iter()
        .chain(several)
        .map(|path| path.join("src"))
        .filter(|path| path.is_dir())
        .collect()
}

#[test]
fn files_use_each_other_in_one_direction() {
    let crates = crates();
    assert!(crates.len() > 25, "{}", crates.len());
    let words = |circle: &BTreeSet<Name>| circle.iter().map(|name| name.join("::")).collect::<Vec<_>>().join(", ");
    let found: Vec<String> = crates
        .iter()
        .flat_map(|path| circles(&files_of(path)).into_iter().map(move |circle| (path, circle)))
        .map(|(path, circle)| format!("{}: {{{}}}", path.display(), words(&circle)))
        .collect();
    assert!(found.is_empty(), "circles of files:\n{}", found.join("\n"));
}

#[test]
fn a_circle_is_found_through_re_exports_macros_and_paths() {
    let check = |texts: [(&str, &str); 4], expected: &[&str]| {
        let name = |path: &str| path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect::<Name>();
        let files: Files = texts.iter().map(|(path, text)| (name(path), read(&name(path), text))).collect();
        let found: Vec<Name> = circles(&files).into_iter().flatten().collect();
        assert_eq!(found, expected.iter().map(|path| name(path)).collect::<Vec<_>>(), "{texts:?}");
    };
    let root = ("", "mod a; mod b; mod c; pub use a::A;");
    let a = ("a", "pub struct A;");
    check([root, a, ("b", "use crate::A; pub fn b(_: A) {}"), ("c", "use super::b::b;")], &[]);
    check([root, ("a", "use super::b::b; pub struct A;"), ("b", "use crate::A;"), ("c", "")], &["a", "b"]);
    check(
        [root, ("a", "pub struct A; fn f() { vec![crate::b::b()]; }"), ("b", "fn b() -> super::a::A {}"), ("c", "")],
        &["a", "b"],
    );
    let tests = ("a", "pub struct A; #[cfg(test)] mod tests { use crate::b::b; } #[cfg(test)] use super::b::b;");
    check([root, tests, ("b", "use crate::A;"), ("c", "")], &[]);
    check(
        [
            root,
            ("a", "use super::c::*; pub struct A;"),
            ("b", "use crate::A; pub fn b() {}"),
            ("c", "pub use super::b::b; fn c() { super::b::b() }"),
        ],
        &["a", "b", "c"],
    );
}
