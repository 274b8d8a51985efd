//! The sheet that plots are drawn on: its colours, its type, its ticks.
//!
//! plotters snaps to whole pixels, which makes curves jagged: everything is drawn [`SCALE`] times as large as it is shown.
//! Ink, muted text, grid and paper each have one colour that nothing else has, so that a page's style sheet can replace them
//! in the dark.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::io;
use std::ops::Range;

/// Drawn pixels per shown pixel.
pub const SCALE: i32 = 4;
/// Text and the baseline's curve.
pub const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Ticks and remarks.
pub const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6E);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(0xE4, 0xE7, 0xEB);
/// The background.
pub const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
/// Okabe and Ito's palette, safe for colour-blind readers, without its black (the baseline's) and its yellow (lost on white).
pub const COLOURS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xB2), // blue
    RGBColor(0xD5, 0x5E, 0x00), // vermilion
    RGBColor(0x00, 0x9E, 0x73), // green
    RGBColor(0xCC, 0x79, 0xA7), // purple
    RGBColor(0xE6, 0x9F, 0x00), // orange
    RGBColor(0x56, 0xB4, 0xE9), // sky
];

/// An area of the sheet.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// What drawing on it returns.
pub type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// A sheet of `width` by `height` shown pixels as SVG, with its title at the top left.
///
/// Drawing into a string fails only where plotters itself errs; the sheet then says so in words.
pub fn sheet(title: &str, width: u32, height: u32, paint: impl FnOnce(&Area) -> Drawn) -> String {
    let mut svg = String::new();
    let drawn = (|| {
        let area = SVGBackend::with_string(&mut svg, (width * SCALE as u32, height * SCALE as u32)).into_drawing_area();
        area.fill(&PAPER)?;
        write(&area, title, (14, 20), &kind(14.5, INK, HPos::Left))?;
        paint(&area)?;
        area.present()
    })();
    if let Err(error) = drawn {
        return sheet_in_words(title, &error.to_string());
    }
    // plotters writes the drawn size: the shown one goes in its place, and a name for readers that cannot see.
    let attributes = format!(r#"<svg role="img" aria-label="{}" width="{width}" height="{height}" viewBox"#, attribute(title));
    match svg.split_once("viewBox") {
        Some((_, rest)) => attributes + rest,
        None => svg,
    }
}

/// The sheet with more for readers that cannot see: what some names stand at, in four digits, eight names at most.
pub fn described(svg: String, title: &str, what: &str, items: impl Iterator<Item = (String, f64)>) -> String {
    /// More than these are not listened to.
    const MOST: usize = 8;
    let mut items: Vec<String> = items.map(|(name, value)| format!("{name} {}", crate::number::significant(value, 4))).collect();
    let more = items.len().saturating_sub(MOST);
    items.truncate(MOST);
    if items.is_empty() {
        return svg;
    }
    items.extend((more > 0).then(|| format!("and {more} more")));
    let words = crate::text::one_line(&format!("{title}; {what}: {}", items.join(", ")));
    svg.replacen(&format!("aria-label=\"{}\"", attribute(title)), &format!("aria-label=\"{}\"", attribute(&words)), 1)
}

fn sheet_in_words(title: &str, error: &str) -> String {
    let words = attribute(&format!("{title}: this plot could not be drawn: {error}"));
    format!(r#"<svg xmlns="http://www.w3.org/2000/svg" width="560" height="40"><text x="14" y="24">{words}</text></svg>"#)
}

fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Shown pixels, drawn.
pub fn px(shown: f64) -> i32 {
    (shown * f64::from(SCALE)).round() as i32
}

/// A line's width in shown pixels.
pub fn stroke(colour: impl Color, width: f64) -> ShapeStyle {
    ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: px(width) as u32 }
}

/// A style of text, `size` its height in shown pixels, centred on its line.
pub fn kind(size: f64, colour: RGBColor, side: HPos) -> TextStyle<'static> {
    // plotters' SVG divides the size by 1.24
    ("sans-serif", size * f64::from(SCALE) * 1.24).into_font().color(&colour).pos(Pos::new(side, VPos::Center))
}

/// The head of an arrow at drawn pixels, in place of an end beyond the frame; `back` leads into the frame, along one axis.
pub fn arrowhead(area: &Area, (x, y): (i32, i32), back: (i32, i32), style: ShapeStyle) -> Drawn {
    let (along, aside) = ((back.0 * px(5.0), back.1 * px(5.0)), (back.1 * px(3.5), back.0 * px(3.5)));
    let wing = |side: i32| (x + along.0 + side * aside.0, y + along.1 + side * aside.1);
    area.draw(&PathElement::new(vec![wing(1), (x, y), wing(-1)], style))
}

/// Writes a line of text at shown pixels.
pub fn write(area: &Area, text: &str, (x, y): (i32, i32), style: &TextStyle) -> Drawn {
    area.draw(&Text::new(text.to_owned(), (x * SCALE, y * SCALE), style.clone()))
}

