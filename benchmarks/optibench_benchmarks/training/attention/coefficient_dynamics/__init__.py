"""Attention as coefficient dynamics (Sieber et al., 2025).

J. Sieber, A. Orvieto, M. N. Zeilinger and C. Amo Alonso, "Design Principles for Sequence Models via Coefficient
Dynamics", arXiv 2510.09389: a token's output is a linear combination of the values so far, ``y_i = sum_j alpha_ij
v_j``, and its coefficients are read out of linear systems, one for each earlier token ``j``, that its key sets off
and that nothing drives afterwards:

    h_jj = b_j k_j,   h_ij = A_i h_(i-1)j for i > j,   alpha_ij = phi(q_i . h_ij) / eta_i

with the readout map ``phi``, the evolution ``A``, the input scaling ``b`` and the normalization ``eta`` to be chosen.
"""
