"""The decoder's attention block and perceptron.

Shapes: B images, N tokens, M tokens that are attended to, C channels.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.models.dinov2 import LayerScale


class Perceptron(nn.Module):
    """Layer norm, then two linear layers with a GELU between them."""

    def __init__(self, channels: int, inner: int, out: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.proj1 = nn.Linear(channels, inner)
        self.proj2 = nn.Linear(inner, out)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., channels) -> (..., out)."""
        return self.proj2(F.gelu(self.proj1(self.norm(x))))


class AttentionBlock(nn.Module):
    """Attention of tokens to a context, each with its own norm, then a perceptron, both residual.

    scaled: whether both branches have a learned gain (layer scale).
    """

    def __init__(self, channels: int, heads: int, scaled: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attnx = nn.LayerNorm(channels)
        self.norm_attnctx = nn.LayerNorm(channels)
        self.q = nn.Linear(channels, channels, bias=False)
        self.kv = nn.Linear(channels, 2 * channels, bias=False)
        self.out = nn.Linear(channels, channels, bias=False)
        self.mlp = Perceptron(channels, 4 * channels, channels)
        self.ls1: nn.Module = LayerScale(channels) if scaled else nn.Identity()
        self.ls2: nn.Module = LayerScale(channels) if scaled else nn.Identity()

    def forward(self, x: Tensor, context: Tensor, positions: Tensor | None = None) -> Tensor:
        """x (B, N, C), context (B, M, C) -> (B, N, C); positions (1, N, C) are added to the queries."""
        query = self.q(self.norm_attnx(x))
        if positions is not None:
            query = query + positions
        key, value = self.kv(self.norm_attnctx(context)).chunk(2, -1)
        q, k, v = (self._split(part) for part in (query, key, value))
        mixed = F.scaled_dot_product_attention(q, k, v)
        x = x + self.ls1(self.out(mixed.transpose(1, 2).flatten(2)))
        return x + self.ls2(self.mlp(x))

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, heads, N, C / heads)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)
