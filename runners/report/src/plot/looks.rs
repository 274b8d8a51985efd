//! Colours and strokes of the rows that are drawn: each row has its own colour. Many rows, and rows that differ in size, have the
//! colour of their arm, unless there is only one arm.

use super::canvas::{COLOURS, INK};
use crate::drawn;
use crate::text::shortened;
use crate::{Arm, Results, SizeSeries, Verdict};
use plotters::style::RGBColor;

/// Most series with strokes of their own; more share the look of their arm.
const MOST_SERIES: usize = 12;
/// Kinds of strokes.
pub const ROUNDS: usize = 5;

/// How a row is drawn, the same in all plots; its marker in the table has the same colour.
pub struct Look {
    /// Its name in the legend: the row, or its arm where rows share a look.
    pub name: String,
    pub colour: RGBColor,
    /// Chooses the dashes: which of the strokes of its colour it has.
    pub round: usize,
}

/// Name, arm, and whether it is a baseline.
type Item<'a> = (&'a str, &'a str, bool);

/// The rows of the results; a row that the plots do not draw has no look.
pub fn rows(results: &Results) -> Vec<(&Arm, Option<Look>)> {
    let alone = results.arms.iter().all(|arm| arm.arm == results.arms[0].arm); // a sweep of one arm: its points are compared
    let is_baseline = |arm: &Arm| arm.verdict == Verdict::Baseline && !alone;
    let drawn = drawn::rows(results);
    let chosen = results.arms.iter().zip(&drawn).filter(|(_, drawn)| **drawn).map(|(arm, _)| arm);
    let items = chosen.map(|arm| (&*arm.name, &*arm.arm, is_baseline(arm))).collect();
    let by_arm = !alone && drawn::all(results) && results.is_sweep() && (!results.sizes.is_empty() || results.has_many_rows());
    spread(&results.arms, &drawn, looks(items, by_arm))
}

/// Arms over sizes; a series that the plots do not draw has no look.
pub fn series(results: &Results) -> Vec<(&SizeSeries, Option<Look>)> {
    let is_baseline = |series: &SizeSeries| series.points.iter().all(|point| point.verdict == Verdict::Baseline);
    let count = results.sizes.len();
    let mut drawn = vec![true; count];
    if count > drawn::MOST {
        let at_the_largest = |index: usize| results.sizes[index].points.last()?.difference.map(|of| of.mean);
        drawn = drawn::ends(&drawn::ranked_by(count, at_the_largest), drawn::BEST, drawn::WORST, count);
        if let Some(first) = results.sizes.iter().position(is_baseline) {
            drawn[first] = true;
        }
    }
    let chosen = results.sizes.iter().zip(&drawn).filter(|(_, drawn)| **drawn).map(|(series, _)| series);
    let items = chosen.map(|series| (&*series.name, &*series.arm, is_baseline(series))).collect();
    spread(&results.sizes, &drawn, looks(items, count <= drawn::MOST))
}

/// Each item with its look, or with none where it is not drawn.
fn spread<'a, T>(items: &'a [T], drawn: &[bool], looks: Vec<Look>) -> Vec<(&'a T, Option<Look>)> {
    let mut looks = looks.into_iter();
    items.iter().zip(drawn).map(|(item, drawn)| (item, if *drawn { looks.next() } else { None })).collect()
}

fn looks(items: Vec<Item>, by_arm: bool) -> Vec<Look> {
    let key = |&(name, arm, _): &Item<'_>| if by_arm { arm.to_owned() } else { name.to_owned() };
    let mut known: Vec<String> = Vec::new(); // with a colour, in the order of the palette
    for item in items.iter().filter(|(.., baseline)| !baseline) {
        if !known.contains(&key(item)) {
            known.push(key(item));
        }
    }
    let before = |index: usize| items[..index].iter().filter(|other| key(other) == key(&items[index])).count();
    let crowded = (0..items.len()).any(|index| before(index) >= ROUNDS) || known.len() > COLOURS.len();
    let apart = !by_arm || items.len() <= MOST_SERIES && !crowded;
    let look = |(index, item): (usize, &Item)| {
        let place = known.iter().position(|known| *known == key(item)).filter(|_| !item.2);
        let round = if by_arm && apart { before(index) } else { place.unwrap_or(0) / COLOURS.len() };
        Look {
            name: shortened(if apart { item.0 } else { item.1 }, 44),
            colour: place.map_or(INK, |place| COLOURS[place % COLOURS.len()]),
            round,
        }
    };
    items.iter().enumerate().map(look).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn check(items: &[Item], by_arm: bool, expected: &[(&str, Option<usize>, usize)]) {
        let found = looks(items.to_vec(), by_arm);
        let found: Vec<_> = found
            .iter()
            .map(|look| (look.name.as_str(), COLOURS.iter().position(|colour| *colour == look.colour), look.round))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_row_has_a_colour_of_its_own_or_its_arms() {
        let items = [("o x=1", "o", true), ("a x=1", "a", false), ("o x=2", "o", true), ("a x=2", "a", false)];
        check(&items, false, &[("o x=1", None, 0), ("a x=1", Some(0), 0), ("o x=2", None, 0), ("a x=2", Some(1), 0)]);
        check(&items, true, &[("o x=1", None, 0), ("a x=1", Some(0), 0), ("o x=2", None, 1), ("a x=2", Some(0), 1)]);
    }

    #[test]
    fn the_points_of_an_arm_that_is_alone_have_colours() {
        let mut sweep = sample::sweep();
        sweep.arms.retain(|arm| arm.verdict == Verdict::Baseline);
        let names: Vec<&str> = sweep.arms.iter().map(|arm| arm.name.as_str()).collect();
        let looks: Vec<Look> = rows(&sweep).into_iter().filter_map(|(_, look)| look).collect();
        assert!(looks.len() > 1 && looks.iter().map(|look| look.name.as_str()).eq(names));
        assert!(looks.iter().zip(&COLOURS).all(|(look, colour)| look.colour == *colour));
    }

    #[test]
    fn more_rows_than_strokes_are_their_arm() {
        let names: Vec<String> = (0..6).map(|x| format!("a x={x}")).collect();
        let items: Vec<Item> = names.iter().map(|name| (name.as_str(), "a", false)).collect();
        check(&items, true, &[("a", Some(0), 0); 6]);
        assert_eq!(looks(items[..5].to_vec(), true)[4].round, 4);
        assert_eq!(rows(&sample::sweep())[3].1.as_ref().unwrap().name, "dispersion width=32");
    }
}
