import numpy as np

from pullback.runtime import support


def gemm_grad(alpha, beta, C, A, B):
    n = C.shape[0]
    m = C.shape[1]
    q = A.shape[1]
    t = np.empty((n, q))
    t_3_bar_2 = np.empty((n, m))

    # forward sweep
    # C[:] = alpha * A @ B + beta * C
    for i in range(n):
        for j in range(q):
            t[i, j] = alpha * A[i, j]
        for j in range(m):
            t_3_bar_2[i, j] = beta * C[i, j]
    support.add_matmul(t, B, t_3_bar_2)
    C_bar = np.empty((n, m))

    # reverse sweep
    beta_bar = 0.0
    for i in range(n):
        beta_bar_1 = 0.0
        for j in range(m):
            # return np.sum(C * C)
            t_i_j = t_3_bar_2[i, j]
            t_3_bar_1 = t_i_j + t_i_j
            t_3_bar_2[i, j] = t_3_bar_1
            # C[:] = alpha * A @ B + beta * C
            beta_bar_1 = support.radd(beta_bar_1, t_3_bar_1 * C[i, j])
            C_bar[i, j] = t_3_bar_1 * beta
        beta_bar = support.radd(beta_bar, beta_bar_1)
    A_bar = np.empty((n, q))
    support.matmul(t_3_bar_2, B.T, A_bar)
    B_bar = np.empty((q, m))
    support.matmul(t.T, t_3_bar_2, B_bar)
    alpha_bar = 0.0
    for i in range(n):
        alpha_bar_1 = 0.0
        for j in range(q):
            t_bar_i_j = A_bar[i, j]
            alpha_bar_1 = support.radd(alpha_bar_1, t_bar_i_j * A[i, j])
            A_bar[i, j] = t_bar_i_j * alpha
        alpha_bar = support.radd(alpha_bar, alpha_bar_1)
    return (alpha_bar, beta_bar, C_bar, A_bar, B_bar)
