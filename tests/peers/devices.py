"""Training on one device, Regatta beside PyTorch: GPT-2 in four sizes, float32 and bfloat16, and small trials side by side.

Prints two Markdown tables on stdout and what it runs on stderr. Without PyTorch, or where it cannot use the device, its columns stay
empty. A measurement that fails is named on stderr and its cells say so; the exit status is then 1. Give it a quiet machine.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Failed, Programs, arguments, count, machine, rotated, spread, table, times, words

SHAPES = ["tiny", "small", "medium", "gpt2-small"]
PRECISIONS = ["f32", "bf16"]
# The shape tiny of `regatta bench`, as a study of four trials.
TRIALS = 4
TOKENS_PER_STEP = 16 * 128
STUDY = """
name: side-by-side
seeds: [{seeds}]
model: {{family: gpt2, layers: 4, width: 128, heads: 4, context: 128}}
data: {{synthetic: {{vocab_size: 4096, train_tokens: 1000000, validation_tokens: 4096, test_tokens: 4096}}}}
train: {{steps: {steps}, batch_size: 16, lr: 1.0e-3}}
evaluate: {{every: {steps}, max_windows: 2}}
arms: {{baseline: []}}
"""


class Measured:
    """Measurements of one cell of the table, until one fails."""

    def __init__(self, run, failures):
        self.run, self.failures, self.all, self.failed = run, failures, [], False

    def once_more(self):
        if self.run is None or self.failed:
            return
        try:
            self.all.append(self.run())
        except Failed as failed:
            self.failed = True
            self.failures.append(str(failed))
            print(f"error: {failed}", file=sys.stderr, flush=True)

    def column(self, key):
        return [] if self.failed else [measured[key] for measured in self.all if key in measured]

    def cell(self, values, show):
        return "failed" if self.failed else spread(values, show) if values else "–"


def kinds(programs, options, torch, shape, precision):
    """What is measured, by column."""
    steps = ["--steps", options.steps, "--shape", shape]
    peer = [*steps, *["--autocast"] * (precision == "bf16")]
    runs = {"regatta": lambda: programs.regatta(*steps, "--precision", precision)}
    runs["eager"] = (lambda: programs.peer(*peer)) if torch else None
    runs["compiled"] = (lambda: programs.peer(*peer, "--compile")) if torch and not options.no_compile else None
    return runs


def sizes(programs, options, torch, failures):
    rows = []
    for shape in options.shapes:
        for precision in options.precisions:
            cells = {kind: Measured(run, failures) for kind, run in kinds(programs, options, torch, shape, precision).items()}
            for repetition in range(options.repetitions):
                for kind in rotated(list(cells), repetition):
                    cells[kind].once_more()
            tokens = {kind: cell.column("tokens_per_second") for kind, cell in cells.items()}
            ratio = lambda kind: cells[kind].cell([ours / theirs for ours, theirs in zip(tokens["regatta"], tokens[kind])], times)
            speed = [cell.cell(tokens[kind], count) for kind, cell in cells.items()]
            memory = [cell.cell(cell.column("peak_device_mib") or cell.column("peak_rss_mib"), count) for cell in cells.values()]
            rows.append([f"{shape}, {precision}", *speed, ratio("eager"), ratio("compiled"), *memory])
    header = ["tokens per second", "regatta", "eager", "compiled", "regatta / eager", "regatta / compiled"]
    table([*header, "regatta, MiB", "eager, MiB", "compiled, MiB"], rows)


def trained(programs, options, folder, jobs):
    """Seconds of a whole `regatta run` of four trials, so many at a time."""
    study = folder / "study.yaml"
    study.write_text(STUDY.format(seeds=", ".join(map(str, range(TRIALS))), steps=options.jobs_steps))
    command = [programs.binary, "run", study, "--out", folder / f"{jobs}-{time.monotonic_ns()}"]
    command = [*map(str, command), "--jobs", str(jobs), "--device", options.device]
    print("+", " ".join(command[1:]), file=sys.stderr, flush=True)
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"RAYON_NUM_THREADS": str(options.threads)})
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise Failed(f"{' '.join(command[1:])}: {last}")
    return time.perf_counter() - started


def side_by_side(programs, options, failures):
    """Trials of `tiny`, a few at a time. Starting, evaluating and writing are in the time, as they are for whoever waits for it."""
    with tempfile.TemporaryDirectory() as folder:
        run = lambda jobs: lambda: dict(seconds=trained(programs, options, Path(folder), jobs))
        cells = {jobs: Measured(run(jobs), failures) for jobs in options.jobs}
        for repetition in range(options.repetitions):
            for jobs in rotated(options.jobs, repetition):
                cells[jobs].once_more()
    total = TRIALS * options.jobs_steps * TOKENS_PER_STEP
    rates = {jobs: [total / seconds for seconds in cell.column("seconds")] for jobs, cell in cells.items()}
    alone = statistics.median(rates[options.jobs[0]]) if rates[options.jobs[0]] else None
    rows = []
    for jobs, cell in cells.items():
        gain = [rate / alone for rate in rates[jobs]] if alone else []
        seconds = cell.cell(cell.column("seconds"), lambda value: f"{value:.1f}")
        rows.append([f"--jobs {jobs}", cell.cell(rates[jobs], count), cell.cell(gain, times), seconds])
    over = f"over --jobs {options.jobs[0]}"
    table([f"{TRIALS} trials of tiny, {options.jobs_steps} steps each", "tokens per second, in all", over, "seconds"], rows)


def main():
    parser = arguments(__doc__)
    parser.add_argument("--device", default="candle", help="in Regatta's words: cpu, candle, cuda:N or metal (default: candle)")
    parser.add_argument("--shapes", type=words(SHAPES), default=SHAPES, help="comma-separated (default: all four)")
    parser.add_argument("--precisions", type=words(PRECISIONS), default=PRECISIONS, help="comma-separated (default: f32,bf16)")
    parser.add_argument("--repetitions", type=int, default=3, help="of every measurement (default: 3)")
    parser.add_argument("--steps", type=int, default=10, help="steps of each measurement (default: 10)")
    numbers = lambda text: [int(number) for number in text.split(",") if int(number) > 0]
    parser.add_argument("--jobs", type=numbers, default=[1, 2, 4], help="trials at a time (default: 1,2,4)")
    parser.add_argument("--jobs-steps", type=int, default=300, help="steps of each of their trials (default: 300)")
    parser.add_argument("--no-compile", action="store_true", help="leave out PyTorch with a compiled model")
    options = parser.parse_args()
    programs, failures = Programs(options), []
    machine(options.threads)
    reason = programs.without_torch()
    print(f"Device {options.device}. " + (f"No PyTorch: {reason}." if reason else f"PyTorch on {programs.torch_device}.") + "\n")
    sizes(programs, options, torch=reason is None, failures=failures)
    side_by_side(programs, options, failures)
    if failures:
        sys.exit(f"error: {len(failures)} of the measurements failed")


if __name__ == "__main__":
    main()
