"""Converts a task of a local lm-evaluation-harness to the lines that Regatta reads.

The harness's own Task object is asked for every text: `doc_to_text`, `doc_to_choice`, `doc_to_target`, delimiters, description and
the examples in front of each document. The documents come from local JSONL files, since its datasets are downloaded otherwise.
Writes JSONL on stdout, and on stderr the entry of `evaluate.tasks` that reads it.

    python3 tests/peers/harness.py hellaswag --documents validation.jsonl --train train.jsonl --few-shot 5 > hellaswag.jsonl
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", help="a task's name in the harness, or the path of its YAML file")
    parser.add_argument("--documents", type=Path, required=True, help="JSONL: the evaluated split, as its dataset has it")
    parser.add_argument("--train", type=Path, help="JSONL: those of the split that examples are drawn from")
    parser.add_argument("--few-shot", type=int, help="examples in front of each document (the task's own number)")
    parser.add_argument("--seed", type=int, default=1234, help="of the draws of examples (%(default)s, as in the harness)")
    parser.add_argument("--limit", type=int, help="the first documents, so many")
    return parser.parse_args()


def read(file):
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def config_file(task):
    """The YAML file of a task: a path, or a name in the folder of the harness's tasks."""
    import lm_eval

    if Path(task).is_file():
        return Path(task)
    named = re.compile(rf"^task:\s*[\"']?{re.escape(task)}[\"']?\s*$", re.MULTILINE)
    folder = Path(lm_eval.__file__).parent / "tasks"
    found = [file for file in sorted(folder.rglob("*.y*ml")) if named.search(file.read_text(encoding="utf-8"))]
    if not found:
        sys.exit(f"error: expected a task of {folder} or the path of a YAML file, found {task}")
    return found[0]


def load(task, documents, train=None, few_shot=None, seed=1234):
    """The harness's task on local documents: its configuration with the dataset in each of the splits that it names."""
    import datasets
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(config_file(task))
    evaluated = config.get("test_split") or config.get("validation_split")
    splits = {evaluated: documents}
    for key in ["fewshot_split", "training_split", "validation_split"]:
        if config.get(key):
            splits.setdefault(config[key], train if train is not None else documents)
    loaded = {name: datasets.Dataset.from_list(rows) for name, rows in splits.items()}
    for key in ["dataset_path", "dataset_name", "dataset_kwargs", "group", "tag"]:
        config.pop(key, None)
    config["custom_dataset"] = lambda **_: loaded
    if few_shot is not None and config.get("num_fewshot") != 0:
        config["num_fewshot"] = few_shot
    config["num_fewshot"] = config.get("num_fewshot") or 0
    made = ConfigurableTask(config=config)
    made.set_fewshot_seed(seed)
    return made


def lines(task, limit=None):
    """The lines of each document, and the form that reads them."""
    shots = task.config.num_fewshot
    found = []
    for index, document in enumerate(task.eval_docs):
        if index == limit:
            break
        context = task.fewshot_context(document, shots)
        found.append(line(task, document, context))
    return found, FORMS[kind(task)]


FORMS = {
    "loglikelihood": "last_word",
    "loglikelihood_rolling": "rolling",
    "partial": "partial",
    "mass": "probability_mass",
    "choices": "multiple_choice",
}


def kind(task):
    if task.OUTPUT_TYPE != "multiple_choice":
        if task.OUTPUT_TYPE not in FORMS:
            sys.exit(f"error: expected a task that is scored by likelihood, found `output_type: {task.OUTPUT_TYPE}`")
        return task.OUTPUT_TYPE
    if task.multiple_input:
        return "partial"
    own = task.config.process_results
    return "mass" if callable(own) and own.__name__ == "process_results_mc2" else "choices"


def line(task, document, context):
    target = task.doc_to_target(document)
    if kind(task) == "loglikelihood":
        return {"context": context, "continuation": target}
    if kind(task) == "loglikelihood_rolling":
        (words, size) = (task.count_words(target), task.count_bytes(target))
        if callable(task.config.process_results):
            counted = task.config.process_results(document, (0.0,))
            words, size = counted["word_perplexity"][1], counted["byte_perplexity"][1]
        return {"text": target, "words": words, "bytes": size}
    delimiter = task.config.target_delimiter
    if kind(task) == "partial":
        return {"contexts": context, "continuation": target, "answer": task.doc_to_text(document), "delimiter": delimiter}
    choices = task.doc_to_choice(document)
    found = {"context": context, "choices": choices, "delimiter": delimiter}
    if kind(task) == "mass":
        return {**found, "labels": list(document["mc2_targets"]["labels"])}
    if isinstance(target, list):
        return {**found, "answers": target}
    return {**found, "answer": choices.index(target) if isinstance(target, str) else target}


def main():
    options = arguments()
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        sys.exit(f"error: {sys.executable} has no lm-eval: {sys.executable} -m pip install 'lm-eval[hf]'")
    train = read(options.train) if options.train else None
    task = load(options.task, read(options.documents), train, options.few_shot, options.seed)
    written, form = lines(task, options.limit)
    for each in written:
        print(json.dumps(each, ensure_ascii=False))
    print(f"evaluate: {{tasks: {{{Path(options.task).stem}: {{file: FILE, form: {form}}}}}}}", file=sys.stderr)


if __name__ == "__main__":
    main()
