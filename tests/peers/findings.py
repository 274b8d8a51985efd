"""Tables of docs/findings.md from the folders of finished studies: means over seeds with 95% t intervals.

    python tests/peers/findings.py runs          # claims, condensation, rounding, capacity: those that are there

Differences are paired by seed with the baseline. Needs numpy and scipy.
"""

import csv
import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy import stats


def interval(values):
    """Mean and half the width of its 95% t interval."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return f"{values.mean():.3f} (one)"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return f"{values.mean():.3f} ± {half:.3f}"


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def diagnoses(study):
    """(arm and point, seed) -> the lines of diagnostics.jsonl, of trials that are done."""
    found = defaultdict(dict)
    for file in sorted(study.glob("trials/**/diagnostics.jsonl")):
        trial = file.parent
        if json.loads((trial / "status.json").read_text())["state"] == "done":
            name = "/".join(trial.relative_to(study / "trials").parts[:-1])
            found[name][trial.name] = [json.loads(line) for line in file.read_text().splitlines()]
    return found


def within(line, entry):
    return line["hidden_states"][entry]["within"]["mean"]


def layers(study):
    """Mean cosine within a window, layer by layer, before and after training."""
    for when, at in [("first weights", 0), ("end", -1)]:
        print(f"### {study.name}: mean cosine within a window, {when}\n")
        rows, width = [], 0
        for name, seeds in diagnoses(study).items():
            entries = len(next(iter(seeds.values()))[at]["hidden_states"])
            width = max(width, entries)
            cells = [interval([within(lines[at], entry) for lines in seeds.values()]) for entry in range(entries)]
            rows.append([name, len(seeds), *cells])
        table(["arm and point", "seeds", *[f"layer {entry}" for entry in range(width)]],
              [row + [""] * (2 + width - len(row)) for row in rows])
    print(f"### {study.name}: last hidden state along training\n")
    found = diagnoses(study)
    steps = sorted({line["step"] for seeds in found.values() for lines in seeds.values() for line in lines})
    rows = []
    for name, seeds in found.items():
        cells = [interval([within(line, -1) for lines in seeds.values() for line in lines if line["step"] == step]) for step in steps]
        rows.append([name, *cells])
    table(["arm and point", *[f"step {step}" for step in steps]], rows)


def results(study):
    with open(study / "results.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["state"] == "done"]


def paired(study, columns):
    """Each column of results.csv: the baseline's mean, and every arm's paired difference from it."""
    found = defaultdict(dict)
    for row in results(study):
        arm, _, point = row["arm"].partition(" ")
        found[(point, arm)][row["seed"]] = row
    points = sorted({point for point, _ in found})
    for column in columns:
        rows = []
        for point in points:
            base = found.get((point, "baseline"), {})
            for (at, arm), seeds in found.items():
                if at != point:
                    continue
                if arm == "baseline":
                    rows.append([point, arm, interval([float(row[column]) for row in seeds.values()]), ""])
                else:
                    shared = [seed for seed in seeds if seed in base]
                    gaps = [float(seeds[seed][column]) - float(base[seed][column]) for seed in shared]
                    mean = np.mean([float(row[column]) for row in seeds.values()])
                    rows.append([point, arm, f"{mean:.3f}", interval(gaps)])
        print(f"### {study.name}: {column}\n")
        table(["point", "arm", "mean", "difference"], rows)


def rounding(study):
    """What rounding adds to the loss, and how that differs from the baseline's."""
    rows = results(study)
    columns = [column for column in rows[0] if column.startswith("quantised_") and column.endswith("_loss")]
    by_arm = defaultdict(dict)
    for row in rows:
        by_arm[row["arm"]][row["seed"]] = row
    lines = []
    for column in columns:
        added = lambda row: float(row[column]) - float(row["test_loss"])
        cells = [interval([added(row) for row in by_arm["baseline"].values()])]
        for arm, seeds in by_arm.items():
            if arm != "baseline":
                cells.append(interval([added(row) - added(by_arm["baseline"][seed]) for seed, row in seeds.items()]))
        lines.append([column.removeprefix("quantised_").removesuffix("_loss"), *cells])
    print("### Loss added by rounding: the baseline's, and each arm's difference from it\n")
    table(["bits and scale", *by_arm], lines)


def agreement(study):
    """Spearman's correlations over all trials between measures of the last hidden state."""
    rows = results(study)
    names = ["mean_cosine_diagnosed_last", "effective_rank_diagnosed_last", "isoscore_last", "partition_isotropy_last",
             "uniformity_last", "participation_ratio_last", "stable_rank_last", "top_variance_share_last", "test_loss"]
    names = [name for name in names if rows[0].get(name)]
    values = {name: [float(row[name]) for row in rows] for name in names}
    print(f"### {study.name}: rank correlations over {len(rows)} trials\n")
    table(["", *names], [[one, *[f"{stats.spearmanr(values[one], values[other]).statistic:+.2f}" for other in names]] for one in names])


def main():
    runs = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    for name, parts in {
        "claims": [layers, agreement],
        "condensation": [layers],
        "rounding": [layers, lambda s: paired(s, ["test_loss", "mean_cosine_within_last"]), rounding, agreement],
        "capacity": [lambda s: paired(s, ["test_loss", "capacity_bits_per_parameter", "capacity_value_accuracy"])],
    }.items():
        if (runs / name / "results.csv").exists():
            for part in parts:
                part(runs / name)


if __name__ == "__main__":
    main()
