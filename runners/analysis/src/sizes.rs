//! Effect against size: rows of an arm that differ in the size of their model, as one series.

use super::arm::ArmRecords;
use super::folder::Records;
use super::over::ends;
use super::study::assignments;
use regatta_results::{Arm, PowerLaw, SizePoint, SizeSeries};
use regatta_statistics::power_law;
use std::collections::{BTreeMap, BTreeSet};

/// What makes a model larger of its kind. Another family, another norm or an untied output matrix changes its parameters too, but
/// makes another kind of model: no law goes through both.
pub(super) const SIZES: [&str; 6] =
    ["model.width", "model.layers", "model.heads", "model.kv_heads", "model.head_dim", "model.mlp_width"];

/// Name and value of each part of a point's label: `width=16,weight=0.1`.
type Parts<'a> = Vec<(&'a str, &'a str)>;

/// Rows of an arm that differ in the size of their model, as indices of the records' rows, smallest first.
pub(super) struct Group {
    pub arm: String,
    /// The rest of the point; empty where only the size varies.
    pub rest: String,
    pub members: Vec<usize>,
}

impl Group {
    /// The arm, and the rest of the point.
    pub fn name(&self) -> String {
        if self.rest.is_empty() { self.arm.clone() } else { format!("{} {}", self.arm, self.rest) }
    }
}

/// The series of each arm, one for each rest of a point; `arms` are the judged rows of the records. Empty where all models have the
/// same size.
pub(super) fn series(records: &Records, arms: &[Arm]) -> Vec<SizeSeries> {
    let point = |&row: &usize| {
        let Arm { name, parameters, loss, difference, verdict, .. } = &arms[row];
        Some(SizePoint { arm: name.clone(), parameters: (*parameters)?, loss: *loss, difference: *difference, verdict: *verdict })
    };
    let series = |group: Group| SizeSeries {
        name: group.name(),
        points: group.members.iter().filter_map(point).collect(),
        fit: fit(&group.members.iter().map(|&row| &records.arms[row]).collect::<Vec<_>>()),
        arm: group.arm,
    };
    groups(records).into_iter().map(series).collect()
}

/// The rows that make a series, of those that differ in size.
pub(super) fn groups(records: &Records) -> Vec<Group> {
    let paths: Vec<&str> = assignments(records.study.vary.as_ref()).into_iter().map(|(path, _)| path).collect();
    let mut names: Vec<&str> = Vec::new();
    records.arms.iter().for_each(|arm| {
        if !names.contains(&arm.arm.as_str()) {
            names.push(&arm.arm);
        }
    });
    let mut all = Vec::new();
    for name in names {
        let rows: Vec<usize> = (0..records.arms.len()).filter(|&row| records.arms[row].arm == name).collect();
        let labels: Vec<&str> = rows.iter().map(|&row| records.arms[row].point.as_str()).collect();
        let Some(sizes) = rows.iter().map(|&row| records.arms[row].parameters).collect::<Option<Vec<usize>>>() else {
            continue; // no plan, and so no sweep
        };
        for (rest, members) in by_the_rest(&parts(&labels), &sizes, &paths) {
            let mut members: Vec<usize> = members.into_iter().map(|member| rows[member]).collect();
            members.sort_by_key(|&row| records.arms[row].parameters); // stable: equal sizes stay in the study's order
            let known: BTreeSet<Option<usize>> = members.iter().map(|&row| records.arms[row].parameters).collect();
            if known.len() > 1 {
                all.push(Group { arm: name.to_owned(), rest, members });
            }
        }
    }
    all
}

/// The power law through the losses of [`models`].
fn fit(rows: &[&ArmRecords]) -> Option<PowerLaw> {
    let law = power_law(&models(rows))?;
    Some(PowerLaw { a: law.a, b: law.b, interval: law.interval.map(ends), sizes: law.sizes, seeds: law.seeds })
}

/// Size and losses of each model, of the seeds that every model finished; models of which no trial finished are left out.
pub(super) fn models(rows: &[&ArmRecords]) -> Vec<(f64, Vec<f64>)> {
    let rows: Vec<_> = rows.iter().filter(|row| !row.evaluations.is_empty()).collect();
    let finished = |seed: &&u64| rows.iter().all(|row| row.evaluations.contains_key(seed));
    let seeds: Vec<&u64> = rows.first().into_iter().flat_map(|row| row.evaluations.keys()).filter(finished).collect();
    let losses = |row: &ArmRecords| seeds.iter().map(|seed| row.evaluations[seed].measures.loss).collect::<Vec<_>>();
    rows.iter().filter_map(|row| Some((row.parameters? as f64, losses(row)))).collect()
}

/// The parts of each label of an arm. A hash that ends a label is left out where the labels differ without it: it is of the
/// whole point, and would set apart what differs in size alone.
fn parts<'a>(labels: &[&'a str]) -> Vec<Parts<'a>> {
    let split = |label: &'a str| label.split(',').filter_map(|part| part.split_once('=')).collect::<Parts>();
    let unhashed = |label: &'a str| match label.rsplit_once('-') {
        Some((head, hash)) if hash.len() == 12 && hash.chars().all(|c| c.is_ascii_hexdigit()) => head,
        _ => label,
    };
    let short: Vec<&str> = labels.iter().map(|label| unhashed(label)).collect();
    let distinct = short.iter().collect::<BTreeSet<_>>().len() == short.len();
    if distinct { &short } else { labels }.iter().map(|label| split(label)).collect()
}

