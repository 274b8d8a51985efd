//! docs/reference/study.md, from the JSON Schema of studies.

use serde_json::{Map, Value};
use std::collections::HashMap;

const INTRO: &str = "\
# Fields of a study

Every section and field of a study's YAML, from the schema that `regatta schema` prints. [Studies](../studies.md) explains how they
work together. A heading is the path of a field, as `--set` and `vary` write it; `NAME` stands for a name of your own and `N` for an
index from 0. A field without a default may be left out unless it is required.
";

/// The page.
pub fn page(schema: &Value) -> String {
    let mut page = Page { schema, text: INTRO.into(), described: HashMap::new() };
    page.fields("", schema, &Value::Null);
    page.text
}

struct Page<'a> {
    schema: &'a Value,
    text: String,
    /// The heading under which each definition of the schema is described.
    described: HashMap<&'a str, String>,
}

/// One way to write a value.
#[derive(Clone, Copy)]
struct Form<'a> {
    schema: &'a Value,
    /// What it is called among the definitions, if it is one.
    definition: Option<&'a str>,
    meaning: Option<&'a str>,
}

impl<'a> Form<'a> {
    /// `name` of `{name: {fields}}`, where the schema is a choice of one of several.
    fn choices(&self) -> Option<&'a Map<String, Value>> {
        self.schema["properties"].as_object().filter(|_| self.schema["maxProperties"] == 1)
    }

    fn has_fields(&self) -> bool {
        self.schema.get("patternProperties").is_none() && self.schema["properties"].is_object()
    }
}

impl<'a> Page<'a> {
    /// The forms of a value; that nothing may stand behind a name goes without saying.
    fn forms(&self, schema: &'a Value) -> Vec<Form<'a>> {
        let meaning = schema["description"].as_str();
        if let Some(definition) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            let mut forms = self.forms(&self.schema["$defs"][definition]);
            let whole = forms.len() == 1;
            for form in &mut forms {
                form.definition = form.definition.or(Some(definition));
                form.meaning = meaning.filter(|_| whole).or(form.meaning);
            }
            return forms;
        }
        match ["anyOf", "oneOf"].iter().find_map(|key| schema[key].as_array()) {
            Some(forms) if schema["type"] != "object" => forms.iter().flat_map(|form| self.forms(form)).collect(),
            _ if schema["type"] == "null" => Vec::new(),
            _ => match schema["enum"].as_array() {
                Some(words) => words.iter().map(|schema| Form { schema, definition: None, meaning: None }).collect(),
                None => vec![Form { schema, definition: None, meaning }],
            },
        }
    }

