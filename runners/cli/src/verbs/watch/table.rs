//! The table of trials: as many columns as fit, the most important first.

use super::palette::{alarm, colour, quiet, state};
use super::screen::Screen;
use crate::progress::words;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table, Wrap};
use regatta_study::{TrialStanding, TrialTime, Watched};

/// The width that the name of an arm gets before optional columns.
const NAME: u16 = 12;

#[derive(Clone, Copy, PartialEq)]
enum Column {
    Mark,
    Name,
    Seed,
    State,
    Steps,
    Loss,
    Time,
    Place,
}

/// Lines that the whole table needs.
pub(super) fn height(screen: &Screen, watched: &Watched) -> u16 {
    u16::try_from(screen.rows(watched).len() + 2).unwrap_or(u16::MAX)
}

/// Draws the rows around the marked one.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, watched: &Watched, screen: &mut Screen) {
    let rows = screen.rows(watched);
    let row = screen.row(&rows, watched);
    let page = usize::from(area.height.saturating_sub(2)); // the title, and the names of the columns
    let first = screen.scroll(row, rows.len(), page);
    let shown = &rows[first..rows.len().min(first + page)];
    let title = match (screen.filter, shown.is_empty()) {
        (Some(state), true) => format!(" no trial is {state} "),
        (None, true) => " no trials ".to_owned(),
        (filter, _) => {
            let state = filter.map(|state| format!(" {state}")).unwrap_or_default();
            format!(" trials{state} {}-{} of {} ", first + 1, first + shown.len(), rows.len())
        }
    };
    let columns = columns(area.width, shown, watched);
    let line = |&trial: &usize| {
        let cells = columns.iter().map(|(column, _)| cell(*column, trial, watched));
        let marked = if trial == rows[row] { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        Row::new(cells).style(marked)
    };
    let heading = Row::new(columns.iter().map(|(column, _)| heading(*column))).style(quiet());
    let table = Table::new(shown.iter().map(line), columns.iter().map(|(_, width)| *width)).header(heading);
    frame.render_widget(table.block(Block::new().borders(Borders::TOP).title(title)), area);
}

/// The columns that fit, with their widths.
fn columns(width: u16, shown: &[usize], watched: &Watched) -> Vec<(Column, Constraint)> {
    let trials = || shown.iter().filter_map(|&trial| watched.standing().trials.get(trial));
    let widest = |least: usize, text: &dyn Fn(&TrialStanding) -> String| {
        trials().map(|trial| text(trial).chars().count()).max().unwrap_or_default().max(least) as u16
    };
    let state = widest(7, &|trial| trial.state.to_string());
    let mut left = width.saturating_sub(1 + 1 + 1 + state + 1); // the mark, the name's gap, the state
    let mut fits = |wanted: u16| {
        let fits = left > NAME + wanted;
        left -= if fits { wanted + 1 } else { 0 };
        fits.then_some(Constraint::Length(wanted))
    };
    let steps = fits(widest(5, &steps));
    let seed = fits(widest(4, &|trial| trial.seed.to_string()));
    let loss = fits(7);
    let time = fits(11);
    let many = watched.standing().runners.len() > 1;
    let place = if many { fits(widest(5, &place)) } else { None };
    let name = Some(Constraint::Length(widest(5, &|trial| trial.name.clone()).min(left)));
    let all = [
        (Column::Mark, Some(Constraint::Length(1))),
        (Column::Name, name),
        (Column::Seed, seed),
        (Column::State, Some(Constraint::Length(state))),
        (Column::Steps, steps),
        (Column::Loss, loss),
        (Column::Time, time),
        (Column::Place, place),
    ];
    all.into_iter().filter_map(|(column, width)| Some((column, width?))).collect()
}

fn heading(column: Column) -> Line<'static> {
    match column {
        Column::Mark => Line::default(),
        Column::Name => "trial".into(),
        Column::State => "state".into(),
        Column::Seed => right("seed"),
        Column::Steps => right("steps"),
        Column::Loss => right("loss"),
        Column::Time => right("time"),
        Column::Place => "where".into(),
    }
}

fn right(text: impl Into<Line<'static>>) -> Line<'static> {
    text.into().alignment(Alignment::Right)
}

fn steps(trial: &TrialStanding) -> String {
    format!("{}/{}", trial.made, trial.steps)
}

fn cell(column: Column, index: usize, watched: &Watched) -> Line<'static> {
    let Some(trial) = watched.standing().trials.get(index) else { return Line::default() };
    match column {
        Column::Mark => watched.variant(index).map(mark).unwrap_or_default().into(),
        Column::Name => trial.name.clone().into(),
        Column::Seed => right(trial.seed.to_string()),
        Column::State => Span::styled(trial.state.word(), state(trial.state)).into(),
        Column::Steps => right(steps(trial)),
        Column::Loss => right(watched.loss(index).map(number).unwrap_or_default()),
        Column::Time => right(match watched.time(index) {
            Some(TrialTime::Left(time)) => format!("{} left", words(time)),
            Some(TrialTime::Took(time)) => words(time),
            None => String::new(),
        }),
        Column::Place => place(trial).into(),
    }
}

/// Process and machine of the runner that trains a trial.
fn place(trial: &TrialStanding) -> String {
    trial.runner.as_ref().map(|runner| format!("{} on {}", runner.pid, runner.host)).unwrap_or_default()
}

/// The marker of an arm, in the colour of its curve.
pub(super) fn mark(variant: usize) -> Span<'static> {
    Span::styled("●", Style::new().fg(colour(variant)))
}

/// A loss in at most seven characters.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() || value == 0.0 || (1e-2..1e3).contains(&value.abs()) {
        format!("{value:.4}")
    } else {
        format!("{value:.1e}")
    }
}

/// What went wrong in which trial, in at most `most` lines.
pub(super) fn failures(watched: &Watched, width: u16, most: u16) -> Vec<Line<'static>> {
    let wrong: Vec<&TrialStanding> = watched.standing().trials.iter().filter(|trial| trial.state.is_wrong()).collect();
    let (mut lines, mut room) = (Vec::new(), usize::from(most));
    for (index, trial) in wrong.iter().enumerate() {
        let reason = trial.reason.as_deref().unwrap_or("no reason given").replace(char::is_control, " ");
        let head = format!("{} seed {} {}: ", trial.name, trial.seed, trial.state);
        // a line that is broken between words may take one more row than its characters need
        let letters = head.chars().count() + reason.chars().count();
        let needed = letters.div_ceil(usize::from(width.max(1))) + usize::from(letters > usize::from(width));
        let is_last = index + 1 == wrong.len();
        if needed + usize::from(!is_last) > room && !(index == 0 && room > 1) {
            lines.push(Line::styled(format!("{} more: press f to filter by state", wrong.len() - index), quiet()));
            break;
        }
        room = room.saturating_sub(needed);
        lines.push(Line::from(vec![Span::styled(head, alarm()), Span::raw(reason)]));
    }
    lines
}

pub(super) fn draw_failures(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'static>>) {
    let block = Block::new().borders(Borders::TOP).title(" what went wrong ");
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}
