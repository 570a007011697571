import numpy as np

from pullback.runtime import support


def fdtd_2d_grad(ex, ey, hz, fict):
    n = ex.shape[0]
    m = ex.shape[1]
    h = fict.shape[0]
    # ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
    n_1 = n - 1
    # ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
    n_2 = m - 1
    # for t in range(fict.shape[0]):
    ey_1 = ey.copy()
    ex_1 = ex.copy()
    hz_1 = hz.copy()

    # forward sweep
    # for t in range(fict.shape[0]):
    for t_9 in range(h):
        # ey[0, :] = fict[t]
        t_1 = fict[t_9]
        for i in range(m):
            ey_1[0, i] = t_1
        # ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        for i in range(n_1):
            for j in range(m):
                ey_1[i + 1, j] += -(0.5 * (hz_1[i + 1, j] - hz_1[i, j]))
        # ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        for i in range(n):
            for j in range(n_2):
                ex_1[i, j + 1] += -(0.5 * (hz_1[i, j + 1] - hz_1[i, j]))
        # hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
        for i in range(n_1):
            for j in range(n_2):
                t_20 = ex_1[i, j + 1] - ex_1[i, j] + ey_1[i + 1, j] - ey_1[i, j]
                hz_1[i, j] += -(0.7 * t_20)

    # reverse sweep
    # return np.sum(hz * hz) + np.sum(ex * ey)
    for i in range(n):
        for j in range(m):
            hz_i_j_3 = hz_1[i, j]
            hz_1[i, j] = hz_i_j_3 + hz_i_j_3
    fict_bar = np.empty(h)
    # for t in range(fict.shape[0]):
    for t_9 in range(h - 1, -1, -1):
        # hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
        for i in range(n_1):
            t_20_bar_before = 0.0
            for j in range(n_2):
                t_20_bar = hz_1[i, j] * -0.7
                t_19_bar = -t_20_bar
                ex_1[i, j] += t_19_bar
                ex_1[i + 1, j] += t_20_bar
                ey_1[i, j] += t_19_bar + t_20_bar_before
                t_20_bar_before = t_20_bar
            ey_1[i, m - 1] += t_20_bar_before
        # ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        for i in range(n):
            t_10_bar_before = 0.0
            for j in range(n_2):
                t_10_bar = ey_1[i, j + 1] * -0.5
                t_9_bar = -t_10_bar
                hz_1[i, j] += t_9_bar + t_10_bar_before
                t_10_bar_before = t_10_bar
            hz_1[i, m - 1] += t_10_bar_before
        # ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        for i in range(n_1):
            for j in range(m):
                t_4_bar = ex_1[i + 1, j] * -0.5
                t_3_bar = -t_4_bar
                hz_1[i, j] += t_3_bar
                hz_1[i + 1, j] += t_4_bar
        # ey[0, :] = fict[t]
        t_1_bar = 0.0
        for i in range(m):
            t_1_bar = support.radd(t_1_bar, ex_1[0, i])
            ex_1[0, i] = 0.0
        fict_bar[t_9] = t_1_bar
    return (ey_1, ex_1, hz_1, fict_bar)
