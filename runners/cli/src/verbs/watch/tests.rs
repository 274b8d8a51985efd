//! Frames of small folders, and the effects of keys on them.

use super::draw::draw;
use super::screen::{Next, Screen};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use regatta_study::Watched;
use std::time::{Duration, UNIX_EPOCH};

/// A folder with a study in it, as it is looked at.
struct Folder {
    folder: tempfile::TempDir,
    screen: Screen,
}

impl Folder {
    fn new(seeds: usize, arms: &[&str]) -> Self {
        let folder = Self { folder: tempfile::tempdir().unwrap(), screen: Screen::default() };
        let arms: String = arms.iter().map(|arm| format!("  {arm}: []\n")).collect();
        let seeds: Vec<usize> = (0..seeds).collect();
        folder.write("study.yaml", &format!("name: small\nseeds: {seeds:?}\ntrain: {{steps: 50}}\narms:\n{arms}"));
        folder.write("runners/turn.1", "");
        folder
    }

    /// Baseline done, `good` at its half, `bad` failed; of seed 1 nothing yet.
    fn with_trials() -> Self {
        let folder = Self::new(2, &["baseline", "good", "bad"]);
        folder.trial("baseline", "done", r#", "ended": 1065"#, 50, 4.0);
        folder.trial("good", "running", "", 25, 3.0);
        folder.trial("bad", "failed", r#", "ended": 1001, "reason": "panicked: no\nluck""#, 2, 5.0);
        folder
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn trial(&self, arm: &str, state: &str, more: &str, steps: usize, loss: f64) {
        let status = format!(r#"{{"state": "{state}", "identity": "x", "started": 1000, "attempt": 1, "records": {{}}{more}}}"#);
        self.write(&format!("trials/{arm}/seed-0/status.json"), &status);
        let line = |step: usize| {
            let loss = loss + 1.0 / (step as f64 + 1.0);
            format!(
                "{{\"step\":{step},\"loss\":{loss},\"penalty\":0,\"terms\":{{}},\"grad_norm\":1,\"lr\":1,\"tokens_per_second\":1}}\n"
            )
        };
        self.write(&format!("trials/{arm}/seed-0/metrics.jsonl"), &(0..steps).map(line).collect::<String>());
    }

    fn watched(&self) -> Watched {
        let mut watched = Watched::open(self.folder.path()).unwrap();
        while watched.refresh(UNIX_EPOCH + Duration::from_secs(1100), 1 << 20) {}
        watched
    }

    fn press(&mut self, keys: &[KeyCode]) -> Next {
        let watched = self.watched();
        keys.iter().map(|key| self.screen.press(&KeyEvent::from(*key), &watched)).last().unwrap()
    }

    /// The picture, a string for each line.
    fn picture(&mut self, width: u16, height: u16) -> Vec<String> {
        let watched = self.watched();
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &watched, &mut self.screen)).unwrap();
        let cells = terminal.backend().buffer().content();
        let line = |cells: &[ratatui::buffer::Cell]| cells.iter().map(|cell| cell.symbol()).collect::<String>();
        cells.chunks(width.into()).map(|cells| line(cells).trim_end().to_owned()).collect()
    }

    /// Whether each of these is in the picture.
    #[track_caller]
    fn expect(&mut self, width: u16, height: u16, parts: &[&str]) {
        let picture = self.picture(width, height).join("\n");
        parts.iter().for_each(|part| assert!(picture.contains(part), "expected `{part}` in\n{picture}"));
    }

    #[track_caller]
    fn expect_none(&mut self, width: u16, height: u16, parts: &[&str]) {
        let picture = self.picture(width, height).join("\n");
        parts.iter().for_each(|part| assert!(!picture.contains(part), "expected no `{part}` in\n{picture}"));
    }
}

#[test]
fn a_usual_terminal_shows_everything() {
    let mut folder = Folder::with_trials();
    let parts = [
        "small  stopped  1 done, 1 cut off, 3 pending, 1 failed of 6 trials",
        "nobody is running it",
        "77/252 steps",
        "● baseline     0 done     50/50  4.0200       1m 05s",
        "● good         0 cut off  25/50  3.0400",
        "bad seed 0 failed: panicked: no luck",
        "training loss  validation loss  penalty  mean cosine by layer",
        "● good",
        "up/down scroll",
    ];
    let picture = folder.picture(80, 24).join("\n");
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    parts.iter().for_each(|part| assert!(squeezed(&picture).contains(&squeezed(part)), "expected `{part}` in\n{picture}"));
    assert!(picture.chars().any(|letter| ('\u{2801}'..='\u{28ff}').contains(&letter)), "a curve in\n{picture}");
}

#[test]
fn a_small_terminal_shows_the_trials_and_no_chart() {
    let mut folder = Folder::with_trials();
    folder.expect(40, 10, &["small  stopped  1/6, 1 wrong", "baseline", "cut off", "q leave"]);
    folder.expect_none(40, 10, &["training loss"]);
    folder.expect(40, 12, &["bad seed 0 failed"]);
    folder.expect(250, 80, &["training loss", "bad seed 0 failed", "4.0200"]);
}

/// Every size from nothing on: no size panics, with and without help.
#[test]
fn every_size_is_drawn() {
    let mut folders = [Folder::with_trials(), Folder::new(0, &["baseline"]), Folder::new(40, &["a"; 1])];
    let sizes = (1..60).step_by(7).flat_map(|width| (1..30).map(move |height| (width, height)));
    for (width, height) in sizes.chain([(1, 1), (250, 3), (129, 30), (130, 16), (250, 80), (3, 80)]) {
        for folder in &mut folders {
            folder.picture(width, height);
            folder.press(&[KeyCode::Char('?'), KeyCode::Tab]);
        }
    }
}

#[test]
fn tab_chooses_the_chart_and_f_the_state() {
    let mut folder = Folder::with_trials();
    folder.press(&[KeyCode::Tab]);
    folder.expect(80, 24, &["nothing measured yet"]);
    folder.press(&[KeyCode::Tab, KeyCode::Tab]);
    folder.expect(80, 24, &["measured at the end of a trial"]);
    folder.press(&[KeyCode::Tab, KeyCode::BackTab, KeyCode::Tab]);
    folder.expect(80, 24, &["● good"]);

    folder.press(&[KeyCode::Char('f')]);
    folder.expect(80, 24, &["trials done 1-1 of 1"]);
    folder.press(&[KeyCode::Char('f'); 3]);
    folder.expect(80, 24, &["trials failed 1-1 of 1"]);
    folder.trial("bad", "done", "", 50, 5.0);
    folder.expect(80, 24, &["no trial is failed"]);
    folder.press(&[KeyCode::Down, KeyCode::Char('f')]);
    folder.expect(80, 24, &["trials 1-6 of 6"]);
}

#[test]
fn long_tables_scroll_and_follow_what_runs() {
    let mut folder = Folder::new(100, &["baseline"]);
    folder.expect(40, 10, &["trials 1-4 of 100"]);
    folder.press(&[KeyCode::PageDown, KeyCode::Down]);
    folder.expect(40, 10, &["trials 3-6 of 100"]);
    folder.press(&[KeyCode::End]);
    folder.expect(40, 10, &["trials 97-100 of 100"]);
    folder.press(&[KeyCode::Down, KeyCode::Up]);
    folder.expect(40, 10, &["trials 97-100 of 100"]);
    folder.press(&[KeyCode::Char(' ')]);
    folder.expect(40, 10, &["trials 1-4 of 100"]);
    folder.press(&[KeyCode::Home, KeyCode::PageUp, KeyCode::Up]);
    folder.expect(40, 10, &["trials 1-4 of 100"]);
}

#[test]
fn keys_leave_help_first_and_then_the_program() {
    let mut folder = Folder::with_trials();
    assert_eq!(folder.press(&[KeyCode::Char('?')]), Next::Stay);
    folder.expect(80, 24, &["leave; the run continues"]);
    assert_eq!(folder.press(&[KeyCode::Esc]), Next::Stay);
    folder.expect_none(80, 24, &["leave; the run continues"]);
    assert_eq!(folder.press(&[KeyCode::Esc]), Next::Leave);
    assert_eq!(folder.press(&[KeyCode::Char('q')]), Next::Leave);
    let watched = folder.watched();
    let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    assert_eq!(folder.screen.press(&control('c'), &watched), Next::Leave);
    assert_eq!(folder.screen.press(&control('q'), &watched), Next::Stay);
}

#[test]
fn values_beyond_all_measure_are_drawn() {
    let mut folder = Folder::with_trials();
    folder.trial("good", "diverged", "", 50, f64::MAX / 2.0);
    folder.picture(80, 24);
    folder.trial("good", "done", "", 50, -1e300);
    folder.picture(80, 24);
    folder.trial("good", "done", "", 1, 0.0);
    folder.expect(200, 50, &["● good"]);
}

#[test]
fn many_arms_are_drawn_eight_at_a_time() {
    let names: Vec<String> = (0..20).map(|arm| format!("arm{arm}")).collect();
    let mut folder = Folder::new(1, &names.iter().map(String::as_str).collect::<Vec<_>>());
    folder.trial("arm0", "done", "", 50, 4.0);
    folder.trial("arm17", "done", "", 50, 3.0);
    folder.expect(80, 30, &["arms 1-8 of 20"]);
    folder.press(&[KeyCode::End]);
    folder.expect(80, 30, &["arms 17-20 of 20", "● arm17"]);
}

#[test]
fn a_study_that_cannot_be_read_any_more_says_so() {
    let mut folder = Folder::with_trials();
    let mut watched = folder.watched();
    std::fs::remove_file(folder.folder.path().join("study.yaml")).unwrap();
    watched.refresh(UNIX_EPOCH, 0);
    let mut terminal = Terminal::new(TestBackend::new(120, 24)).unwrap();
    terminal.draw(|frame| draw(frame, &watched, &mut folder.screen)).unwrap();
    let shown: String = terminal.backend().buffer().content().iter().map(|cell| cell.symbol()).collect();
    assert!(shown.contains("expected the folder of a study"), "{shown}");
}