fn value<'a>(point: &Parts<'a>, name: &str) -> Option<&'a str> {
    point.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
}

fn without<'a>(point: &Parts<'a>, names: &[&str]) -> Parts<'a> {
    point.iter().filter(|(name, _)| !names.contains(name)).copied().collect()
}

/// Points of an arm by what is left of them without the parts that make the size, in the order of their first.
///
/// Those are the fields of [`SIZES`] that its parameters depend on, and whatever else follows from them: a
/// learning rate that the study names for each width belongs to the width.
fn by_the_rest(points: &[Parts<'_>], sizes: &[usize], paths: &[&str]) -> Vec<(String, Vec<usize>)> {
    let names: BTreeSet<&str> = points.iter().flatten().map(|(name, _)| *name).collect();
    let is_of_model = |name: &str| {
        let field = paths.iter().find(|path| **path == name || path.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')));
        field.is_some_and(|path| SIZES.contains(path))
    };
    let of_size: Vec<&str> = names.iter().copied().filter(|name| is_of_model(name) && matters(points, sizes, name)).collect();
    let bound = |name: &&str| of_size.contains(name) || (!of_size.is_empty() && follows(points, name, &of_size));
    let left_out: Vec<&str> = names.iter().copied().filter(bound).collect();
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, point) in points.iter().enumerate() {
        let rest = without(point, &left_out).iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
        match groups.iter_mut().find(|(known, _)| *known == rest) {
            Some((_, members)) => members.push(index),
            None => groups.push((rest, vec![index])),
        }
    }
    groups
}

/// Whether the size depends on this part: some points that differ in nothing else differ in size, or none differ in it alone.
fn matters(points: &[Parts<'_>], sizes: &[usize], name: &str) -> bool {
    let mut by_rest: BTreeMap<Parts<'_>, Vec<usize>> = BTreeMap::new();
    for (point, &size) in points.iter().zip(sizes) {
        by_rest.entry(without(point, &[name])).or_default().push(size);
    }
    by_rest.values().all(|sizes| sizes.len() == 1) || by_rest.values().any(|sizes| sizes.iter().any(|size| *size != sizes[0]))
}

/// Whether points that agree in `others` agree in this part.
fn follows(points: &[Parts<'_>], name: &str, others: &[&str]) -> bool {
    let mut known: BTreeMap<Vec<Option<&str>>, Option<&str>> = BTreeMap::new();
    points.iter().all(|point| {
        let own = value(point, name);
        *known.entry(others.iter().map(|other| value(point, other)).collect()).or_insert(own) == own
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[&str], sizes: &[usize], paths: &[&str], expected: &[(&str, &[usize])]) {
        let found = by_the_rest(&parts(labels), sizes, paths);
        let found: Vec<(&str, &[usize])> = found.iter().map(|(rest, members)| (rest.as_str(), members.as_slice())).collect();
        assert_eq!(found, expected, "{labels:?}");
    }

    #[test]
    fn what_else_varies_sets_series_apart() {
        let labels = ["width=16,weight=0.1", "width=16,weight=1", "width=32,weight=0.1", "width=32,weight=1"];
        let paths = ["model.width", "arms.*.0.weight"];
        check(&labels, &[100, 100, 400, 400], &paths, &[("weight=0.1", &[0, 2]), ("weight=1", &[1, 3])]);
        check(&["lr=1", "lr=2"], &[100, 100], &["train.lr"], &[("lr=1", &[0]), ("lr=2", &[1])]);
        check(&[""], &[100], &[], &[("", &[0])]);
    }

    #[test]
    fn heads_are_no_size_and_what_follows_the_width_is_of_it() {
        let labels = ["width=16,heads=1", "width=16,heads=2", "width=32,heads=1", "width=32,heads=2"];
        let paths = ["model.width", "model.heads"];
        check(&labels, &[100, 100, 400, 400], &paths, &[("heads=1", &[0, 2]), ("heads=2", &[1, 3])]);
        let labels = ["width=16,layers=1,lr=0.01", "width=32,layers=2,lr=0.001"];
        check(&labels, &[100, 800], &["model.width", "model.layers", "train.lr"], &[("", &[0, 1])]);
        let labels = ["model.context=8", "model.context=16"]; // more positions, and other losses
        check(&labels, &[100, 108], &["model.context"], &[("model.context=8", &[0]), ("model.context=16", &[1])]);
    }

    #[test]
    fn a_hash_of_the_point_is_no_part_of_it() {
        let labels = ["width=16,file=c-0123456789ab", "width=32,file=c-ba9876543210"];
        check(&labels, &[100, 400], &["model.width", "data.text.file"], &[("", &[0, 1])]);
        let labels = ["file=c-0123456789ab", "file=c-ba9876543210"]; // two files of one name
        let whole = [("file=c-0123456789ab", &[0][..]), ("file=c-ba9876543210", &[1][..])];
        check(&labels, &[100, 100], &["data.text.file"], &whole);
    }
}
