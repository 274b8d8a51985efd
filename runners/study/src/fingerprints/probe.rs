//! The process that measures what plugins compute: a plugin comes in on stdin and its fingerprint goes out on stdout, a JSON value
//! per line.

use regatta_core::{Fingerprint, Intervention, Plugin};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;

/// A plugin to be measured, as it is asked for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Probe<'a> {
    Regularizer(&'a Plugin),
    Intervention(&'a Plugin<dyn Intervention>),
}

/// The same, as it arrives.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Probed {
    Regularizer(Plugin),
    Intervention(Plugin<dyn Intervention>),
}

/// A fingerprint, or why there is none.
pub(super) type Answer = Result<Fingerprint, String>;

/// Answers with the fingerprint of each plugin that is asked for, until stdin ends: then the process ends, whatever a plugin is
/// doing.
///
/// # Errors
/// When the answers cannot be written.
pub fn probe(stdin: impl BufRead + Send + 'static, mut stdout: impl Write) -> std::io::Result<()> {
    let (sender, plugins) = channel();
    std::thread::spawn(move || {
        stdin.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        std::process::exit(0);
    });
    std::panic::set_hook(Box::new(|_| {})); // a panic is an answer
    while let Ok(plugin) = plugins.recv() {
        let mut line = b"\n".to_vec(); // a plugin may have printed the beginning of a line
        serde_json::to_writer(&mut line, &answer(&plugin))?;
        line.push(b'\n');
        stdout.write_all(&line)?;
        stdout.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Answer {
    let probed: Probed = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let fingerprint = || match &probed {
        Probed::Regularizer(plugin) => Fingerprint::of_regularizer(&*plugin.0),
        Probed::Intervention(plugin) => Fingerprint::of_intervention(&*plugin.0),
    };
    match catch_unwind(AssertUnwindSafe(fingerprint)) {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err("it panicked".into()),
    }
}
