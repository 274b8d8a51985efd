"""GPT-2, Llama and Qwen3 in plain PyTorch, with the shapes of `regatta bench`.

Each model returns logits and every block's output, the last one after the final norm. Llama and Qwen3 use transformers' parameter
names, so that a checkpoint loads without a mapping.
"""

import torch
import torch.nn.functional as F
from torch import nn

SHAPES = {
    "tiny": dict(layers=4, width=128, heads=4, context=128, batch=16, vocab=4096),
    "small": dict(layers=6, width=256, heads=8, context=256, batch=8, vocab=4096),
    "medium": dict(layers=8, width=512, heads=8, context=512, batch=4, vocab=8192),
    "gpt2-small": dict(layers=12, width=768, heads=12, context=1024, batch=8, vocab=50257),
}
FAMILIES = {
    "gpt2": {},
    "llama": dict(epsilon=1e-5, qk_norm=False, tied=False),
    "qwen3": dict(epsilon=1e-6, qk_norm=True, tied=True),
}


def sizes(family, shape):
    """A shape with its key-value heads and MLP width: half the heads and 8/3 of the width for Llama and Qwen3."""
    shape = SHAPES[shape]
    width, heads = shape["width"], shape["heads"]
    if family == "gpt2":
        return shape | dict(kv_heads=heads, mlp_width=4 * width)
    return shape | dict(kv_heads=(heads + 1) // 2, mlp_width=-(-8 * width // 48) * 16)  # up to a multiple of 16


def fresh(family, layers, width, heads, kv_heads, mlp_width, context, vocab):
    """A new model. Matrices start as GPT-2's do in every family."""
    if family == "gpt2":
        model = Gpt2(layers, width, heads, context, vocab)
    else:
        model = Llama(layers, width, heads, kv_heads, width // heads, mlp_width, context, vocab, **FAMILIES[family])
    for weight in model.parameters():
        if weight.dim() == 2:
            nn.init.normal_(weight, std=0.02)
    return model


def split(x, heads):
    """(b, t, heads * dims) -> (b, heads, t, dims)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class Gpt2Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        q, k, v = (split(y, self.heads) for y in self.c_attn(x).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(mixed.transpose(1, 2).flatten(2))


class Gpt2Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), Gpt2Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt2(nn.Module):
    """Learned positions, pre-norm blocks, the output matrix tied to the embedding."""

    def __init__(self, layers, width, heads, context, vocab):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.h = nn.ModuleList([Gpt2Block(width, heads) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(width)

    def forward(self, ids):  # (b, t)
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        hidden = []
        for block in self.h:
            x = block(x)
            hidden.append(x)
        hidden[-1] = self.ln_f(x)
        return F.linear(hidden[-1], self.wte.weight), hidden  # (b, t, v)


def rotated(x, cos, sin):
    """Rotary positions; dim i is paired with dim i + dims/2, as in transformers. (b, heads, t, dims)"""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class LlamaAttention(nn.Module):
    """Grouped-query attention. `enable_gqa` is faster on CPU than repeating keys and values."""

    def __init__(self, width, heads, kv_heads, head_dim, epsilon, qk_norm):
        super().__init__()
        self.heads, self.kv_heads = heads, kv_heads
        self.q_proj = nn.Linear(width, heads * head_dim, bias=False)
        self.k_proj = nn.Linear(width, kv_heads * head_dim, bias=False)
        self.v_proj = nn.Linear(width, kv_heads * head_dim, bias=False)
        self.o_proj = nn.Linear(heads * head_dim, width, bias=False)
        self.q_norm, self.k_norm = (nn.RMSNorm(head_dim, epsilon) if qk_norm else nn.Identity() for _ in range(2))

    def forward(self, x, cos, sin):
        q, k, v = split(self.q_proj(x), self.heads), split(self.k_proj(x), self.kv_heads), split(self.v_proj(x), self.kv_heads)
        q, k = (rotated(y, cos, sin) for y in (self.q_norm(q), self.k_norm(k)))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.kv_heads < self.heads)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class SwiGlu(nn.Module):
    """Gate and up are separate: the halves of a fused product are not contiguous, and a step takes up to 2% longer on CPU."""

    def __init__(self, width, mlp_width):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(width, mlp_width, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(mlp_width, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaBlock(nn.Module):
    def __init__(self, width, heads, kv_heads, head_dim, mlp_width, epsilon, qk_norm):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(width, epsilon)
        self.self_attn = LlamaAttention(width, heads, kv_heads, head_dim, epsilon, qk_norm)
        self.post_attention_layernorm = nn.RMSNorm(width, epsilon)
        self.mlp = SwiGlu(width, mlp_width)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """Rotary positions, RMSNorm, grouped queries, SwiGLU, no biases. With `qk_norm` it is Qwen3."""

    def __init__(self, layers, width, heads, kv_heads, head_dim, mlp_width, context, vocab, epsilon, qk_norm, tied, theta=1e4):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab, width)
        sizes = (width, heads, kv_heads, head_dim, mlp_width, epsilon, qk_norm)
        self.layers = nn.ModuleList([LlamaBlock(*sizes) for _ in range(layers)])
        self.norm = nn.RMSNorm(width, epsilon)
        self.lm_head = None if tied else nn.Linear(width, vocab, bias=False)
        rates = theta ** (-torch.arange(0, head_dim, 2) / head_dim)  # (dims / 2)
        angles = torch.outer(torch.arange(context), rates).repeat(1, 2)  # (t, dims)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, ids):  # (b, t)
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        x = self.embed_tokens(ids)
        hidden = []
        for block in self.layers:
            x = block(x, cos, sin)
            hidden.append(x)
        hidden[-1] = self.norm(x)
        output = self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight
        return F.linear(hidden[-1], output), hidden  # (b, t, v)
