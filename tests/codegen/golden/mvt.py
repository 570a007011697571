import numpy as np

from pullback.runtime import support


def mvt_grad(x1, x2, y1, y2, A):
    n = x1.shape[0]
    t_1_bar = np.zeros(n)
    t_3_bar = np.empty(n)

    # forward and reverse sweep
    for i in range(n):
        # x2 += y2 @ A
        y2_i = y2[i]
        t = 0.0
        for j in range(n):
            # x1 += A @ y1
            A_i_j = A[i, j]
            t = support.radd(t, A_i_j * y1[j])
            # x2 += y2 @ A
            t_1_bar[j] += y2_i * A_i_j
        # return np.sum(x1 * x2)
        t_3_bar[i] = x1[i] + t
    y2_bar = np.empty(n)
    y1_bar = np.zeros(n)
    A_bar_2 = np.empty((n, n))
    for i in range(n):
        # x2 += y2 @ A
        t_3 = x2[i] + t_1_bar[i]
        # return np.sum(x1 * x2)
        t_1_bar[i] = t_3
        # x2 += y2 @ A
        y2_i_1 = y2[i]
        y2_bar_1 = 0.0
        for j in range(n):
            A_i_j_1 = A[i, j]
            t_3_bar_j = t_3_bar[j]
            y2_bar_1 = support.radd(y2_bar_1, A_i_j_1 * t_3_bar_j)
            A_bar = y2_i_1 * t_3_bar_j
            # x1 += A @ y1
            A_bar_1 = t_3 * y1[j]
            y1_bar[j] += t_3 * A_i_j_1
            A_bar_2[i, j] = A_bar + A_bar_1
        # x2 += y2 @ A
        y2_bar[i] = y2_bar_1
    return (t_1_bar, t_3_bar, y1_bar, y2_bar, A_bar_2)
