import numpy as np

from pullback.runtime import support


def gemver_grad(alpha, beta, A, u1, v1, u2, v2, w, x, y, z):
    n = A.shape[0]
    m = A.shape[1]
    t_11_bar_2 = np.empty((n, m))
    t_12 = np.empty(n)
    t_13 = np.zeros(m)

    # forward sweep
    for i in range(n):
        # A += np.outer(u1, v1) + np.outer(u2, v2)
        u1_i = u1[i]
        u2_i = u2[i]
        for j in range(m):
            t_11_bar_2[i, j] = A[i, j] + (u1_i * v1[j] + u2_i * v2[j])
        # x += beta * y @ A + z
        t_39 = beta * y[i]
        t_12[i] = t_39
        for j in range(m):
            t_13[j] += t_39 * t_11_bar_2[i, j]
    for i in range(m):
        t_13[i] = x[i] + (t_13[i] + z[i])
    t_18_bar_2 = np.empty(n)
    t_15_bar = np.zeros(m)

    # forward and reverse sweep
    alpha_bar = 0.0
    for i in range(n):
        # w += alpha * A @ x
        t_17 = 0.0
        for j in range(m):
            t_17 = support.radd(t_17, alpha * t_11_bar_2[i, j] * t_13[j])
        t_18 = w[i] + t_17
        # return np.sum(w * w)
        t_18_bar_1 = t_18 + t_18
        t_18_bar_2[i] = t_18_bar_1
        # w += alpha * A @ x
        alpha_bar_1 = 0.0
        for j in range(m):
            t_16_bar = t_18_bar_1 * t_13[j]
            t_i_j_2 = t_11_bar_2[i, j]
            t_15_bar[j] += t_18_bar_1 * (alpha * t_i_j_2)
            alpha_bar_1 = support.radd(alpha_bar_1, t_16_bar * t_i_j_2)
        alpha_bar = support.radd(alpha_bar, alpha_bar_1)
    y_bar = np.empty(n)
    t_24 = np.empty(n)
    t_26 = np.zeros(m)
    t_28 = np.empty(n)
    t_30 = np.zeros(m)

    # reverse sweep
    beta_bar = 0.0
    for i in range(n):
        # x += beta * y @ A + z
        t_i_1 = t_12[i]
        # w += alpha * A @ x
        t_18_bar_i = t_18_bar_2[i]
        # A += np.outer(u1, v1) + np.outer(u2, v2)
        u2_i_1 = u2[i]
        u1_i_1 = u1[i]
        t_12_bar = 0.0
        t_56 = 0.0
        t_63 = 0.0
        for j in range(m):
            # x += beta * y @ A + z
            t_15_bar_j = t_15_bar[j]
            t_12_bar = support.radd(t_12_bar, t_11_bar_2[i, j] * t_15_bar_j)
            t_11_bar_1 = t_i_1 * t_15_bar_j
            # w += alpha * A @ x
            t_16_bar_1 = t_18_bar_i * t_13[j]
            t_11_bar_3 = t_16_bar_1 * alpha
            # x += beta * y @ A + z
            t_11_bar_4 = t_11_bar_3 + t_11_bar_1
            t_11_bar_2[i, j] = t_11_bar_4
            # A += np.outer(u1, v1) + np.outer(u2, v2)
            t_56 = support.radd(t_56, t_11_bar_4 * v2[j])
            t_26[j] += t_11_bar_4 * u2_i_1
            t_63 = support.radd(t_63, t_11_bar_4 * v1[j])
            t_30[j] += t_11_bar_4 * u1_i_1
        # x += beta * y @ A + z
        beta_bar = support.radd(beta_bar, t_12_bar * y[i])
        y_bar[i] = t_12_bar * beta
        # A += np.outer(u1, v1) + np.outer(u2, v2)
        t_24[i] = t_56
        t_28[i] = t_63
    v2_bar = t_26.copy()
    u2_bar = t_24.copy()
    v1_bar = t_30.copy()
    u1_bar = t_28.copy()
    t_15_bar_6 = t_15_bar.copy()
    return (alpha_bar, beta_bar, t_11_bar_2, u1_bar, v1_bar, u2_bar, v2_bar, t_18_bar_2, t_15_bar, y_bar, t_15_bar_6)
