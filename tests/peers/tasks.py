"""lm-evaluation-harness's score of a checkpoint folder on JSONL tasks, beside Regatta's.

Both score the same folder and the same file: `regatta evaluate` by its own passes, the harness by way of Hugging Face's
transformers. Prints Markdown on stdout; exit status 1 where an accuracy or a log-likelihood differs by more than --tolerance.

Without files, every form of `evaluate.tasks` is compared on the items in tests/golden/tasks, with the harness's own task
definitions: each natural line as Regatta reads it, and the same task converted by harness.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# BLiMP's template in the harness is this with `sentence_good` and `sentence_bad`; ours adds the normalised accuracy to it.
CHOICES = {
    "minimal_pairs": {
        "doc_to_text": "",
        "doc_to_target": 0,
        "doc_to_choice": "{{[sentence_good, sentence_bad]}}",
    },
    "multiple_choice": {
        "doc_to_text": "{{question}}",
        "doc_to_target": "answer_index",
        "doc_to_choice": "choices",
    },
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a folder such as runs/quickstart/trials/baseline/seed-0/checkpoint")
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE", help="JSONL tasks; of which kind, their fields say")
    parser.add_argument("--regatta", type=Path, default=ROOT / "target/release/regatta", help="the program (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="sequences that the harness takes at once (%(default)s)")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="of a log-likelihood, in nats (%(default)s)")
    return parser.parse_args()


# Regatta's form, the harness's task, the file of items, examples in front of each and the file that they are from
NAMED = [
    ("minimal_pairs", "blimp_transitive", "pairs", 0, None),
    ("multiple_choice", "hellaswag", "hellaswag", 0, None),
    ("multiple_choice", "arc_easy", "arc", 0, None),
    ("multiple_choice", "arc_easy", "arc", 3, None),
    ("multiple_choice", "piqa", "piqa", 0, None),
    ("multiple_choice", "piqa", "piqa", 5, "piqa_train"),
    ("last_word", "lambada_openai", "lambada", 0, None),
    ("last_word", "lambada_openai", "lambada", 2, None),
    ("partial", "winogrande", "winogrande", 0, None),
    ("partial", "winogrande", "winogrande", 3, None),
    ("probability_mass", "truthfulqa_mc2", "truthfulqa", 0, None),
    ("rolling", "wikitext", "wikitext", 0, None),
]
MEASURES = {
    "acc": "accuracy",
    "acc_norm": "accuracy_normalised",
    "acc_bytes": "accuracy_bytes",
    "perplexity": "perplexity",
    "word_perplexity": "word_perplexity",
    "byte_perplexity": "byte_perplexity",
    "bits_per_byte": "bits_per_byte",
}


def regatta(options, kind, file):
    """Accuracies, and the log-likelihoods of each item's choices."""
    with tempfile.TemporaryDirectory() as folder:
        items = Path(folder) / "items.jsonl"
        flag = "--" + kind.replace("_", "-")
        command = [options.regatta, "evaluate", options.checkpoint, flag, file, "--items", items, "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr.strip())
        score = json.loads(done.stdout)[kind][0]
        return score, [json.loads(line)["log_likelihoods"] for line in items.read_text().splitlines()]


def harness(model, kind, file, lines):
    """The same from the harness: a task of its own kind, on the lines of the file."""
    from lm_eval import evaluator
    from lm_eval.api.task import ConfigurableTask
    import datasets

    for line in lines:
        answer = line.get("answer")
        line["answer_index"] = ord(answer.upper()) - ord("A") if isinstance(answer, str) else answer
    fields = ["sentence_good", "sentence_bad"] if kind == "minimal_pairs" else ["question", "choices", "answer_index"]
    rows = datasets.Dataset.from_list([{field: line[field] for field in fields} for line in lines])
    metrics = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ["acc", "acc_norm"]]
    config = {
        "task": file.stem,
        "output_type": "multiple_choice",
        "validation_split": "validation",
        "num_fewshot": 0,
        "metric_list": metrics,
        "custom_dataset": lambda **_: {"validation": rows},
        **CHOICES[kind],
    }
    task = ConfigurableTask(config=config)
    found = evaluator.simple_evaluate(model=model, tasks=[task], log_samples=True, bootstrap_iters=1000)
    score, samples = found["results"][file.stem], found["samples"][file.stem]
    samples = sorted(samples, key=lambda sample: sample["doc_id"])
    return score, [[float(response[0][0]) for response in sample["resps"]] for sample in samples]


