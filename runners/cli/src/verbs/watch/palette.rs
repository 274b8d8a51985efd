//! Colours that people with any kind of colour vision can tell apart, and that dark and light terminals show.

use ratatui::style::{Color, Modifier, Style};
use regatta_study::TrialState;

/// The colours of Okabe and Ito, as near as the 256 of most terminals come; black is left to the text.
const CURVES: [Color; ARMS] = [
    Color::Indexed(245), // grey: the first arm is most often the baseline
    Color::Indexed(208), // orange
    Color::Indexed(74),  // sky blue
    Color::Indexed(36),  // bluish green
    Color::Indexed(178), // yellow
    Color::Indexed(32),  // blue
    Color::Indexed(166), // vermilion
    Color::Indexed(175), // reddish purple
];

/// Arms with colours of their own.
pub(super) const ARMS: usize = 8;

pub(super) fn colour(variant: usize) -> Color {
    CURVES[variant % ARMS]
}

/// The style of a state's word. Colour only makes it easier to find.
pub(super) fn state(state: TrialState) -> Style {
    match state {
        TrialState::Running => Style::new().add_modifier(Modifier::BOLD),
        TrialState::Pending => quiet(),
        state if state.is_wrong() => alarm(),
        _ => Style::new(),
    }
}

/// For what went wrong.
pub(super) fn alarm() -> Style {
    Style::new().fg(Color::Indexed(166)).add_modifier(Modifier::BOLD)
}

/// For what matters less.
pub(super) fn quiet() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}
