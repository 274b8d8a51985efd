"""How the cost of Regatta's penalties and steps grows: with points, dims, slices, layers and the size of the model.

Runs `regatta bench` over a range of each, fits an exponent by least squares to the logarithms of the upper half of the range,
and prints it in a Markdown table beside what the operations counted on paper say. Below the expected, something that grows
slower still weighs in; above it, something that should not grow does, or a cache has been left.
"""

import math
import statistics
import sys

from common import MOMENTS, PAIRWISE, Failed, Programs, arguments, machine, milliseconds, table, words

LABELS = {label: fragment for label, fragment, _ in PAIRWISE + MOMENTS}
PAIRS = {label for label, *_ in PAIRWISE}
DEFAULTS = ["dispersion", "infonce", "sigreg", "vicreg", "whitening"]
DOUBLING = lambda first, last: [first << step for step in range(int(math.log2(last // first)) + 1)]

POINTS = DOUBLING(256, 32768)
DIMS = DOUBLING(32, 2048)
SLICES = DOUBLING(64, 4096)
LAYERS = DOUBLING(1, 32)
WIDTHS = DOUBLING(64, 1024)


def exponent(xs, ys):
    """Slope of log y over log x, by least squares over the upper half of the range; none where a time is not above 0."""
    upper = [(math.log(x), math.log(y)) for x, y in list(zip(xs, ys))[len(xs) // 2 :] if y > 0]
    if len(upper) < 2:
        return "–"
    slope, _ = statistics.linear_regression(*zip(*upper))
    return f"{slope:.2f}"


class Curves:
    def __init__(self, programs, options):
        self.programs, self.options = programs, options
        self.labels = [label for label in LABELS if label.split()[0] in options.regularizers]

    def range(self, values):
        return values[:4] if self.options.quick else values

    def bench(self, *arguments):
        """Time of value and gradient, median over the repetitions."""
        runs = [self.programs.regatta(*arguments) for _ in range(self.options.repetitions)]
        return statistics.median(run["value_and_gradient_ms"] for run in runs)

    def over_clouds(self, title, values, labels, shape, fragment, expected):
        """A row for each label: the time of value and gradient at each value."""
        rows = []
        for label in labels:
            named = lambda value: fragment(label, value)
            ms = [self.bench("--cloud", shape(value), "--regularizer", named(value)) for value in values]
            rows.append([label, *map(milliseconds, ms), exponent(values, ms), expected(label)])
        print(f"## {title}\n")
        table(["value and gradient, ms", *values, "exponent", "expected"], rows)

    def points(self):
        # Squared correlations of all pairs are the square of a (d, d) matrix: linear in points.
        expected = lambda label: "2" if label in PAIRS - {"dispersion decorrelation"} else "1"
        own = lambda label, _: LABELS[label]
        self.over_clouds("Points, of 256 dims", self.range(POINTS), self.labels, lambda n: f"{n}x256", own, expected)

    def dims(self):
        # Products over pairs 2n²d, slices 2ndk beside nk sines, covariance 2nd², its roots and logarithms d³.
        known = dict.fromkeys(["vicreg", "whitening", "dispersion decorrelation"], "2") | {"sigreg": "0 to 1"}
        known |= dict.fromkeys(["whitening gaussian_kl", "whitening zca_distance"], "2 to 3")
        expected = lambda label: known.get(label, "1")
        own = lambda label, _: LABELS[label]
        self.over_clouds("Dims, of 2048 points", self.range(DIMS), self.labels, lambda d: f"2048x{d}", own, expected)

    def slices(self):
        sliced = lambda label, slices: f"sigreg: {{slices: {slices}}}"
        labels = [label for label in self.labels if label == "sigreg"]
        self.over_clouds("Slices, of 2048 x 256 points", self.range(SLICES), labels, lambda _: "2048x256", sliced, lambda _: "1")

    def layers(self):
        values = self.range(LAYERS)
        step = lambda layers: self.programs.regatta("--shape", "tiny", "--layers", layers)["step_ms"]
        steps = [statistics.median(step(layers) for _ in range(self.options.repetitions)) for layers in values]
        # Embedding and output cost the same at any depth, so the cost of a layer is what is added to that of one.
        blocks = [ms - steps[0] for ms in steps]
        rows = [["a step", *map(milliseconds, steps), "", ""]]
        slope = exponent([layers - 1 or 1 for layers in values], blocks)
        rows.append(["a step less one of 1 block", *map(milliseconds, blocks), slope, "1"])
        for name in (name for name in DEFAULTS if name in self.options.regularizers):
            cloud = "16x128x128" if name in PAIRS else "1x2048x128"  # each sequence of the batch by itself, or all its tokens
            ms = [self.bench("--cloud", cloud, "--clouds", layers, "--regularizer", name) for layers in values]
            rows.append([f"{name} at all blocks", *map(milliseconds, ms), exponent(values, ms), "1"])
        print("## Layers, of the tiny shape\n")
        table(["ms", *values, "exponent", "expected"], rows)

    def model(self):
        rows, operations, ms = [], [], []
        for width in self.range(WIDTHS):
            runs = [self.programs.regatta("--shape", "tiny", "--width", width) for _ in range(self.options.repetitions)]
            found, tokens = runs[0], runs[0]["batch"] * runs[0]["context"]
            operations.append(tokens * found["flops_per_token"])
            ms.append(statistics.median(run["step_ms"] for run in runs))
            gflops = operations[-1] / ms[-1] / 1e6
            rows.append([width, f"{found['parameters']:,}", f"{operations[-1] / 1e9:.1f}", milliseconds(ms[-1]), f"{gflops:.0f}"])
        print("## Size of the model: width of the tiny shape\n")
        table(["width", "parameters", "billion operations a step", "ms a step", "GFLOP/s"], rows)
        print(f"Exponent of ms over operations {exponent(operations, ms)}, expected 1.\n")


def main():
    parser = arguments(__doc__)
    curves = ["points", "dims", "slices", "layers", "model"]
    parser.add_argument("--curves", type=words(curves), default=curves, help=f"comma-separated (default: {','.join(curves)})")
    parser.add_argument("--regularizers", type=words(DEFAULTS), default=DEFAULTS, help="comma-separated (default: all five)")
    parser.add_argument("--repetitions", type=int, default=1, help="of every measurement, whose median is taken (default: 1)")
    parser.add_argument("--quick", action="store_true", help="only the first four values of each range")
    options = parser.parse_args()
    drawn = Curves(Programs(options), options)
    machine(options.threads)
    try:
        for curve in options.curves:
            getattr(drawn, curve)()
    except Failed as failed:
        sys.exit(f"error: {failed}")


if __name__ == "__main__":
    main()
