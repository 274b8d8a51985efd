//! The curves of the arms.

use super::palette::{ARMS, colour, quiet};
use super::screen::{CHARTS, Screen};
use super::table::{mark, number};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Borders, Chart, Dataset, GraphType, Paragraph};
use regatta_study::{Measure, Watched};

/// The smallest width and height of a chart.
pub(super) const LEAST: (u16, u16) = (44, 8);
/// The smallest width with a legend. Below it, the markers in the table have to identify the arms.
const WITH_NAMES: u16 = 64;

/// An arm, its name and its points.
type Curve<'a> = (usize, &'a str, Vec<(f64, f64)>);

/// Draws the chosen measure of all arms, or of the eight around the marked trial's arm.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, watched: &Watched, screen: &Screen) {
    let (measure, _) = CHARTS[screen.chart % CHARTS.len()];
    let rows = screen.rows(watched);
    let marked = rows.get(screen.row(&rows, watched)).and_then(|&trial| watched.variant(trial)).unwrap_or_default();
    let first = marked / ARMS * ARMS;
    let group = watched.variants().enumerate().skip(first).take(ARMS);
    let curves: Vec<Curve<'_>> = group.map(|(variant, name)| (variant, name, watched.curve(variant, measure))).collect();

    let arms = match watched.variants().len() {
        ..=ARMS => String::new(),
        all => format!(" arms {}-{} of {all} ", first + 1, first + curves.len()),
    };
    let tabs = tabs(screen, usize::from(area.width).saturating_sub(arms.len()));
    let block = Block::new().borders(Borders::TOP).title(tabs).title(Line::from(arms).right_aligned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if curves.iter().all(|(_, _, points)| points.is_empty()) {
        let nothing = match measure {
            Measure::MeanCosine => "measured at the end of a trial: none is done yet",
            _ => "nothing measured yet",
        };
        frame.render_widget(Paragraph::new(Line::styled(nothing, quiet())).centered(), inner);
        return;
    }
    let names = if inner.width < WITH_NAMES { 0 } else { names_width(&curves).min(inner.width / 3) };
    let [plot, legend] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(names)]).areas(inner);
    draw_curves(frame, plot, &curves, measure, watched.longest());
    if names > 0 {
        frame.render_widget(Paragraph::new(curves.iter().map(|curve| entry(curve, names)).collect::<Vec<_>>()), legend);
    }
}

/// The names of all measures, with the drawn one highlighted; a narrow chart has only that one.
fn tabs(screen: &Screen, width: usize) -> Line<'static> {
    let all = width >= CHARTS.iter().map(|(_, name)| name.len() + 3).sum();
    let mut line = vec![Span::raw(" ")];
    for (index, (_, name)) in CHARTS.iter().enumerate() {
        let drawn = index == screen.chart;
        if drawn || all {
            let style = if drawn { Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED) } else { quiet() };
            line.extend([Span::styled(*name, style), Span::raw("  ")]);
        }
    }
    line.pop();
    line.push(Span::raw(" "));
    line.into()
}

fn names_width(curves: &[Curve<'_>]) -> u16 {
    let longest = curves.iter().map(|(_, name, _)| name.chars().count()).max().unwrap_or_default();
    u16::try_from(longest + 12).unwrap_or(u16::MAX) // mark and gaps, and a number of seven characters
}

/// `● dispersion  4.0769`: an arm, and the last point of its curve.
fn entry((variant, name, points): &Curve<'_>, width: u16) -> Line<'static> {
    let room = usize::from(width).saturating_sub(11);
    let name: String = name.chars().take(room).collect();
    let last = points.last().map(|(_, value)| number(*value)).unwrap_or_default();
    Line::from(vec![Span::raw("  "), mark(*variant), Span::raw(format!(" {name:<room$}{last:>7}"))])
}

fn draw_curves(frame: &mut Frame<'_>, area: Rect, curves: &[Curve<'_>], measure: Measure, steps: usize) {
    let (low, high) = bounds(curves);
    let last = curves.iter().filter_map(|(_, _, points)| points.last()).map(|(step, _)| *step).fold(1.0, f64::max);
    let end = if measure == Measure::MeanCosine { last } else { last.max(steps as f64) };
    // values outside the range, such as the first losses, are drawn at the edge
    let inside = |points: &Vec<(f64, f64)>| points.iter().map(|(step, value)| (*step, value.clamp(low, high))).collect();
    let points: Vec<Vec<(f64, f64)>> = curves.iter().map(|(_, _, points)| inside(points)).collect();
    let line = || Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line);
    let datasets = curves.iter().zip(&points).rev(); // the first is drawn last, on top
    let datasets = datasets.map(|((variant, ..), points)| line().style(Style::new().fg(colour(*variant))).data(points));
    let x = Axis::default().bounds([0.0, end]).labels(["0".to_owned(), whole(end / 2.0), whole(end)]).style(quiet());
    let count = if area.height >= 12 { 5 } else { 3 };
    let labels = (0..count).map(|label| scale(low, high, low + (high - low) * f64::from(label) / f64::from(count - 1)));
    let y = Axis::default().bounds([low, high]).labels(labels).style(quiet());
    frame.render_widget(Chart::new(datasets.collect()).x_axis(x).y_axis(y).legend_position(None), area);
}

fn whole(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

/// A number on the axis from `low` to `high`, with enough digits to distinguish its labels.
fn scale(low: f64, high: f64, value: f64) -> String {
    let digits = (1.5 - (high - low).log10()).ceil().clamp(0.0, 6.0) as usize;
    if low.abs().max(high.abs()) < 1e5 { format!("{value:.digits$}") } else { format!("{value:.1e}") }
}

/// From the lowest value to nearly the highest: the first steps, or one diverging arm, must not flatten all others.
fn bounds(curves: &[Curve<'_>]) -> (f64, f64) {
    let mut values: Vec<f64> = curves.iter().flat_map(|(_, _, points)| points.iter().map(|(_, value)| *value)).collect();
    values.sort_by(f64::total_cmp);
    let (Some(low), Some(most)) = (values.first(), values.get(values.len().saturating_sub(1) - values.len() / 40)) else {
        return (0.0, 1.0);
    };
    let room = ((most - low) * 0.03).max(low.abs() * 1e-3).max(1e-9);
    let at_least = if *low >= 0.0 { 0.0 } else { f64::NEG_INFINITY }; // what is never negative needs no room below 0
    let (low, high) = ((low - room).max(at_least), most + room);
    (low, high)
}
