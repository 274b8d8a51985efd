//! One frame: the study, fitted to the size of the terminal.

use super::palette::{alarm, quiet};
use super::screen::Screen;
use super::{chart, table};
use crate::progress::words;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};
use regatta_records::Present;
use regatta_study::{Phase, TrialState, Watched};
use std::collections::BTreeSet;

/// Each line fits the smallest terminal that is supported.
const HELP: [(&str, &str); 8] = [
    ("q Esc Ctrl-C", "leave; the run continues"),
    ("up down", "mark another trial"),
    ("PgUp PgDn", "a page of trials"),
    ("Home End", "first trial, last trial"),
    ("space", "follow what runs"),
    ("tab", "another chart"),
    ("f", "trials of one state only"),
    ("?", "this help"),
];

/// Table and chart stand side by side from this width on.
const WIDE: u16 = 130;

pub(super) fn draw(frame: &mut Frame<'_>, watched: &Watched, screen: &mut Screen) {
    let areas = [Constraint::Length(3), Constraint::Fill(1), Constraint::Length(1)];
    let [header, body, footer] = Layout::vertical(areas).areas(frame.area());
    let lines = vec![summary(watched, header.width), holder(watched, header.width), progress(watched, header.width)];
    frame.render_widget(Paragraph::new(lines), header);
    draw_body(frame, body, watched, screen);
    frame.render_widget(Paragraph::new(keys(watched, footer.width)), footer);
    if screen.help {
        draw_help(frame);
    }
}

/// The table, what went wrong, and the chart where it fits.
fn draw_body(frame: &mut Frame<'_>, area: Rect, watched: &Watched, screen: &mut Screen) {
    let wanted = table::height(screen, watched);
    if area.width >= WIDE && area.height >= 2 * chart::LEAST.1 {
        let [left, right] = Layout::horizontal([Constraint::Percentage(48), Constraint::Fill(1)]).spacing(2).areas(area);
        draw_trials(frame, left, watched, screen);
        return chart::draw(frame, right, watched, screen);
    }
    if area.width < chart::LEAST.0 || area.height < 2 * chart::LEAST.1 {
        return draw_trials(frame, area, watched, screen);
    }
    let most = area.height / 2 - 1;
    let wrong = table::failures(watched, area.width, most / 2).len() as u16;
    let trials = (wanted + wrong + u16::from(wrong > 0) * 2).min(most);
    let [above, below] = Layout::vertical([Constraint::Length(trials), Constraint::Fill(1)]).areas(area);
    draw_trials(frame, above, watched, screen);
    chart::draw(frame, below, watched, screen);
}

/// The table, and below it what went wrong, in at most a third of the area.
fn draw_trials(frame: &mut Frame<'_>, area: Rect, watched: &Watched, screen: &mut Screen) {
    let lines = table::failures(watched, area.width, (area.height / 3).saturating_sub(1));
    let letters =
        |line: &Line<'_>| (line.width() as u16).div_ceil(area.width.max(1)) + u16::from(line.width() > area.width.into());
    let height = if lines.is_empty() { 0 } else { (lines.iter().map(letters).sum::<u16>() + 1).min(area.height / 3) };
    let [above, below] = Layout::vertical([Constraint::Fill(1), Constraint::Length(height)]).areas(area);
    table::draw(frame, above, watched, screen);
    if height > 1 {
        table::draw_failures(frame, below, lines);
    }
}

