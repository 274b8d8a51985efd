//! Colours that people with any kind of colour vision can tell apart, and that dark and light terminals show.

use ratatui::style::{Color, Modifier, Style};

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

/// Arms that are told apart at once.
pub(super) const ARMS: usize = 8;

/// The colour of an arm.
pub(super) fn colour(variant: usize) -> Color {
    CURVES[variant % ARMS]
}

/// How a state is written. The word says it all: colour only finds it sooner.
pub(super) fn state(state: &str) -> Style {
    match state {
        "running" => Style::new().add_modifier(Modifier::BOLD),
        "failed" | "diverged" | "incomplete" | "unreadable" => alarm(),
        "pending" => quiet(),
        _ => Style::new(),
    }
}

/// Of what went wrong.
pub(super) fn alarm() -> Style {
    Style::new().fg(Color::Indexed(166)).add_modifier(Modifier::BOLD)
}

/// Of what matters less.
pub(super) fn quiet() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}
