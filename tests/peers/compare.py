"""Regatta against PyTorch on this machine, in one run: the programs take turns, the order rotates, ratios are paired.

  compare.py            speed: tokens per second, ratios, share of what the machine's matrix products allow, memory
  compare.py --costs    the share of a step that each regularizer adds, here and there
  compare.py --clouds   time and memory of the pairwise penalties on clouds of up to 32768 x 256

Prints Markdown on stdout and what it runs on stderr. Give it a quiet machine.
"""

import itertools
import statistics
import sys

from common import MOMENTS, PAIRWISE, Failed, Programs, arguments, count, machine, milliseconds, percent, rotated, spread, table
from common import times, words

SHAPES = ["tiny", "small", "medium"]  # gpt2-small as well where it is named: minutes a step on a CPU
FAMILIES = ["gpt2", "llama", "qwen3"]
REGULARIZERS = ["none", "dispersion", "infonce", "sigreg", "vicreg", "whitening"]


def model(family, shape):
    """Arguments that name the model to both programs, whose default family is GPT-2."""
    return ["--shape", shape] + ["--family", family] * (family != "gpt2")


def same_model(family, shape, ours, theirs):
    """Fails if the two programs trained models of different sizes."""
    if ours["parameters"] != theirs["parameters"]:
        counts = f"Regatta trains {ours['parameters']} parameters, PyTorch {theirs['parameters']}"
        raise Failed(f"{family} {shape}: {counts}; expected the same model")


def speed(programs, options):
    kinds = {"regatta": programs.regatta, "eager": programs.peer}
    ratios = [("regatta", "eager")]
    if options.compile:
        kinds["compiled"] = lambda *arguments: programs.peer(*arguments, "--compile")
        ratios.append(("regatta", "compiled"))
    if options.bf16:
        kinds["regatta bf16"] = lambda *arguments: programs.regatta(*arguments, "--precision", "bf16")
        kinds["autocast"] = lambda *arguments: programs.peer(*arguments, "--autocast")
        ratios.append(("regatta bf16", "autocast"))
    for family, shape in itertools.product(options.families, options.shapes or SHAPES):
        found = {(regularizer, kind): [] for regularizer in options.regularizers for kind in kinds}
        rates = {"regatta": [], "torch": []}
        for repetition in range(options.repetitions):
            if options.device == "cpu":  # the kernels' rate is no measure of a device
                rates["regatta"].append(programs.regatta("--product")["product_gflops"])
            rates["torch"].append(programs.peer("--product")["product_gflops"])
            for regularizer in options.regularizers:
                for kind in rotated(list(kinds), repetition):
                    found[regularizer, kind].append(kinds[kind](*model(family, shape), "--regularizer", regularizer))
                same_model(family, shape, found[regularizer, "regatta"][-1], found[regularizer, "eager"][-1])

        first = found[options.regularizers[0], "regatta"][0]
        operations = first["flops_per_token"]
        limit = 1e9 * max(map(statistics.median, filter(None, rates.values()))) / operations
        print(f"## {family}, {shape}\n")
        ours, theirs = (spread(rates[kind], count) if rates[kind] else "none" for kind in ["regatta", "torch"])
        print(
            f"Products of 2048 x 2048: Regatta {ours} GFLOP/s, PyTorch {theirs}. At the larger, {operations / 1e6:.1f} million "
            f"operations a token allow {count(limit)} tokens per second; those of the penalty are not counted.\n"
        )
        column = lambda regularizer, kind, key: [measured[key] for measured in found[regularizer, kind]]
        rows = []
        for regularizer in options.regularizers:
            tokens = {kind: column(regularizer, kind, "tokens_per_second") for kind in kinds}
            paired = [[ours / theirs for ours, theirs in zip(tokens[one], tokens[other])] for one, other in ratios]
            rows.append([regularizer, *(spread(tokens[kind], count) for kind in kinds), *(spread(one, times) for one in paired)])
        header = ["tokens per second", *kinds, *(f"{one} / {other}" for one, other in ratios)]
        table(header, rows)

        rows = []
        for regularizer in options.regularizers:
            shares = [statistics.median(column(regularizer, kind, "tokens_per_second")) / limit for kind in kinds]
            on_gpu = "peak_device_mib" in found[regularizer, "regatta"][0]
            memory = [spread(column(regularizer, kind, "peak_device_mib" if on_gpu else "peak_rss_mib"), count) for kind in kinds]
            rows.append([regularizer, *map(percent, shares), *memory])
        header = ["share of the limit; peak memory", *(f"{kind}, share" for kind in kinds), *(f"{kind}, MiB" for kind in kinds)]
        table(header, rows)