def regatta_named(options, spec):
    """Regatta's measures of one task of `evaluate.tasks`, and the lines of its items."""
    with tempfile.TemporaryDirectory() as folder:
        items = Path(folder) / "items.jsonl"
        command = [options.regatta, "evaluate", options.checkpoint, "--tasks", json.dumps({"t": spec}), "--items", items, "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr.strip())
        return json.loads(done.stdout)["tasks"][0]["measures"], [json.loads(line) for line in items.read_text().splitlines()]


def named_spec(task, form, file, shots, pool):
    """The task as a study would write it, on the dataset's own lines."""
    import harness as convert

    spec = {"file": str(file), "form": form}
    if form == "probability_mass":  # TruthfulQA's six questions and answers, which stand in front of each question
        document = convert.read(file)[0]
        spec["description"] = task.doc_to_text(document).removesuffix(f"Q: {document['question']}\nA:")
    if shots:
        # the harness leaves the item out of its examples where its fewshot_split is its test_split, both unset among them
        excluded = task.fewshot_cfg.split == task.config.test_split
        spec["few_shot"] = {"count": shots, "exclude_item": excluded}
        if pool:
            spec["few_shot"]["file"] = str(pool)
    return spec


def check_named(model, options, form, name, stem, shots, pool_stem):
    """A line of the table; whether both agree, on natural lines and on converted ones."""
    from lm_eval import evaluator
    import harness as convert

    folder = ROOT / "tests/golden/tasks"
    file, pool = folder / f"{stem}.jsonl", folder / f"{pool_stem}.jsonl" if pool_stem else None
    documents, train = convert.read(file), convert.read(pool) if pool else None
    made = lambda: convert.load(name, documents, train, shots)
    task = made()
    if form in ["minimal_pairs", "multiple_choice"]:
        for extra in ["acc_norm", "acc_bytes"]:
            task._metric_fn_list.setdefault(extra, None)
            task._aggregation_list.setdefault(extra, task._aggregation_list["acc"])
            task._higher_is_better.setdefault(extra, True)
    found = evaluator.simple_evaluate(model=model, tasks=[task], log_samples=True, bootstrap_iters=0)
    scores, samples = next(iter(found["results"].values())), next(iter(found["samples"].values()))
    samples = sorted(samples, key=lambda sample: sample["doc_id"])
    rolling = form == "rolling"
    theirs = [[float(response[0] if rolling else response[0][0]) for response in sample["resps"]] for sample in samples]
    greedy = [bool(sample["resps"][0][0][1]) for sample in samples] if form == "last_word" else None

    with tempfile.TemporaryDirectory() as temporary:
        converted = Path(temporary) / "converted.jsonl"
        written, converted_form = convert.lines(made())
        converted.write_text("".join(json.dumps(line) + "\n" for line in written))
        specs = [named_spec(task, form, file, shots, pool), {"file": str(converted), "form": converted_form}]
        runs = [regatta_named(options, spec) for spec in specs]
    worst, equal, cells = 0.0, True, []
    for ours, items in runs:
        for item, numbers in zip(items, theirs, strict=True):
            for one, other in zip(item["log_likelihoods"], numbers, strict=True):
                worst = max(worst, abs(one - other) / abs(other))
        equal &= greedy is None or greedy == [item["greedy"] for item in items]
        shown = []
        for key, measure in MEASURES.items():
            if f"{key},none" not in scores:
                continue
            value = ours["probability_mass" if form == "probability_mass" else measure]
            shown.append(f"{key} {scores[f'{key},none']:.6g} / {value:.6g}")
            exact = key.startswith("acc") and form != "probability_mass"
            equal &= abs(value - scores[f"{key},none"]) <= (1e-12 if exact else 1e-4 * abs(value))
        cells = cells or shown
        if "accuracy_tokens" in ours:
            equal &= by_token(model, task, samples, ours["accuracy_tokens"])
    equal &= worst <= 1e-4
    shown_form = form.replace("_", " ")
    print(f"| {name} | {shown_form} | {shots} | {len(samples)} | {'; '.join(cells)} | {worst:.1e} | {'yes' if equal else 'NO'} |")
    return equal


def by_token(model, task, samples, ours):
    """Whether Regatta's accuracy by token is that of the harness's log-likelihoods over its own counts of tokens."""
    right = 0
    for sample in samples:
        def tokens(arguments):
            context, continuation = arguments[0], arguments[1]
            if context:
                return len(model._encode_pair(context, continuation)[1])
            found = model.tok_encode(continuation, add_special_tokens=False)
            return len(found) - (found[0] == model.prefix_token_id)

        pairs = sample["arguments"]
        pairs = pairs.values() if isinstance(pairs, dict) else pairs
        pairs = [tuple(pair.values()) if isinstance(pair, dict) else pair for pair in pairs]
        scaled = [response[0][0] / tokens(pair) for response, pair in zip(sample["resps"], pairs, strict=True)]
        target = sample["target"]
        right += scaled.index(max(scaled)) == int(target)
    return abs(right / len(samples) - ours) < 1e-12


def compare_named(model, options):
    print("| task | form | examples | items | harness / Regatta | greatest relative difference of a log-likelihood | equal |")
    print("|---|---|---|---|---|---|---|")
    results = [check_named(model, options, *named) for named in NAMED]
    sys.exit(0 if all(results) else 1)


def main():
    options = arguments()
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    try:
        import lm_eval
        from lm_eval.models.huggingface import HFLM
    except ImportError:
        sys.exit(f"error: {sys.executable} has no lm-eval: {sys.executable} -m pip install 'lm-eval[hf]'")
    model = HFLM(pretrained=str(options.checkpoint), device="cpu", dtype="float32", batch_size=options.batch_size)
    version = getattr(lm_eval, "__version__", "?")
    print(f"lm-evaluation-harness {version}, prefix token {model.prefix_token_id}, {model.max_length} positions\n")
    if not options.files:
        compare_named(model, options)
    print("| task | items | acc, harness | acc, Regatta | acc_norm, harness | acc_norm, Regatta | greatest difference, nats |")
    print("|---|---|---|---|---|---|---|")
    equal = True
    for file in options.files:
        lines = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
        kind = "minimal_pairs" if "sentence_good" in lines[0] else "multiple_choice"
        ours, our_items = regatta(options, kind, file)
        theirs, their_items = harness(model, kind, file, lines)
        cells = [file.stem, str(len(lines))]
        for name, key, error in [
            ("acc", "accuracy", "standard_error"),
            ("acc_norm", "accuracy_normalised", "standard_error_normalised"),
        ]:
            for score, spread in [(theirs[f"{name},none"], theirs[f"{name}_stderr,none"]), (ours[key], ours[error])]:
                cells.append(f"{score:.4f} ± {spread:.6f}")
            equal &= abs(theirs[f"{name},none"] - ours[key]) < 1e-9
        pairs = [(one, other) for these, those in zip(our_items, their_items, strict=True) for one, other in zip(these, those)]
        difference = max(abs(one - other) for one, other in pairs)
        equal &= difference <= options.tolerance
        print("| " + " | ".join([*cells, f"{difference:.2e}"]) + " |")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