/// The study's name and state, and how many trials are in which state.
fn summary(watched: &Watched, width: u16) -> Line<'static> {
    let standing = watched.standing();
    let count = |is: fn(TrialState) -> bool| standing.trials.iter().filter(|trial| is(trial.state)).count();
    let (done, wrong) = (count(|state| state == TrialState::Done), count(TrialState::is_wrong));
    let (phase, style) = match watched.phase() {
        Phase::Running => ("running", Style::new().add_modifier(Modifier::BOLD)),
        Phase::Stopped => ("stopped", Style::new().add_modifier(Modifier::BOLD)),
        Phase::Done if wrong > 0 => ("done, with failures", alarm()),
        Phase::Done => ("done", Style::new().add_modifier(Modifier::BOLD)),
    };
    let trials = standing.trials.len();
    let full = format!("{} of {trials} trials", standing.summary());
    let taken = watched.name().chars().count() + phase.len() + 4;
    let counts = if taken + full.chars().count() <= usize::from(width) {
        full
    } else if wrong > 0 {
        format!("{done}/{trials}, {wrong} wrong")
    } else {
        format!("{done}/{trials} done")
    };
    let name = Span::styled(watched.name().to_owned(), Style::new().add_modifier(Modifier::BOLD));
    Line::from(vec![name, "  ".into(), Span::styled(phase, style), "  ".into(), counts.into()])
}

/// Who runs it, the age of its last heartbeat, and on what it is trained, where that is not the CPU's kernels.
fn holder(watched: &Watched, width: u16) -> Line<'static> {
    let text = match &watched.standing().runners[..] {
        [] => "nobody is running it".to_owned(),
        [Present { card, silent }] => {
            let (age, full) = (words(*silent), format!("run by {card}, alive {} ago", words(*silent)));
            if full.len() <= width.into() { full } else { format!("{} on {}, {age} ago", card.pid, card.host) }
        }
        runners => {
            let hosts: BTreeSet<&str> = runners.iter().map(|runner| runner.card.host.as_str()).collect();
            let names = hosts.iter().copied().collect::<Vec<_>>().join(", ");
            let full = format!("run by {} runners on {names}", runners.len());
            if full.len() <= width.into() { full } else { format!("{} runners, {} hosts", runners.len(), hosts.len()) }
        }
    };
    let device = watched.standing().device.as_ref().map(|device| format!(", on {device}")).unwrap_or_default();
    let fits = text.chars().count() + device.chars().count() <= usize::from(width);
    Line::styled(if fits { text + &device } else { text }, quiet())
}

/// `██████░░░░  45%  810/1800 steps  3m 20s left`
fn progress(watched: &Watched, width: u16) -> Line<'static> {
    let progress = watched.progress();
    let fraction = if progress.steps == 0 { 0.0 } else { progress.made as f64 / progress.steps as f64 };
    let least = if progress.is_open { "at least " } else { "" };
    let left = match (watched.phase(), progress.left) {
        (Phase::Running, Some(left)) => format!("  {least}{} left", words(left)),
        _ => String::new(),
    };
    let text = format!(" {:3.0}%  {}/{} steps{left}", (fraction * 100.0).floor(), progress.made, progress.steps);
    let bar = usize::from(width).saturating_sub(text.chars().count()).min(60);
    let full = (fraction * bar as f64) as usize;
    let bar = if bar < 6 { String::new() } else { "█".repeat(full) + &"░".repeat(bar - full) };
    Line::from(vec![Span::raw(bar), Span::raw(text)])
}

/// The most important keys, or what could not be read.
fn keys(watched: &Watched, width: u16) -> Line<'static> {
    match watched.fault() {
        Some(fault) => Line::styled(fault.replace(char::is_control, " "), alarm()),
        None if width < 70 => Line::styled("q leave  tab chart  f filter  ? help", quiet()),
        None => Line::styled("q leave   up/down scroll   tab chart   f filter   space follow   ? help", quiet()),
    }
}

fn draw_help(frame: &mut Frame<'_>) {
    let line = |(key, meaning): &(&'static str, &'static str)| {
        Line::from(vec![Span::styled(format!(" {key:<13}"), Style::new().add_modifier(Modifier::BOLD)), Span::raw(*meaning)])
    };
    let lines: Vec<Line<'_>> = HELP.iter().map(line).collect();
    let [_, across, _] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(42), Constraint::Fill(1)]).areas(frame.area());
    let [_, area, _] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(HELP.len() as u16 + 2), Constraint::Fill(1)]).areas(across);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), area);
}
