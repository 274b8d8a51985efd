//! Which arm the others are compared with.

use regatta_lm::spec::Weight;

/// What an arm's list says of one entry: a term's weight; `None` for an intervention or a learning rate.
pub type Entry = Option<Weight>;

/// The index of the baseline among `arms`, each by its list: the first whose list is empty, else the first that trains as one with
/// an empty list does (terms alone, whose weights are 0 at every step), else the first.
pub fn baseline(arms: &[Vec<Entry>]) -> usize {
    let is_weightless = |list: &Vec<Entry>| list.iter().all(|entry| entry.is_some_and(|weight| weight.is_zero()));
    let first = arms.iter().position(Vec::is_empty);
    first.or_else(|| arms.iter().position(is_weightless)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: usize, arms: &[&[Option<&str>]]) {
        let entry = |entry: &Option<&str>| entry.map(|weight| serde_json::from_str(weight).unwrap());
        let lists: Vec<Vec<Entry>> = arms.iter().map(|list| list.iter().map(entry).collect()).collect();
        assert_eq!(baseline(&lists), expected, "{arms:?}");
    }

    #[test]
    fn an_empty_list_comes_before_weights_of_0_and_those_before_the_first_arm() {
        let (zero, one, other) = (Some("0"), Some("1"), None);
        check(2, &[&[one], &[zero], &[]]);
        check(1, &[&[one], &[zero, Some("-0.0")]]);
        check(0, &[&[one], &[zero, one]]);
        check(0, &[&[one], &[zero, other]]);
    }

    #[test]
    fn a_ramp_has_no_effect_where_it_starts_and_ends_at_0() {
        check(1, &[&[Some("1")], &[Some(r#"{"from": 0, "to": 0, "steps": 4}"#)]]);
        check(0, &[&[Some("1")], &[Some(r#"{"from": 0, "to": 1, "steps": 4}"#)]]);
        check(0, &[&[Some("1")], &[Some(r#"{"from": 1, "to": 0, "steps": 4}"#)]]);
    }
}
