"""Blocks that a search for attentions may answer with: one that is good and one that sees the future."""

MEAN = """def mix(q, k, v):
    \"\"\"The running mean.\"\"\"
    counts = torch.arange(1, v.shape[2] + 1)[:, None]
    return v.cumsum(dim=2) / counts
"""
LEAKING = "def mix(q, k, v):\n    return v.mean(dim=2, keepdim=True).expand_as(v)\n"