    /// A table of the fields of a map, then a section for each that has more to say; `defaults` are those of the whole map.
    fn fields(&mut self, path: &str, map: &'a Value, defaults: &'a Value) {
        let Some(properties) = map["properties"].as_object() else { return };
        let required = |name: &str| map["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name));
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        self.text += "\n| field | value | default | meaning |\n|---|---|---|---|\n";
        let mut sections = Vec::new();
        for (name, field) in properties {
            let forms = self.forms(field);
            let own = field.get("default").filter(|default| !default.is_null());
            let default = match own.or(defaults.get(name)) {
                _ if required(name) || below(name) == "arms" => "required".into(),
                Some(default) if !(forms.len() == 1 && forms[0].has_fields()) => format!("`{}`", self.shortest(&forms, default)),
                _ => String::new(),
            };
            let mut shown = format!("`{name}`");
            if self.has_more(&forms) {
                let heading = self.heading_of(&forms).unwrap_or_else(|| below(name));
                shown = format!("[{shown}](#{})", anchor(&heading));
                if heading == below(name) {
                    sections.push((heading, field, own.or(defaults.get(name)).unwrap_or(&Value::Null)));
                    self.remember(&forms, &below(name));
                }
            }
            let values = self.values(&forms);
            self.text += &row(&[shown, values, default, field["description"].as_str().unwrap_or_default().into()]);
        }
        for (heading, field, defaults) in sections {
            self.section(&heading, field, defaults);
        }
    }

    /// What is said of one field under its own heading.
    fn section(&mut self, path: &str, field: &'a Value, defaults: &'a Value) {
        let level = if path.contains('.') { "###" } else { "##" };
        self.text += &format!("\n{level} {path}\n");
        if let Some(description) = field["description"].as_str() {
            self.text += &format!("\n{}\n", one_line(description));
        }
        let forms = self.forms(field);
        let words: Vec<String> = forms
            .iter()
            .filter(|form| !form.has_fields() || form.choices().is_some())
            .flat_map(|form| self.bullets(path, form, &forms))
            .collect();
        if words.len() > 1 {
            self.text += &format!("\n{}", words.concat());
        }
        for form in &forms {
            self.below(path, form, defaults, forms.iter().filter(|form| form.has_fields()).count() > 1);
        }
    }

    /// The lines of a list of forms.
    fn bullets(&self, path: &str, form: &Form<'a>, all: &[Form<'a>]) -> Vec<String> {
        let line = |shown: String, meaning: Option<&str>| match meaning.filter(|meaning| !meaning.is_empty()) {
            Some(meaning) => format!("- {shown}: {}\n", one_line(meaning)),
            None => format!("- {shown}\n"),
        };
        let bare = |name: &str| all.iter().any(|form| form.schema["const"] == name);
        if let Some(page) = self.plugins(form) {
            let choices = form.choices().into_iter().flatten();
            let summary = |field: &'a Value| field["description"].as_str().unwrap_or_default().split("\n\n").next();
            return choices.map(|(name, field)| line(format!("[`{name}`]({page}#{name})"), summary(field))).collect();
        }
        match form.choices() {
            Some(choices) => {
                let shown = |name: &str, field: &'a Value| {
                    let forms = self.forms(field);
                    let fields = if forms.iter().any(Form::has_fields) {
                        let heading = self.heading_of(&forms).unwrap_or_else(|| format!("{path}.{name}"));
                        format!("`{{{name}: {{…}}}}` with [these fields](#{})", anchor(&heading))
                    } else {
                        format!("`{{{name}: …}}`, {}", self.values(&forms))
                    };
                    if bare(name) { format!("`{name}`, or {fields}") } else { fields }
                };
                choices.iter().map(|(name, field)| line(shown(name, field), field["description"].as_str())).collect()
            }
            // A name with fields stands once, with those.
            None if form.schema["const"]
                .as_str()
                .is_some_and(|name| all.iter().filter_map(Form::choices).any(|choices| choices.contains_key(name))) =>
            {
                Vec::new()
            }
            None => vec![line(self.words(form), form.meaning)],
        }
    }

    /// Tables of the fields within a form.
    fn below(&mut self, path: &str, form: &Form<'a>, defaults: &'a Value, is_one_of_several: bool) {
        let schema = form.schema;
        if self.plugins(form).is_some() {
            return;
        }
        if let Some(choices) = schema["properties"].as_object().filter(|_| form.choices().is_some()) {
            for (name, field) in choices {
                let (heading, forms) = (format!("{path}.{name}"), self.forms(field));
                if forms.iter().any(Form::has_fields) && self.heading_of(&forms).is_none_or(|described| described == heading) {
                    self.remember(&forms, &heading);
                    self.section(&heading, field, defaults.get(name).unwrap_or(&Value::Null));
                }
            }
        } else if form.has_fields() {
            if is_one_of_several {
                self.text += &format!("\n### {}\n", with_first(path, schema));
                self.text += &form.meaning.map(|meaning| format!("\n{}\n", one_line(meaning))).unwrap_or_default();
            }
            self.fields(path, schema, defaults);
        } else if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
            self.inner(&format!("{path}.NAME"), inner);
        } else if let Some(items) = schema.get("items") {
            self.inner(&format!("{path}.N"), items);
        }
    }

    /// What a map of names or a list holds, where that has more to say.
    fn inner(&mut self, path: &str, schema: &'a Value) {
        let forms = self.forms(schema);
        if !self.has_more(&forms) {
            return;
        }
        let is_one_of_several = forms.iter().filter(|form| form.has_fields()).count() > 1;
        let words: Vec<String> =
            forms.iter().filter(|form| !form.has_fields()).flat_map(|form| self.bullets(path, form, &forms)).collect();
        if words.len() > 1 {
            self.text += &format!("\nEach is one of:\n\n{}", words.concat());
        }
        if is_one_of_several {
            let link = |form: &Form<'a>| {
                let heading = with_first(path, form.schema);
                let meaning = form.meaning.map(|meaning| format!(": {}", one_line(meaning))).unwrap_or_default();
                format!("- [{heading}](#{}){meaning}\n", anchor(&heading))
            };
            self.text += &format!("\nEach is one of:\n\n{}", forms.iter().map(link).collect::<String>());
        }
        for form in &forms {
            self.below(path, form, &Value::Null, is_one_of_several);
        }
    }

    /// The page of plugins whose names these are.
    fn plugins(&self, form: &Form<'a>) -> Option<&'static str> {
        match form.definition? {
            "regularizer" => Some("regularizers.md"),
            "intervention" => Some("interventions.md"),
            _ => None,
        }
    }

    fn remember(&mut self, forms: &[Form<'a>], heading: &str) {
        for definition in forms.iter().filter_map(|form| form.definition) {
            self.described.entry(definition).or_insert_with(|| heading.to_owned());
        }
    }

    /// Where the one definition of all these forms is described already.
    fn heading_of(&self, forms: &[Form<'a>]) -> Option<String> {
        let definition = forms.first()?.definition?;
        forms.iter().all(|form| form.definition == Some(definition)).then(|| self.described.get(definition).cloned())?
    }

    /// A default as it is written shortest: a choice whose fields all have their defaults is a bare name.
    fn shortest(&self, forms: &[Form<'a>], default: &Value) -> String {
        let chosen =
            forms.iter().filter_map(Form::choices).flatten().find_map(|(name, field)| Some((name, field, default.get(name)?)));
        let is_bare = |field: &'a Value, values: &Value| {
            let fields = self.forms(field).into_iter().find(Form::has_fields);
            let own = |name: &str| fields.map(|form| &form.schema["properties"][name]["default"]);
            values.as_object().is_some_and(|values| values.iter().all(|(name, value)| own(name) == Some(value)))
        };
        match chosen {
            Some((name, field, values)) if is_bare(field, values) => name.clone(),
            _ => yaml(default),
        }
    }

    /// Whether forms have meanings or fields of their own, which no cell of a table has room for.
    fn has_more(&self, forms: &[Form<'a>]) -> bool {
        // `none` alone, which has no limit, explains itself.
        forms.iter().filter(|form| form.meaning.is_some()).count() > 1 && forms.len() > 1
            || forms.iter().any(|form| {
                let inner =
                    form.schema.get("items").or(form.schema.get("additionalProperties")).filter(|inner| inner.is_object());
                form.has_fields() || inner.is_some_and(|inner| self.has_more(&self.forms(inner)))
            })
    }

    /// All forms of a value, for a cell.
    fn values(&self, forms: &[Form<'a>]) -> String {
        if forms.iter().any(|form| self.plugins(form).is_some()) {
            return "a name, or `{name: {setting: value}}`".into();
        }
        let mut all: Vec<String> = Vec::new();
        for form in forms {
            let words = match form.choices() {
                Some(choices) => choices.keys().map(|name| format!("`{name}`")).collect(),
                None => vec![self.words(form)],
            };
            words.into_iter().filter(|word| !all.contains(word)).collect::<Vec<_>>().into_iter().for_each(|word| all.push(word));
        }
        match all.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, before)) if before.iter().any(|form| form.contains(' ')) => format!("{}, or {last}", before.join(", ")),
            Some((last, before)) => format!("{} or {last}", before.join(", ")),
            None => "anything".into(),
        }
    }

    /// A form in words.
    fn words(&self, form: &Form<'a>) -> String {
        let schema = form.schema;
        if let Some(word) = schema.get("const").or(schema.as_str().map(|_| schema)) {
            return format!("`{}`", yaml(word));
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
        match kind {
            Some("integer") => format!("whole number{}", range(schema)),
            Some("number") => format!("number{}", range(schema)),
            Some("boolean") => "`true` or `false`".into(),
            Some("string") => "text".into(),
            Some("array") => {
                let forms = self.forms(&schema["items"]);
                let items = match &forms[..] {
                    [form] => {
                        self.words(form).replacen("number", "numbers", 1).replacen("text", "texts", 1).replacen("map", "maps", 1)
                    }
                    _ if forms.iter().all(Form::has_fields) => "maps".into(),
                    _ => self.values(&forms).replacen("number", "numbers", 1),
                };
                match (schema["minItems"].as_u64(), schema["maxItems"].as_u64()) {
                    (Some(least), Some(most)) if least == most => format!("list of {most} {items}"),
                    _ => format!("list of {items}"),
                }
            }
            Some("object") => match schema.get("additionalProperties").filter(|inner| inner.is_object()) {
                Some(inner) => format!("map of names, each to a {}", self.values(&self.forms(inner))),
                None => "map".into(),
            },
            _ => "anything".into(),
        }
    }
}

/// The heading of one of several kinds of map: by the field that tells it from the others.
fn with_first(path: &str, map: &Value) -> String {
    format!("{path} with {}", map["required"][0].as_str().unwrap_or_default())
}

/// The range of a number, as in ` from 1 to 8`.
fn range(schema: &Value) -> String {
    let shown = |value: &Value| match value.as_u64() {
        Some(whole) => grouped(whole),
        None => yaml(value),
    };
    // The least and the greatest normal float32 bound what is rounded to one: they say that it is above 0.
    let is_normal = schema["minimum"].as_f64() == Some(f64::from(f32::MIN_POSITIVE));
    let bound = |key: &str| schema.get(key).filter(|_| !is_normal);
    match (bound("minimum"), bound("exclusiveMinimum"), bound("maximum"), bound("exclusiveMaximum")) {
        _ if is_normal => " > 0".into(),
        (Some(least), _, Some(most), _) => format!(" from {} to {}", shown(least), shown(most)),
        (Some(least), _, _, Some(most)) => format!(" ≥ {} and < {}", shown(least), shown(most)),
        (Some(least), ..) => format!(" ≥ {}", shown(least)),
        (_, Some(least), Some(most), _) => format!(" > {} and ≤ {}", shown(least), shown(most)),
        (_, Some(least), ..) => format!(" > {}", shown(least)),
        _ => String::new(),
    }
}

/// With commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let with_comma = |(index, digit): (usize, char)| {
        let comma = index > 0 && (digits.len() - index).is_multiple_of(3);
        if comma { format!(",{digit}") } else { digit.to_string() }
    };
    digits.chars().enumerate().map(with_comma).collect()
}

/// A value as YAML in one line.
fn yaml(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map.iter().map(|(name, value)| format!("{name}: {}", yaml(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Number(number) => match number.as_f64() {
            Some(small) if small != 0.0 && small.abs() < 1e-3 => {
                let (digits, exponent) = format!("{small:e}").split_once('e').map(|(d, e)| (d.to_owned(), e.to_owned())).unwrap();
                let point = if digits.contains('.') { "" } else { ".0" }; // without a point, YAML 1.1 reads a word
                format!("{digits}{point}e{exponent}")
            }
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.iter().map(|cell| one_line(cell).replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The anchor of a heading, as mdBook and GitHub make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}
