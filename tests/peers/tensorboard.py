#!/usr/bin/env python3
"""Compares an export of `regatta export --tensorboard` with the records that it was made from, through TensorBoard's own reader.

    cargo build --release
    python3 -m pip install tensorboard
    python3 tests/peers/tensorboard.py                     # runs a small study, cuts it off, goes on with it, exports twice
    python3 tests/peers/tensorboard.py --run runs/NAME     # exports a finished study into a temporary folder

Every scalar must be the record's number rounded to float32, at the record's step. Exits with status 1 if any is not.
"""

import argparse
import json
import math
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.pop(0)  # this folder, where `tensorboard` would be this very file

STUDY = """\
name: exported
seeds: [0, 1]
model: {layers: 2, width: 16, heads: 2, context: 16}
data: {synthetic: {vocab_size: 32, classes: 4, topics: 2, train_tokens: 8000, validation_tokens: 600, test_tokens: 600}}
train: {steps: 2000, batch_size: 8}
evaluate: {every: 100, diagnostics: {every: 500}}
arms:
  baseline: []
  dispersion: [{regularizer: {dispersion: {temperature: 0.5}}, weight: 0.1}]
"""


def float32(number):
    """A number as TensorBoard keeps it; words of `metrics.jsonl` (NaN, inf) are numbers too."""
    return struct.unpack("<f", struct.pack("<f", float(number)))[0]


def lines(path):
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def expected(trial):
    """Curves of a trial by tag, from its records: pairs of step and value."""
    found = {}
    for record in lines(trial / "metrics.jsonl"):
        values = {f"train/{name}": record[name] for name in ("loss", "penalty", "grad_norm", "lr", "tokens_per_second")}
        values |= {f"terms/{name}": value for name, value in record["terms"].items()}
        if "spike" in record:
            values["train/spike"] = record["spike"]
        for tag, value in values.items():
            found.setdefault(tag, []).append((record["step"], float32(value)))
    for record in lines(trial / "validation.jsonl"):
        found.setdefault("validation/loss", []).append((record["step"], float32(record["loss"])))
    for record in lines(trial / "diagnostics.jsonl"):
        for entry, cloud in enumerate(record["hidden_states"]):
            values = {"mean_cosine": cloud["all"]["mean_cosine"], "mean_cosine_within": cloud["within"]["mean"]}
            values |= {"effective_rank": cloud["all"]["effective_rank"], "mean_norm": cloud["all"]["mean_norm"]}
            for name, value in values.items():
                if value is not None:
                    found.setdefault(f"{name}/{entry}", []).append((record["step"], float32(value)))
    return found


def same(ours, theirs):
    if len(ours) != len(theirs):
        return False
    return all(a[0] == b[0] and (a[1] == b[1] or math.isnan(a[1]) and math.isnan(b[1])) for a, b in zip(ours, theirs))


def compare(run, trial, accumulator):
    """How many scalars agree; exits where one does not."""
    count = 0
    tags = accumulator.Tags()["scalars"]
    for tag, curve in expected(trial).items():
        read = [(event.step, event.value) for event in accumulator.Scalars(tag)] if tag in tags else []
        if not same(curve, read):
            sys.exit(f"{run}: {tag}: expected {len(curve)} scalars {curve[:3]}..., read {len(read)} {read[:3]}...")
        times = [event.wall_time for event in accumulator.Scalars(tag)]
        if times != sorted(times):
            sys.exit(f"{run}: {tag}: wall times go back")
        count += len(curve)
    evaluation = trial / "evaluation.json"
    if json.loads((trial / "status.json").read_text())["state"] == "done":
        loss = accumulator.Scalars("final/test_loss")
        measured = json.loads(evaluation.read_text())["loss"]
        if [event.value for event in loss] != [float32(measured)]:
            sys.exit(f"{run}: final/test_loss: expected {measured}, read {loss}")
        count += 1
    return count


def study(program, folder):
    """A study that is cut off by a kill and exported, then goes on and is exported again, with readers that stay open."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder / "study.yaml").write_text(STUDY)
    out, board = folder / "out", folder / "board"
    begin = [program, "run", "study.yaml", "--out", "out", "--jobs", "1", "--checkpoint-every", "200steps"]
    running = subprocess.Popen(begin, cwd=folder, stdout=subprocess.DEVNULL)
    first = out / "trials/baseline/seed-0"
    while running.poll() is None and len(lines(first / "metrics.jsonl")) < 700:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    time.sleep(2)  # until its workers have seen it
    print(f"cut off after {len(lines(first / 'metrics.jsonl'))} steps of baseline/seed-0")
    export(program, out, board)
    watching = {}
    for run in runs(board):
        watching[run] = EventAccumulator(str(board / run), size_guidance={"scalars": 0})
        watching[run].Reload()
        print(f"{run}: {compare(run, out / 'trials' / run, watching[run])} scalars while it was cut off")
    finish = subprocess.run(begin, cwd=folder, capture_output=True, text=True)
    if finish.returncode != 0:
        sys.exit(finish.stderr)
    export(program, out, board)
    for run, accumulator in watching.items():
        accumulator.Reload()
        print(f"{run}: {compare(run, out / 'trials' / run, accumulator)} scalars in the reader that stayed open")
    return out, board


def export(program, out, board):
    subprocess.run([program, "export", str(out), "--tensorboard", "--out", str(board)], check=True, stdout=subprocess.DEVNULL)


def runs(board):
    return sorted({os.path.relpath(path.parent, board) for path in board.glob("**/*tfevents*")})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regatta", default="target/release/regatta", help="the program")
    parser.add_argument("--run", type=Path, help="the folder of a study that was run")
    arguments = parser.parse_args()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    program = os.path.abspath(arguments.regatta)
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.run:
            out, board = arguments.run, Path(scratch) / "board"
            export(program, out, board)
        else:
            out, board = study(program, Path(scratch))
        total = 0
        for run in runs(board):
            accumulator = EventAccumulator(str(board / run), size_guidance={"scalars": 0, "tensors": 0})
            accumulator.Reload()
            total += compare(run, out / "trials" / run, accumulator)
            settings = accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data
            if settings.plugin_name != "hparams":
                sys.exit(f"{run}: expected settings for hparams, found {settings}")
        print(f"{len(runs(board))} runs, {total} scalars: all as recorded")


if __name__ == "__main__":
    main()
