import numpy as np


def time_warping_grad(a, b):
    p = a.shape[0]
    q = b.shape[0]
    # D = np.full((n + 1, m + 1), np.inf)
    t = p + 1
    t_1 = q + 1
    D = np.empty((t, t_1))

    # forward sweep
    # D = np.full((n + 1, m + 1), np.inf)
    for i in range(t):
        for j in range(t_1):
            D[i, j] = np.inf
    D[0, 0] = 0.0
    # for i in range(1, n + 1):
    for i in range(1, t):
        # for j in range(1, m + 1):
        for j in range(1, t_1):
            cost = (a[i - 1] - b[j - 1]) ** 2
            # D[i, j] = cost + min(D[i - 1, j], D[i, j - 1], D[i - 1, j - 1])
            t_7 = D[i - 1, j]
            t_8 = D[i, j - 1]
            t_9 = D[i - 1, j - 1]
            t_12 = t_7 if np.isnan(t_8) else np.minimum(t_7, t_8)
            t_15 = t_12 if np.isnan(t_9) else np.minimum(t_12, t_9)
            D[i, j] = cost + t_15
    D_2_bar = np.zeros((t, t_1))
    # for i in range(1, n + 1):
    D_2_bar[p, q] += 1.0
    a_bar = np.zeros(p)
    b_bar = np.zeros(q)

    # reverse sweep
    # for i in range(1, n + 1):
    for i in range(t - 1, 0, -1):
        # for j in range(1, m + 1):
        for j in range(t_1 - 1, 0, -1):
            # D[i, j] = cost + min(D[i - 1, j], D[i, j - 1], D[i - 1, j - 1])
            t_23 = D[i - 1, j]
            t_24 = D[i, j - 1]
            t_25 = D[i - 1, j - 1]
            t_27 = np.isnan(t_24)
            t_28 = t_23 if t_27 else np.minimum(t_23, t_24)
            t_29 = np.isnan(t_25)
            t_16_bar = D_2_bar[i, j]
            # cost = (a[i - 1] - b[j - 1]) ** 2
            t_22 = a[i - 1] - b[j - 1]
            # D[i, j] = cost + min(D[i - 1, j], D[i, j - 1], D[i - 1, j - 1])
            D_2_bar[i, j] = 0.0
            t_12_bar = t_16_bar if t_29 else 0.0
            t_13_bar = 0.0 if t_29 else t_16_bar
            t_31 = t_28 == t_25
            t_33 = 0.5 if t_31 else (1.0 if t_28 < t_25 else 0.0)
            t_12_bar_1 = (t_13_bar * t_33 if t_13_bar != 0 else t_13_bar)
            t_37 = 0.5 if t_31 else (1.0 if t_25 < t_28 else 0.0)
            t_9_bar = (t_13_bar * t_37 if t_13_bar != 0 else t_13_bar)
            t_12_bar_2 = t_12_bar + t_12_bar_1
            t_7_bar = t_12_bar_2 if t_27 else 0.0
            t_10_bar = 0.0 if t_27 else t_12_bar_2
            t_39 = t_23 == t_24
            t_41 = 0.5 if t_39 else (1.0 if t_23 < t_24 else 0.0)
            t_7_bar_1 = (t_10_bar * t_41 if t_10_bar != 0 else t_10_bar)
            t_45 = 0.5 if t_39 else (1.0 if t_24 < t_23 else 0.0)
            t_8_bar = (t_10_bar * t_45 if t_10_bar != 0 else t_10_bar)
            t_7_bar_2 = t_7_bar + t_7_bar_1
            D_2_bar[i - 1, j - 1] += t_9_bar
            D_2_bar[i, j - 1] += t_8_bar
            D_2_bar[i - 1, j] += t_7_bar_2
            # cost = (a[i - 1] - b[j - 1]) ** 2
            t_6_bar = (t_16_bar * (2.0 * t_22) if t_16_bar != 0 else t_16_bar)
            t_5_bar = -t_6_bar
            b_bar[j - 1] += t_5_bar
            a_bar[i - 1] += t_6_bar
    return (a_bar, b_bar)
