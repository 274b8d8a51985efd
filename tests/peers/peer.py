"""The same work as `regatta bench`, in PyTorch: one small model and the same penalties, written as their papers write them.

A step is forward, cross-entropy over the vocabulary, the penalty averaged over all blocks' outputs with weight 0.1, backward,
clip by global norm 1, fused AdamW; float32, random tokens, on the CPU or the device that is named. Pairwise penalties see each
sequence by itself, those of moments all tokens of the batch. Prints one line of JSON with the keys of `regatta bench --json`.
"""

import argparse
import json
import math
import re
import resource
import sys
import time
from pathlib import Path

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:
    sys.exit(f"error: {sys.executable} has no PyTorch: {sys.executable} -m pip install torch numpy")

from models import FAMILIES, SHAPES, Llama, fresh, sizes


def cosines(z, epsilon):  # (g, n, d) -> (g, n, n)
    u = z / (z.norm(dim=-1, keepdim=True) + epsilon)
    return u @ u.transpose(-1, -2)


def half_turns(z, epsilon=0.01, clamp=0.25):
    c = cosines(z, epsilon)
    bounded = c + (c.clamp(clamp - 1, 1 - clamp) - c).detach()  # straight-through: the slope is that at the bound
    return torch.arccos(bounded) / math.pi


def itself(z):
    """Where a point meets itself. (n, n)"""
    return torch.eye(z.shape[1], dtype=torch.bool, device=z.device)


def mean_over_pairs(x):
    n = x.shape[1]
    return x.masked_fill(itself(x), 0).sum((1, 2)).mean() / (n * (n - 1))


def dispersion(z, epsilon=0.01):
    exponents = (epsilon - half_turns(z)).masked_fill(itself(z), -math.inf)
    return (exponents.flatten(1).logsumexp(1) - math.log(z.shape[1] * (z.shape[1] - 1))).mean()


def l2_repel(z, epsilon=0.01):
    exponents = epsilon - torch.cdist(z, z).square()
    return (exponents.flatten(1).logsumexp(1) - 2 * math.log(z.shape[1])).mean() + 0.1 * z.square().mean()


def decorrelation(z):
    return mean_over_pairs(cosines(z - z.mean(-1, keepdim=True), 0).square())


def orthogonalization(z, margin=0.5):
    return mean_over_pairs((margin - half_turns(z)).relu().square())


def perplexity_entropy(z, epsilon=0.01):
    p = (-torch.cdist(z, z).square()).masked_fill(itself(z), -math.inf).softmax(-1)
    return (p * torch.log2(p + epsilon)).sum(-1).mean()


def infonce(z, t=2.0):
    return torch.stack([(-t * torch.pdist(u).square()).exp().mean().log() for u in F.normalize(z, dim=-1)]).mean()


def negatives(z, temperature=0.5):
    exponents = (cosines(z, 0) / temperature).masked_fill(itself(z), -math.inf)
    return (exponents.logsumexp(-1) - math.log(z.shape[1] - 1)).mean()


def covariance(z):
    x = z.flatten(0, -2)
    x = x - x.mean(0)
    return x.T @ x / (len(x) - 1)


def vicreg(z):
    c, spread = covariance(z), torch.sqrt(z.flatten(0, -2).var(0) + 1e-4)
    off = (c.square().sum() - c.diagonal().square().sum()) / len(c)
    return 25 * (1 - spread).relu().mean() + off


def whitening(z):
    c = covariance(z)
    return (c - torch.eye(len(c), device=c.device)).square().sum() / len(c)


def sigreg(z, slices=256, knots=17, t_max=3.0):
    x = z.flatten(0, -2)
    directions = F.normalize(torch.randn(x.shape[1], slices, device=x.device), dim=0)
    t = torch.linspace(0, t_max, knots, device=x.device)
    normal = torch.exp(-t.square() / 2)
    weights = normal * 2 * t_max / (knots - 1)
    weights[0], weights[-1] = weights[0] / 2, weights[-1] / 2
    angles = (x @ directions)[:, :, None] * t  # (n, k, knots)
    gap = (angles.cos().mean(0) - normal).square() + angles.sin().mean(0).square()
    return len(x) * (gap @ weights).mean()


PAIRWISE = [dispersion, l2_repel, decorrelation, orthogonalization, perplexity_entropy, infonce, negatives]
PENALTIES = {penalty.__name__: penalty for penalty in [*PAIRWISE, vicreg, sigreg, whitening]}


