//! Paths, lists and patterns of files.

use super::*;
use regatta_lm::spec::DataSpec;

fn desk(train: &str) -> Desk {
    let desk = Desk::with(format!("data: {{tokens: {{train: {train}, validation: v.bin}}}}\narms: {{a: []}}"));
    for name in ["v.bin", "shards/t_1.bin", "shards/t_0.bin", "t_2.bin"] {
        let path = desk.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, [1, 0]).unwrap();
    }
    desk
}

/// The message, from the file's name on.
fn refusal(desk: &Desk) -> String {
    let message = desk.read(&[]).expect_err("a refusal").to_string();
    message.replace(&format!("{}/", desk.folder.path().display()), "")
}

/// The names of the files that the study `train: ...` trains on.
fn files(desk: &Desk, study: &Study) -> Vec<String> {
    let DataSpec::Tokens(tokens) = &study.data else { panic!("token files") };
    let base = desk.folder.path().canonicalize().unwrap();
    let files = tokens.train.files().unwrap().into_iter();
    files.map(|file| file.canonicalize().unwrap().strip_prefix(&base).unwrap().display().to_string()).collect()
}

#[test]
fn patterns_start_beside_the_study() {
    let check = |train: &str, expected: &[&str]| {
        let desk = desk(train);
        let study = desk.read(&[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(files(&desk, &study), expected);
        assert_eq!(Desk::with(study.to_yaml()).read(&[]).unwrap_or_else(|error| panic!("{error}")).data, study.data, "read back");
    };
    check("t_2.bin", &["t_2.bin"]);
    check("'shards/t_*.bin'", &["shards/t_0.bin", "shards/t_1.bin"]);
    check("[t_2.bin, 'shards/*']", &["t_2.bin", "shards/t_0.bin", "shards/t_1.bin"]);
    check("'**/t_[02].bin'", &["shards/t_0.bin", "t_2.bin"]);
}

#[test]
fn a_list_is_refused_at_its_entry() {
    let refused = |train: &str, expected: &str, rest: &str| {
        let message = refusal(&desk(train));
        assert!(message.starts_with(expected) && message.contains(rest), "{message}");
    };
    refused("'u_*.bin'", "x.yaml:1:24: data.tokens.train: expected files, found none that match `u_*.bin` in ", "");
    refused("[t_2.bin, u.bin]", "x.yaml:1:34: data.tokens.train.1: expected a file, found neither at u.bin nor at ", "");
    refused("[t_2.bin, shards]", "x.yaml:1:34: data.tokens.train.1: expected a file, found a folder at ", "shards");
    refused("[]", "x.yaml:1:24: data.tokens.train: expected at least one file, found an empty list", "");
    refused("3", "x.yaml:1:24: data.tokens.train: expected a path, a pattern of paths or a list of them, found ", "3");
    refused("'t**.bin'", "x.yaml:1:24: data.tokens.train: expected a path or a pattern, found `", "t**.bin`");
    let message = refusal(&desk("t_2.bin, dtype: u64"));
    assert!(message.contains("data.tokens.dtype: ") && message.contains("`u16`") && message.contains("u64"), "{message}");
}

#[test]
fn files_can_be_swept() {
    let desk = desk("t_2.bin");
    let study = fs::read_to_string(desk.folder.path().join("x.yaml")).unwrap();
    fs::write(desk.folder.path().join("x.yaml"), study + "\nvary: {data.tokens.train: [t_2.bin, 'shards/t_*.bin']}\n").unwrap();
    let file = StudyFile::read(&desk.study, &[]).unwrap_or_else(|error| panic!("{error}"));
    let found: Vec<_> = file.variants().iter().map(|variant| files(&desk, &variant.study)).collect();
    assert_eq!(found, [vec!["t_2.bin"], vec!["shards/t_0.bin", "shards/t_1.bin"]]);
}
