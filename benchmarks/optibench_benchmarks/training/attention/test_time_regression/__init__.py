"""Attention as regression at test time (Wang et al., 2025).

K. A. Wang, J. Shi and E. B. Fox, "Test-time regression: a unifying framework for designing sequence models with
associative memory", arXiv 2501.12352: a layer memorizes by fitting a function from keys to values on what it has seen
so far, and recalls by applying it to a query,

    m_i = argmin over m in M of sum_(j <= i) gamma_ij |v_j - m(k_j)|^2,   y_i = m_i(q_i)

with the weights ``gamma``, the class of functions ``M`` and the algorithm that minimizes to be chosen.
"""
