//! The state of the screen: what the user chose with keys. Nothing else outlasts a frame.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use regatta_study::{Measure, TrialState, Watched};

/// The charts, in the order of the tab key.
pub(super) const CHARTS: [(Measure, &str); 4] = [
    (Measure::TrainingLoss, "training loss"),
    (Measure::ValidationLoss, "validation loss"),
    (Measure::Penalty, "penalty"),
    (Measure::MeanCosine, "mean cosine by layer"),
];

/// What is shown, and where.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Which of [`CHARTS`].
    pub chart: usize,
    /// Only trials in this state are shown.
    pub filter: Option<TrialState>,
    pub help: bool,
    /// The marked row of the table, once the user moved it.
    moved_to: Option<usize>,
    /// First row of the table on the screen.
    offset: usize,
    /// Rows of the table on the screen.
    page: usize,
}

/// The effect of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Leave,
    Suspend,
}

impl Screen {
    /// Handles a key.
    pub fn press(&mut self, key: &KeyEvent, watched: &Watched) -> Next {
        let rows = self.rows(watched);
        let (row, page) = (self.row(&rows, watched), self.page.max(1));
        match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
            (KeyCode::Char('c'), true) => return Next::Leave,
            (KeyCode::Char('z'), true) => return Next::Suspend,
            (_, true) => {}
            (KeyCode::Esc | KeyCode::Char('?' | 'h'), _) if self.help => self.help = false,
            (KeyCode::Char('q') | KeyCode::Esc, _) => return Next::Leave,
            (KeyCode::Char('?' | 'h'), _) => self.help = true,
            (KeyCode::Up | KeyCode::Char('k'), _) => self.moved_to = Some(row.saturating_sub(1)),
            (KeyCode::Down | KeyCode::Char('j'), _) => self.moved_to = Some(row + 1),
            (KeyCode::PageUp, _) => self.moved_to = Some(row.saturating_sub(page)),
            (KeyCode::PageDown, _) => self.moved_to = Some(row + page),
            (KeyCode::Home, _) => self.moved_to = Some(0),
            (KeyCode::End, _) => self.moved_to = Some(usize::MAX),
            (KeyCode::Char(' '), _) => self.moved_to = None,
            (KeyCode::Tab, _) => self.chart = (self.chart + 1) % CHARTS.len(),
            (KeyCode::BackTab, _) => self.chart = (self.chart + CHARTS.len() - 1) % CHARTS.len(),
            (KeyCode::Char('f'), _) => {
                self.filter = next_state(self.filter, watched);
                self.moved_to = None;
            }
            _ => {}
        }
        self.moved_to = self.moved_to.map(|row| row.min(rows.len().saturating_sub(1)));
        Next::Stay
    }

    /// The trials that pass the filter.
    pub fn rows(&self, watched: &Watched) -> Vec<usize> {
        let trials = watched.standing().trials.iter().enumerate();
        trials.filter(|(_, trial)| self.filter.is_none_or(|state| trial.state == state)).map(|(index, _)| index).collect()
    }

    /// The marked row: where the user moved it, else that of the running trial, else of the next one.
    pub fn row(&self, rows: &[usize], watched: &Watched) -> usize {
        let trials = &watched.standing().trials;
        let first = |states: &[TrialState]| rows.iter().position(|&trial| states.contains(&trials[trial].state));
        let followed =
            || first(&[TrialState::Running]).or_else(|| first(&[TrialState::Pending, TrialState::CutOff])).unwrap_or_default();
        self.moved_to.unwrap_or_else(followed).min(rows.len().saturating_sub(1))
    }

    /// The first row to show, where `page` rows fit and `row` must be among them.
    pub fn scroll(&mut self, row: usize, rows: usize, page: usize) -> usize {
        self.page = page;
        self.offset = self.offset.min(row).max((row + 1).saturating_sub(page)).min(rows.saturating_sub(page));
        self.offset
    }
}

/// The state after `current` that some trial is in; after the last, all.
fn next_state(current: Option<TrialState>, watched: &Watched) -> Option<TrialState> {
    let states = watched.standing().counted();
    let after =
        current.map_or(0, |current| states.iter().position(|(state, _)| *state == current).map_or(states.len(), |at| at + 1));
    states.get(after).map(|(state, _)| *state)
}
