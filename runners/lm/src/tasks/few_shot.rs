//! Solved examples in front of an item, chosen as lm-evaluation-harness 0.4.13 chooses them (api/samplers.py).

use super::TaskError;
use super::draws::PythonRandom;
use super::lines;
use super::worded;
use crate::spec::{FewShotSpec, Sampler, TaskSpec};
use serde_json::{Map, Value};

/// What examples are drawn from. Draws go on from item to item, so items are asked for in their order.
pub(super) struct Examples {
    /// Each with the line that it is from, by which an item is told from its own example.
    pool: Vec<(Map<String, Value>, String)>,
    count: usize,
    sampler: Sampler,
    exclude_item: bool,
    random: PythonRandom,
}

impl Examples {
    /// Reads the examples of a task.
    ///
    /// # Errors
    /// With the field at fault: when the file cannot be read, a line is no item, or there are fewer than asked for.
    pub fn read(task: &TaskSpec, spec: &FewShotSpec) -> Result<Self, (String, Box<TaskError>)> {
        let own = spec.file.as_ref().is_none_or(|file| *file == task.file);
        let path = spec.file.as_ref().unwrap_or(&task.file);
        let field = if spec.file.is_some() { "few_shot.file" } else { "file" };
        let at_file = |error| (field.to_owned(), Box::new(error));
        let example = |(line, object): (usize, Map<String, Value>)| {
            let refuse = |(field, expected, found): lines::Fault| TaskError::item(path, line, field, expected, found);
            let [question, answer] = worded::item(task.form, &object, &task.target_delimiter).map_err(refuse)?.example;
            let text = format!("{question}{}{answer}{}", task.target_delimiter, spec.delimiter);
            Ok((object, text))
        };
        let lines = lines::read(path, usize::MAX).map_err(at_file)?.into_iter();
        let pool = lines.map(example).collect::<Result<Vec<_>, TaskError>>().map_err(at_file)?;
        let (count, exclude_item) = (spec.count.get(), spec.exclude_item.unwrap_or(own));
        let most = pool.len().saturating_sub(usize::from(exclude_item));
        if count > most {
            let error = TaskError::Examples { path: path.clone(), most, lines: pool.len(), count, excluded: exclude_item };
            return Err(("few_shot.count".to_owned(), Box::new(error)));
        }
        Ok(Self { pool, count, sampler: spec.sampler, exclude_item, random: PythonRandom::new(spec.seed) })
    }

    /// The examples in front of the next item, as one text.
    ///
    /// # Errors
    /// Where so many lines equal the item that too few are left: how many there are.
    pub fn before(&mut self, item: &Map<String, Value>) -> Result<String, usize> {
        let (pool, count) = (&self.pool, self.count);
        let is_other = |index: &usize| !self.exclude_item || pool[*index].0 != *item;
        let mut chosen: Vec<usize> = match self.sampler {
            Sampler::FirstN => (0..pool.len()).filter(is_other).take(count).collect(),
            Sampler::Random => {
                // one more than wanted, in case the item itself is drawn
                let drawn = self.random.sample(pool.len(), count + usize::from(self.exclude_item));
                drawn.into_iter().filter(is_other).take(count).collect()
            }
        };
        if chosen.len() < count {
            let others: Vec<usize> = (0..pool.len()).filter(is_other).collect();
            if others.len() < count {
                return Err(others.len());
            }
            chosen = self.random.sample(others.len(), count).into_iter().map(|index| others[index]).collect();
        }
        Ok(chosen.into_iter().map(|index| pool[index].1.as_str()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The numbers of the lines that stand in front of each item of a file of `lines`, whose last ones are all alike.
    fn chosen(lines: usize, alike: usize, few_shot: Value) -> Result<Vec<Vec<usize>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let number = |line: usize| line.min(lines - alike);
        let text: String = (0..lines).map(|line| format!("{{\"text\": \"item {}\"}}\n", number(line))).collect();
        std::fs::write(&path, text).unwrap();
        let task = json!({"file": path, "form": "last_word", "few_shot": few_shot});
        let task: TaskSpec = serde_json::from_value(task).unwrap();
        let found = Examples::read(&task, task.few_shot.as_ref().unwrap());
        let mut examples = found.map_err(|(field, error)| format!("{field}: {error}"))?;
        let numbers = |text: String| -> Vec<usize> {
            text.split("\n\n").filter_map(|example| example.strip_prefix("item  ")?.parse().ok()).collect()
        };
        let before = |line: usize| {
            let item = json!({"text": format!("item {}", number(line))});
            examples.before(item.as_object().unwrap()).map(numbers).map_err(|left| left.to_string())
        };
        (0..lines.min(3)).map(before).collect()
    }

    #[test]
    fn examples_are_those_of_the_harness() {
        // ContextSampler(docs, rnd=1234).sample(n, eval_doc) of version 0.4.13, for the first three documents
        let found = |few_shot| chosen(20, 1, few_shot).unwrap();
        assert_eq!(found(json!({"count": 3, "exclude_item": false})), PLAIN);
        assert_eq!(found(json!({"count": 3})), EXCLUDED);
        assert_eq!(found(json!({"count": 3, "seed": 7})), OTHER_SEED);
        assert_eq!(found(json!({"count": 2, "sampler": "first_n"})), [[1, 2], [0, 2], [0, 1]]);
        assert_eq!(chosen(5, 3, json!({"count": 2})).unwrap(), DOUBLES, "drawn again without the item's doubles");
    }

    const PLAIN: [[usize; 3]; 3] = [[14, 3, 0], [2, 18, 1], [2, 3, 11]];
    const EXCLUDED: [[usize; 3]; 3] = [[14, 3, 2], [18, 2, 3], [11, 7, 0]];
    const OTHER_SEED: [[usize; 3]; 3] = [[10, 4, 12], [2, 17, 3], [18, 1, 16]];
    const DOUBLES: [[usize; 2]; 3] = [[2, 2], [0, 2], [0, 1]];

    #[test]
    fn more_examples_than_lines_are_refused() {
        let refused = |few_shot| chosen(4, 1, few_shot).unwrap_err();
        let found = refused(json!({"count": 4}));
        assert!(found.starts_with("few_shot.count: expected at most 3, of 4 lines in ") && found.ends_with("found 4"), "{found}");
        assert!(chosen(4, 1, json!({"count": 4, "exclude_item": false})).is_ok());
        assert_eq!(chosen(4, 4, json!({"count": 2})).unwrap_err(), "0", "all alike");
    }
}
