//! The flags of `sbatch` in the lines that a user adds: which setting of ours asks for the same, and which are not a user's to say.

/// Flags that ask for one thing. Slurm takes the last of them, or refuses the job hours later.
pub(crate) struct Request {
    /// Our setting for it, where there is one.
    pub setting: Option<&'static str>,
    /// The flags, without dashes.
    pub flags: &'static [&'static str],
}

pub(crate) const REQUESTS: [Request; 13] = [
    Request { setting: Some("time"), flags: &["time"] },
    Request { setting: Some("cpus"), flags: &["cpus-per-task", "cpus-per-gpu"] },
    Request { setting: Some("memory"), flags: &["mem", "mem-per-cpu", "mem-per-gpu"] },
    Request { setting: Some("gpus"), flags: &["gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket"] },
    Request { setting: Some("partition"), flags: &["partition"] },
    Request { setting: Some("account"), flags: &["account"] },
    Request { setting: Some("qos"), flags: &["qos"] },
    Request { setting: Some("constraint"), flags: &["constraint"] },
    Request { setting: None, flags: &["job-name"] },
    Request { setting: None, flags: &["output"] },
    Request { setting: None, flags: &["open-mode"] },
    Request { setting: None, flags: &["signal"] },
    Request { setting: None, flags: &["requeue", "no-requeue"] },
];

/// Flags that would break what a submission relies on, and why.
const OURS: [(&str, &str); 6] = [
    ("array", "the number of tasks follows from the trials that are missing; `array_limit` bounds how many run at a time"),
    ("wrap", "the script runs the study"),
    ("parsable", "it has no place in a script"),
    ("wait", "`submit` returns at once"),
    ("test-only", "`--print` shows what would be submitted"),
    ("hold", "held tasks are not counted as submitted; `scontrol hold` holds them afterwards"),
];

const SHORT: [(char, &str); 27] = [
    ('A', "account"),
    ('a', "array"),
    ('B', "extra-node-info"),
    ('b', "begin"),
    ('C', "constraint"),
    ('c', "cpus-per-task"),
    ('D', "chdir"),
    ('d', "dependency"),
    ('e', "error"),
    ('F', "nodefile"),
    ('G', "gpus"),
    ('H', "hold"),
    ('J', "job-name"),
    ('L', "licenses"),
    ('M', "clusters"),
    ('m', "distribution"),
    ('N', "nodes"),
    ('n', "ntasks"),
    ('o', "output"),
    ('p', "partition"),
    ('q', "qos"),
    ('S', "core-spec"),
    ('s', "oversubscribe"),
    ('t', "time"),
    ('W', "wait"),
    ('w', "nodelist"),
    ('x', "exclude"),
];

/// The flags of a line, by their long names and with what follows each: `-p long --gres=gpu:1` has `partition` and `gres`.
pub(crate) fn flags(line: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for word in line.split_whitespace() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').unwrap_or((long, ""));
            found.push((name.to_owned(), value.to_owned()));
        } else if let Some(letter) = word.strip_prefix('-').and_then(|short| short.chars().next()) {
            let name =
                SHORT.iter().find(|(short, _)| *short == letter).map_or_else(|| letter.to_string(), |(_, name)| (*name).into());
            found.push((name, word[1 + letter.len_utf8()..].to_owned()));
        } else if let Some((_, value)) = found.last_mut().filter(|(_, value)| value.is_empty()) {
            *value = word.to_owned();
        }
    }
    found
}

/// What a flag asks for, where it is one of [`REQUESTS`]; by its place there. `gres` may name GPUs.
pub(crate) fn request(name: &str, value: &str) -> Option<usize> {
    let name = if name == "gres" && value.contains("gpu") { "gpus" } else { name };
    REQUESTS.iter().position(|request| request.flags.contains(&name))
}

/// Why a flag is not the user's to say.
pub(crate) fn ours(name: &str) -> Option<&'static str> {
    OURS.iter().find(|(flag, _)| *flag == name).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_long_names_and_values() {
        let check = |line: &str, expected: &[(&str, &str)]| {
            let expected: Vec<(String, String)> = expected.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
            assert_eq!(flags(line), expected, "{line}");
        };
        check("--mail-type=END", &[("mail-type", "END")]);
        check("--mem 4G --exclusive", &[("mem", "4G"), ("exclusive", "")]);
        check("-p long -t5 -N1", &[("partition", "long"), ("time", "5"), ("nodes", "1")]);
        check("words without flags", &[]);
    }

    #[test]
    fn what_asks_for_the_same_is_one_request() {
        let setting = |name: &str, value: &str| request(name, value).and_then(|place| REQUESTS[place].setting);
        assert_eq!(setting("mem-per-cpu", "2G"), Some("memory"));
        assert_eq!((setting("gres", "gpu:2"), setting("gres", "tmpdir:10G")), (Some("gpus"), None));
        assert_eq!(request("requeue", ""), request("no-requeue", ""));
        assert_eq!(request("exclusive", ""), None);
        assert!(ours("array").is_some() && ours("mail-type").is_none());
    }
}
