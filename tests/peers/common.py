"""What compare.py and curves.py share: running both programs, pairing what they measured, writing Markdown."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# Every regularizer of one view with its variants and forms: a label, what `regatta bench --regularizer` takes, what peer.py calls it.
PAIRWISE = [
    ("dispersion", "dispersion", "dispersion"),
    ("dispersion l2_repel", "dispersion: {variant: l2_repel}", "l2_repel"),
    ("dispersion decorrelation", "dispersion: {variant: decorrelation}", "decorrelation"),
    ("dispersion orthogonalization", "dispersion: {variant: orthogonalization}", "orthogonalization"),
    ("dispersion perplexity_entropy", "dispersion: {variant: perplexity_entropy}", "perplexity_entropy"),
    ("infonce", "infonce", "infonce"),
    ("infonce negatives", "infonce: {form: negatives}", "negatives"),
    ("cosreg", "cosreg", None),
    ("koleo", "koleo", None),
]
MOMENTS = [
    ("sigreg", "sigreg", "sigreg"),
    ("vicreg", "vicreg", "vicreg"),
    ("whitening", "whitening", "whitening"),
    ("whitening gaussian_kl", "whitening: {form: gaussian_kl}", None),
    ("whitening zca_distance", "whitening: {form: zca_distance}", None),
    ("coding_rate", "coding_rate", None),
    ("istar", "istar", None),
    ("von_neumann_entropy", "von_neumann_entropy", None),
]


class Failed(Exception):
    """A program ended without a measurement."""


class Programs:
    """The two programs under comparison, each run as a process of its own."""

    def __init__(self, options):
        self.binary, self.python, self.threads, self.raw = options.regatta, options.python, options.threads, options.raw
        self.device = getattr(options, "device", "cpu")  # in Regatta's words
        if not Path(self.binary).is_file():
            sys.exit(f"error: expected the program at {self.binary}: cargo build --release, or name another with --regatta")

    @property
    def torch_device(self):
        """The device in PyTorch's words."""
        return {"candle": "cpu", "metal": "mps"}.get(self.device, self.device)

    def without_torch(self):
        """Why PyTorch cannot be measured on the device, or None."""
        make = f"import torch; torch.zeros(1, device='{self.torch_device}')"
        try:
            found = subprocess.run([self.python, "-c", make], capture_output=True, text=True)
        except OSError as error:
            return f"--python {self.python}: {error.strerror}"
        if found.returncode == 0:
            return None
        if "No module named 'torch'" in found.stderr:
            install = f"{self.python} -m pip install torch numpy"
            return f"{self.python} has no PyTorch: {install}, or name another interpreter with --python"
        lines = found.stderr.strip().splitlines() or [f"exit status {found.returncode}"]
        reason = next((line for line in reversed(lines) if line.partition(":")[0].endswith("Error")), lines[-1])
        return f"the PyTorch of {self.python} cannot use {self.torch_device}: {reason.split('. ')[0]}"

    def need_torch(self):
        if reason := self.without_torch():
            sys.exit(f"error: {reason}")

    def regatta(self, *arguments):
        """What `regatta bench` measured: of a step, with a penalty of all points as they are, since that is what the peer's sees."""
        is_of_a_step = "--regularizer" in arguments and "none" not in arguments and "--cloud" not in arguments
        at = ["--at", "max_points: none, scale: none"] * is_of_a_step
        device = [] if self.device == "cpu" or {"--cloud", "--product"} & set(arguments) else ["--device", self.device]
        return self._measured([self.binary, "bench", "--json", *map(str, arguments), *at, *device])

    def peer(self, *arguments):
        """What peer.py measured."""
        device = [] if self.torch_device == "cpu" else ["--device", self.torch_device]
        return self._measured([self.python, str(HERE / "peer.py"), "--threads", str(self.threads), *device, *map(str, arguments)])

    def _measured(self, command):
        print("+", " ".join(command[1:]), file=sys.stderr, flush=True)
        environment = os.environ | {"RAYON_NUM_THREADS": str(self.threads)}
        try:
            with GpuMemory(self.device) as memory:
                done = subprocess.run(command, capture_output=True, text=True, env=environment)
        except OSError as error:
            sys.exit(f"error: {command[0]}: {error.strerror}")
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise Failed(f"{' '.join(command[1:])}: {last}")
        measured = json.loads(done.stdout.strip().splitlines()[-1]) | memory.measured()
        if self.raw:
            with open(self.raw, "a") as file:
                file.write(json.dumps(measured) + "\n")
        return measured


class GpuMemory:
    """The most memory of an NVIDIA GPU that is used while a program runs, above what was used before: the program's context and
    what its allocator keeps are in it. Asked of the driver every 20 ms, for both programs alike; no one else may use the GPU."""

    def __init__(self, device):
        self.samples, self.process = [], None
        if not device.startswith("cuda"):
            return
        index = int(device.partition(":")[2] or 0)
        shown = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        chosen = shown[index] if index < len(shown) else str(index)
        self.command = ["nvidia-smi", f"--id={chosen}", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--loop-ms=20"]
        try:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:
            pass  # no nvidia-smi: memory is not measured

    def __enter__(self):
        if self.process:
            self.samples.append(self.process.stdout.readline())  # before the program starts
            self.reader = threading.Thread(target=lambda: self.samples.extend(self.process.stdout))
            self.reader.start()
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.reader.join()
            self.process.wait()

    def measured(self):
        used = [int(line) for line in self.samples if line.strip().isdigit()]
        return dict(peak_device_mib=max(used) - used[0]) if used else {}


def arguments(description):
    """A parser with what all scripts understand."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    program, cores = ROOT / "target/release/regatta", len(os.sched_getaffinity(0))
    parser.add_argument("--regatta", default=program, metavar="PATH", help="the program (default: target/release/regatta)")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="one with PyTorch (default: this one)")
    parser.add_argument("--threads", type=int, default=cores, help=f"threads of both programs (default: all, {cores} here)")
    parser.add_argument("--raw", metavar="FILE", help="also append each measurement to FILE, a line of JSON each")
    return parser


def words(known):
    """A parser of comma-separated words, each of them known."""

    def read(text):
        found = text.split(",")
        for word in found:
            if word not in known:
                raise argparse.ArgumentTypeError(f"unknown word `{word}`, expected some of {', '.join(known)}")
        return found

    return read


def rotated(items, by):
    """So that each program is first, second and last equally often."""
    by %= len(items)
    return items[by:] + items[:by]


def spread(values, show):
    """`median (min–max)`, or the only value."""
    values = list(values)
    middle = show(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({show(min(values))}–{show(max(values))})"


def count(value):
    return f"{value:,.0f}"


def times(value):
    return f"{value:.2f}×"


def percent(value):
    return f"{100 * value:.1f}%"


def milliseconds(value):
    return f"{value:,.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def table(header, rows):
    """A Markdown table; the first column is of words, the others of numbers."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    print("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines), end="\n\n", flush=True)


def machine(threads):
    """One line: what the numbers were taken on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux, or not x86: the name above has to do
    print(f"{model}, {os.cpu_count()} cores, {threads} threads, {platform.system()} {platform.release()}\n", flush=True)
