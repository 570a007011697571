import numpy as np

from pullback.runtime import support


def trisolv_grad(L, b):
    m = L.shape[0]
    p = L.shape[1]
    q = b.shape[0]
    x = np.zeros(q)

    # forward sweep
    # for i in range(n):
    for i in range(q):
        x[i] = b[i]
        # for j in range(i):
        x_6_sum = -0.0
        for j in range(i):
            # x[i] -= L[i, j] * x[j]
            x_6_sum = support.radd(x_6_sum, -(L[i, j] * x[j]))
        x[i] += x_6_sum
        x[i] = x[i] / L[i, i]
    x_2_bar = np.empty(q)

    # reverse sweep
    # return np.sum(x * x)
    for i in range(q):
        x_i = x[i]
        x_2_bar[i] = x_i + x_i
    b_bar = np.empty(q)
    L_bar = np.zeros((m, p))
    # for i in range(n):
    for i in range(q - 1, -1, -1):
        # x[i] = x[i] / L[i, i]
        t_11 = L[i, i]
        t_8_bar = x_2_bar[i]
        t_6_bar = t_8_bar * (1.0 / t_11)
        t_7_bar = t_8_bar * (-x[i] / t_11)
        L_bar[i, i] += t_7_bar
        x_2_bar[i] = t_6_bar
        # x[i] -= L[i, j] * x[j]
        t_5_bar = x_2_bar[i]
        t_3_bar = -t_5_bar
        for j in range(i):
            # x[i] -= L[i, j] * x[j]
            t_1_bar = t_3_bar * x[j]
            t_2_bar = t_3_bar * L[i, j]
            x_2_bar[j] += t_2_bar
            L_bar[i, j] += t_1_bar
        # x[i] = b[i]
        t_bar = x_2_bar[i]
        x_2_bar[i] = 0.0
        b_bar[i] = t_bar
    return (L_bar, b_bar)
