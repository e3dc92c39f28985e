"""Attention as a structured matrix (Hwang et al., 2024).

S. Hwang, A. Lahoti, T. Dao and A. Gu, "Hydra: Bidirectional State Space Models Through Generalized Matrix Mixers",
arXiv 2407.09941: a sequence mixer multiplies the values by a matrix, ``y = M(x) v``, of a structured class (dense,
Toeplitz, low-rank, semiseparable, ...). It is *sequence-aligned* if the entry ``M_ij`` is a function of what stands
at ``i`` and ``j`` (and between them), which lets it depend on the data and take any length. A causal one is lower
triangular.
"""