/// A guess at the shown width of a text: there are no fonts to measure it with.
pub fn text_width(text: &str, size: f64) -> i32 {
    (text.chars().count() as f64 * size * 0.58).ceil() as i32
}

/// What stands around a chart: its axes, their descriptions and labels, horizontal grid lines.
pub struct Frame<'a> {
    pub x: Range<f64>,
    pub y: Range<f64>,
    /// What the axes say of themselves.
    pub descriptions: [&'a str; 2],
    /// Shown pixels left of the chart.
    pub left: f64,
    /// Labels of an axis, about; with 0 a chart labels it by itself, and draws its own grid lines.
    pub labels: [usize; 2],
    /// A label of the axis x.
    pub x_tick: &'a dyn Fn(f64) -> String,
}

/// A chart inside its frame.
pub type Chart<'a, 's> = ChartContext<'a, SVGBackend<'s>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Frame<'_> {
    /// Draws the frame below the sheet's title.
    pub fn draw<'a, 's>(self, area: &'a Area<'s>) -> Result<Chart<'a, 's>, DrawingAreaErrorKind<io::Error>> {
        let label = kind(11.5, MUTED, HPos::Center);
        let mut chart = ChartBuilder::on(area)
            .margin_top(px(38.0))
            .margin_right(px(18.0))
            .margin_left(px(6.0))
            .x_label_area_size(px(42.0))
            .y_label_area_size(px(self.left))
            .build_cartesian_2d(self.x, self.y.clone())?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh();
        if self.labels[1] == 0 {
            mesh.disable_y_mesh();
        }
        mesh.bold_line_style(stroke(GRID, 1.0))
            .light_line_style(TRANSPARENT)
            .axis_style(stroke(GRID, 1.0))
            .set_all_tick_mark_size(px(4.0))
            .label_style(label.clone())
            .axis_desc_style(label)
            .x_labels(self.labels[0])
            .y_labels(self.labels[1])
            .x_label_formatter(&|value| (self.x_tick)(*value))
            .y_label_formatter(&|value| tick(*value, &self.y))
            .x_desc(self.descriptions[0])
            .y_desc(self.descriptions[1])
            .draw()?;
        Ok(chart)
    }
}

/// `low..high` with air around it; more where the values are so alike that ticks could not tell them apart.
pub fn with_air(low: f64, high: f64, share: f64) -> Range<f64> {
    let (span, size) = (high - low, low.abs().max(high.abs()));
    let air = if span > size * 1e-5 && span > 1e-7 { span * share } else { (size * 1e-3).max(0.01) };
    low - air..high + air
}

/// A tick's label: only the decimals that ticks over `range` need.
pub fn tick(value: f64, range: &Range<f64>) -> String {
    let span = range.end - range.start;
    if range.start.abs().max(range.end.abs()) >= 1e7 {
        return format!("{value:.1e}");
    }
    crate::number::fixed(value, (1.0 - span.log10().floor()).clamp(0.0, 9.0) as usize).replace('-', "−")
}

/// A step's label: whole, thousands as `k`.
pub fn step_tick(value: f64) -> String {
    match value {
        v if v < -0.01 || (v - v.round()).abs() > 0.01 => String::new(),
        v if v >= 1e6 => crate::number::brief(v / 1e6, 3) + "M",
        v if v >= 1e4 => crate::number::brief(v / 1e3, 4) + "k",
        v => crate::number::fixed(v, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_as_short_as_they_may_be() {
        assert_eq!(tick(0.25, &(0.0..1.0)), "0.2"); // ticks a fifth apart
        assert_eq!(tick(3.5, &(3.4..3.62)), "3.50");
        assert_eq!(tick(0.0, &with_air(0.0, 0.0, 0.05)), "0.000");
        assert_eq!(tick(-0.05, &(-0.1..0.1)), "−0.05");
        assert_eq!(step_tick(0.5), "");
        assert_eq!(step_tick(250.0), "250");
        assert_eq!(step_tick(12_500.0), "12.5k");
        assert_eq!(step_tick(2_000_000.0), "2M");
    }

    #[test]
    fn a_range_is_never_empty() {
        for (low, high) in [(0.0, 0.0), (3.5, 3.5), (3.5, 3.500001), (0.0, 1e-320), (1e11, 1e11), (-1.0, 1.0)] {
            let range = with_air(low, high, 0.05);
            assert!(range.start < low && range.end > high, "{range:?}");
        }
    }

    #[test]
    fn the_sheet_is_named_and_shown_at_its_size() {
        let svg = sheet("a < b", 100, 50, |_| Ok(()));
        assert!(
            svg.starts_with(r#"<svg role="img" aria-label="a &lt; b" width="100" height="50" viewBox="0 0 400 200""#),
            "{svg}"
        );
        assert!(svg.trim_end().ends_with("</svg>") && svg.contains("a &lt; b"), "{svg}");
    }
}
