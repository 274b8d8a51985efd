"""Checks that transformers computes from a checkpoint what Regatta does.

  export.py runs/NAME                                            every trial's checkpoint
  export.py runs/NAME/trials/ARM/seed-0/checkpoint FOLDER ...    these folders

Both programs read the same weights and get the same random token ids. Regatta reads text, so it is given a copy of the folder (as
links) whose tokenizer maps each id's decimal to that id: `17 3` gives the tokens 17 and 3. A checkpoint needs no tokenizer of its
own. Two things are compared:

- next-token log-probabilities, by `regatta evaluate --multiple-choice` with single-token choices, after prompts of several
  lengths up to the model's positions; they fix the logits up to a constant per position;
- the mean loss over whole windows, by `regatta evaluate --text`, which covers every position.

transformers runs in float32 and must report no missing, unexpected or mismatched tensors. Prints Markdown on stdout; exits with
status 1 if any difference exceeds --tolerance or a checkpoint does not load.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, table

LENGTHS, CHOICES, WINDOWS = 6, 64, 4


class Failed(Exception):
    """One of the programs cannot read a checkpoint."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="checkpoints, or studies' folders with trials/")
    parser.add_argument("--regatta", type=Path, default=ROOT / "target/release/regatta", help="the program (%(default)s)")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest difference allowed, in nats (%(default)s)")
    return parser.parse_args()


def checkpoints(folders):
    for folder in folders:
        found = [folder] if (folder / "config.json").is_file() else sorted(folder.glob("trials/*/*/checkpoint"))
        if not found:
            sys.exit(f"error: {folder}: expected config.json or trials/*/*/checkpoint in it")
        yield from found


def read(folder):
    """The checkpoint in transformers, all tensors accounted for."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model, report = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    except Exception as error:  # of any kind: the other checkpoints are still compared
        raise Failed(f"transformers: {(str(error).splitlines() or [repr(error)])[0]}")
    amiss = [f"{kind} {', '.join(map(str, keys))}" for kind, keys in report.items() if keys]
    if amiss:
        raise Failed(f"transformers: {'; '.join(amiss)}")
    return model.eval()


def questions(vocab, positions):
    """Prompts of several lengths up to `positions`, each with candidates for the next token."""
    draw = random.Random(0)
    lengths = sorted({max(1, round(positions * part / LENGTHS)) for part in range(1, LENGTHS + 1)} | {1})
    prompt = [draw.randrange(vocab) for _ in range(positions)]
    return [(prompt[:length], draw.sample(range(vocab), min(CHOICES, vocab))) for length in lengths]


def by_regatta(options, checkpoint, asked, windows):
    """Log-probabilities of each question's choices, and the mean loss over the windows."""
    positions, words = len(windows[0]) - 1, lambda ids: " ".join(map(str, ids))
    vocab = json.loads((checkpoint / "config.json").read_text())["vocab_size"]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for path in checkpoint.iterdir():
            if not path.name.startswith("tokenizer"):
                (folder / path.name).symlink_to(path.resolve())
        model = {"type": "WordLevel", "vocab": {str(token): token for token in range(vocab)}, "unk_token": "0"}
        tokenizer = dict(version="1.0", added_tokens=[], pre_tokenizer={"type": "WhitespaceSplit"}, model=model)
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        (folder / "tokenizer_config.json").write_text('{"bos_token": "0"}')  # tasks require a prefix token
        line = lambda ids, choices: json.dumps(dict(question=words(ids), choices=list(map(str, choices)), answer=0))
        (folder / "questions.jsonl").write_text("\n".join(line(*question) for question in asked))
        # Regatta cuts the text into windows itself; the last target of each is the first token of the next.
        text = [token for window in windows for token in window[:-1]] + windows[-1][-1:]
        (folder / "text.txt").write_text(words(text))
        command = [options.regatta, "evaluate", folder, "--json", "--context", positions, "--max-windows", 0]
        command += ["--multiple-choice", folder / "questions.jsonl", "--items", folder / "items.jsonl"]
        command += ["--text", folder / "text.txt"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"regatta: {done.stderr.strip() or done.returncode}")
        items = [json.loads(line)["log_likelihoods"] for line in (folder / "items.jsonl").read_text().splitlines()]
        return items, json.loads(done.stdout)["loss"]


def by_transformers(model, asked, windows):
    import torch

    with torch.no_grad():
        items = []
        for ids, choices in asked:
            logits = model(torch.tensor([ids])).logits[0, -1]
            items.append(logits.double().log_softmax(-1)[choices].tolist())
        losses = []
        for window in torch.tensor(windows):  # one at a time: logits over a large vocabulary take much memory
            logits = model(window[None, :-1]).logits[0]
            losses.append(torch.nn.functional.cross_entropy(logits.double(), window[1:]).item())
        return items, sum(losses) / len(losses)


def compared(options, checkpoint):
    """A row of the table, and the largest difference."""
    model = read(checkpoint)
    vocab = model.config.vocab_size
    positions = min(model.config.max_position_embeddings, 1024)  # enough for models with long contexts
    asked, draw = questions(vocab, positions), random.Random(1)
    text = [draw.randrange(vocab) for _ in range(WINDOWS * positions + 1)]
    windows = [text[start : start + positions + 1] for start in range(0, WINDOWS * positions, positions)]
    ours, our_loss = by_regatta(options, checkpoint, asked, windows)
    theirs, their_loss = by_transformers(model, asked, windows)
    pairs = [(one, other) for these, those in zip(ours, theirs, strict=True) for one, other in zip(these, those, strict=True)]
    difference, of_loss = max(abs(one - other) for one, other in pairs), abs(our_loss - their_loss)
    row = [model.config.model_type, len(pairs), f"{difference:.2e}", f"{their_loss:.6f}", f"{of_loss:.2e}"]
    return row, max(difference, of_loss)


def main():
    options = arguments()
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    try:
        import transformers
    except ImportError:
        sys.exit(f"error: {sys.executable} has no transformers: {sys.executable} -m pip install torch transformers")
    if not options.regatta.is_file():
        sys.exit(f"error: expected the program at {options.regatta}: cargo build --release, or name another with --regatta")
    transformers.utils.logging.disable_progress_bar()
    rows, largest, equal = [], 0.0, True
    for checkpoint in checkpoints(options.folders):
        try:
            row, difference = compared(options, checkpoint)
        except Failed as failed:
            print(f"error: {checkpoint}: {failed}", file=sys.stderr)
            row, difference = ["–"] * 5, float("inf")
        else:
            largest = max(largest, difference)
        rows.append([checkpoint, *row])
        equal &= difference <= options.tolerance
    print(f"transformers {transformers.__version__}, float32; differences in nats\n")
    header = ["checkpoint", "family", "log-probabilities", "largest difference", "loss, transformers", "difference of losses"]
    table(header, rows)
    print(f"Largest difference: {largest:.2e} nats; {'all' if equal else 'not all'} within {options.tolerance:g}.")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