def costs(programs, options):
    known = [entry for entry in PAIRWISE + MOMENTS if entry[0].split()[0] in options.regularizers]
    for family, shape in itertools.product(options.families, options.shapes or ["tiny", "small"]):
        rows = []
        for label, fragment, theirs in known:
            sides = [("regatta", programs.regatta, fragment)] + [("eager", programs.peer, theirs)] * bool(theirs)
            share = {"regatta": [], "eager": []}
            for repetition in range(options.repetitions):
                for side, run, name in sides:
                    pair = rotated([("none", "none"), ("with", name)], repetition)
                    ms = {which: run(*model(family, shape), "--regularizer", named)["step_ms"] for which, named in pair}
                    share[side].append((ms["with"] - ms["none"]) / ms["none"])
            rows.append([label, *(spread(shares, percent) if shares else "–" for shares in share.values())])
        print(f"## {family}, {shape}\n")
        table(["what a step costs more, in shares of a step without", "regatta", "eager"], rows)


def clouds(programs, options):
    print("Value and gradient of one penalty; memory is the peak above the cloud itself.\n")
    known = [entry for entry in PAIRWISE if entry[0].split()[0] in options.regularizers]
    rows = []
    for label, fragment, theirs in known:
        for points in options.points:
            shape, ours, reference = f"{points}x256", [], []
            with_reference = bool(theirs) and (points <= 8192 or options.reference_at_full_size)
            for repetition in range(options.repetitions):
                for side in rotated(["regatta", "reference"], repetition):
                    if side == "regatta":
                        ours.append(programs.regatta("--cloud", shape, "--regularizer", fragment, "--products"))
                    elif with_reference:
                        try:
                            reference.append(programs.peer("--cloud", shape, "--regularizer", theirs))
                        except Failed as failed:
                            print(f"error: {failed}", file=sys.stderr)
                            with_reference = False
            memory = lambda sizes: spread(sizes, count) if sizes else "–"
            above = lambda runs: memory([run["peak_rss_mib"] - run["resident_before_mib"] for run in runs])
            time = lambda runs: spread([run["value_and_gradient_ms"] for run in runs], milliseconds) if runs else "–"
            products = spread([run["products_ms"] for run in ours], milliseconds)
            over = spread([run["value_and_gradient_ms"] / run["products_ms"] for run in ours], times)
            peak = memory([run["peak_rss_mib"] for run in ours])
            rows.append([label, shape, time(ours), products, over, time(reference), above(ours), peak, above(reference)])
    header = ["penalty", "cloud", "regatta, ms", "its two products, ms", "penalty / products", "reference, ms"]
    table([*header, "regatta, MiB above", "regatta, MiB in all", "reference, MiB above"], rows)


def main():
    parser = arguments(__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--costs", action="store_true", help="the share of a step that each regularizer adds")
    mode.add_argument("--clouds", action="store_true", help="time and memory of the pairwise penalties on large clouds")
    parser.add_argument("--families", type=words(FAMILIES), default=["gpt2"], help="comma-separated (default: gpt2)")
    shapes = "comma-separated, of tiny, small, medium, gpt2-small (default: the first three; with --costs tiny,small)"
    parser.add_argument("--shapes", type=words([*SHAPES, "gpt2-small"]), help=shapes)
    parser.add_argument("--regularizers", type=words(REGULARIZERS), default=REGULARIZERS, help="comma-separated (default: all)")
    parser.add_argument("--repetitions", type=int, help="of every measurement (default: 5; with --clouds, which repeat, 1)")
    device = "cpu (the kernels), candle, cuda:N or metal; PyTorch gets the same one (default: cpu)"
    parser.add_argument("--device", default="cpu", help=device)
    parser.add_argument("--compile", action="store_true", help="also measure PyTorch with a compiled model")
    parser.add_argument("--bf16", action="store_true", help="also measure both with products in bfloat16")
    points = lambda text: [int(number) for number in text.split(",")]
    parser.add_argument("--points", type=points, default=[4096, 8192, 32768], help="with --clouds (default: 4096,8192,32768)")
    full = "with --clouds, PyTorch above 8192 points too: at 32768 it takes more than 8 GiB"
    parser.add_argument("--reference-at-full-size", action="store_true", help=full)
    options = parser.parse_args()
    options.repetitions = options.repetitions or (1 if options.clouds else 5)
    if options.clouds and options.device != "cpu":
        parser.error("--clouds are measured on the CPU")
    programs = Programs(options)
    programs.need_torch()
    machine(options.threads)
    try:
        (costs if options.costs else clouds if options.clouds else speed)(programs, options)
    except Failed as failed:
        sys.exit(f"error: {failed}")


if __name__ == "__main__":
    main()