def resident_mib():
    return round(int(re.search(r"VmRSS:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024)


def peak_rss_mib():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def timed(work):
    """Milliseconds, median and best, of at least three runs and of as many as begin within two seconds, after one more."""
    work()
    times, begin = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < 2:
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return sorted(times)[len(times) // 2], min(times)


def wait(device):
    """Until the device has done what it was given: its operations go on after the calls that asked for them."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def training(options):
    device, shape = torch.device(options.device), sizes(options.family, options.shape)
    context, batch, vocab = shape["context"], shape["batch"], shape["vocab"]
    model = fresh(options.family, **{name: size for name, size in shape.items() if name != "batch"}).to(device)
    forward, penalty = torch.compile(model) if options.compile else model, PENALTIES.get(options.regularizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    times = []
    for step in range(options.warmup + options.steps):
        ids = torch.randint(0, vocab, (batch, context + 1))
        start = time.perf_counter()
        ids = ids.to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=options.autocast):
            logits, hidden = forward(ids[:, :-1])
        loss = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
        if penalty:
            loss = loss + 0.1 * torch.stack([penalty(h.float()) for h in hidden]).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        wait(device)
        if step >= options.warmup:
            times.append(time.perf_counter() - start)
    median = sorted(times)[len(times) // 2]
    speed = dict(tokens_per_second=round(batch * context / median, 1), step_ms=round(1e3 * median, 2))
    speed |= dict(best_step_ms=round(1e3 * min(times), 2), peak_rss_mib=peak_rss_mib())
    parameters = sum(weight.numel() for weight in model.parameters())
    return dict(family=options.family, shape=options.shape, **speed, **shape, parameters=parameters)


def cloud(options):
    *groups, count, dims = map(int, options.cloud.split("x"))
    points = torch.randn(*(groups or [1]), count, dims, requires_grad=True)
    before, penalty = resident_mib(), PENALTIES[options.regularizer]
    median, best = timed(lambda: torch.autograd.grad(penalty(points), points))
    memory = dict(cloud_mib=round(points.numel() * 4 / 2**20, 1), resident_before_mib=before, peak_rss_mib=peak_rss_mib())
    speed = dict(value_and_gradient_ms=round(median, 2), best_value_and_gradient_ms=round(best, 2))
    return dict(cloud=list(points.shape)) | speed | memory


def product(device, size=2048):
    left, right, out = (torch.randn(size, size, device=device) for _ in range(3))

    def work():
        torch.mm(left, right, out=out)
        wait(device)

    median, best = (round(2 * size**3 / ms / 1e6, 1) for ms in timed(work))
    return dict(size=size, product_gflops=median, best_product_gflops=best)


def check(folder):
    """Largest differences of logits and hidden states from the `expected.safetensors` of a Llama or Qwen3 checkpoint."""
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    model = Llama(
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_dim=config["head_dim"],
        mlp_width=config["intermediate_size"],
        context=config["max_position_embeddings"],
        vocab=config["vocab_size"],
        epsilon=config["rms_norm_eps"],
        qk_norm=config["model_type"] == "qwen3",
        tied=config["tie_word_embeddings"],
        theta=config["rope_parameters"]["rope_theta"],
    )
    weights = {name.removeprefix("model."): weight.float() for name, weight in load_file(folder / "model.safetensors").items()}
    model.load_state_dict(weights)  # strict: fails on tensors that the module lacks, such as biases
    expected = load_file(folder / "expected.safetensors")
    with torch.no_grad():
        logits, hidden = model(expected["input_ids"])
    found = dict(logits=logits) | {f"hidden_states.{entry}": states for entry, states in enumerate(hidden, 1)}
    return {name: (found[name] - expected[name]).abs().max().item() for name in found}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="gpt2", choices=FAMILIES, help="default: gpt2")
    parser.add_argument("--shape", default="small", choices=SHAPES, help="size of model and batch (default: small)")
    parser.add_argument("--regularizer", default="none", choices=["none", *PENALTIES], help="default: none")
    parser.add_argument("--steps", type=int, default=10, help="steps that are measured (default: 10)")
    parser.add_argument("--warmup", type=int, default=3, help="steps before them that are not (default: 3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: as PyTorch chooses")
    device = "of training and product, in PyTorch's words: cpu, cuda:0, mps (default: cpu)"
    parser.add_argument("--device", default="cpu", help=device)
    parser.add_argument("--compile", action="store_true", help="compile the model; the penalty stays as it is")
    parser.add_argument("--autocast", action="store_true", help="the model's forward under autocast to bfloat16")
    parser.add_argument("--cloud", metavar="NxD", help="instead of training, value and gradient of one penalty on random points")
    parser.add_argument("--product", action="store_true", help="instead of training, the rate of a 2048 x 2048 product")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="instead of training, compare with its expected.safetensors")
    options = parser.parse_args()
    if options.cloud and options.regularizer == "none":
        parser.error("--cloud needs --regularizer")
    if options.cloud and not re.fullmatch(r"([1-9]\d*x){1,2}[1-9]\d*", options.cloud):
        parser.error(f"--cloud: expected NxD or GxNxD, as in 4096x256, found {options.cloud}")
    if options.cloud and options.device != "cpu":
        parser.error("--cloud is measured on the CPU")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.check:
        differences = check(options.check)
        print(json.dumps(dict(checkpoint=str(options.check)) | differences))
        sys.exit(0 if max(differences.values()) <= 1e-4 else 1)
    measured = product(torch.device(options.device)) if options.product else cloud(options) if options.cloud else training(options)
    name = f"pytorch {torch.__version__}" + " compiled" * options.compile + " autocast" * options.autocast
    print(json.dumps(dict(peer=name, device=options.device, threads=options.threads, regularizer=options.regularizer) | measured))


if __name__ == "__main__":
    main()
