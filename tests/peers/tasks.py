"""lm-evaluation-harness's score of a checkpoint folder on a JSONL task, beside Regatta's.

Both score the same folder and the same file: `regatta evaluate` by its own passes, the harness by way of Hugging Face's
transformers. Prints Markdown on stdout; exit status 1 where an accuracy or a log-likelihood differs by more than --tolerance.
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
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="JSONL tasks; of which kind, their fields say")
    parser.add_argument("--regatta", type=Path, default=ROOT / "target/release/regatta", help="the program (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="sequences that the harness takes at once (%(default)s)")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="of a log-likelihood, in nats (%(default)s)")
    return parser.parse_args()


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
