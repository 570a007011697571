import numpy as np


def overwritten_grad(a, x):
    n = a.shape[0]
    # for i in range(1, len(a)):
    t_6 = np.maximum(n - 1, 0)
    t_1_saved = np.empty(t_6)
    t_5_saved = np.empty(t_6)
    a_1 = a.copy()

    # forward sweep
    # for i in range(1, len(a)):
    for i in range(1, n):
        # a[0] = np.sin(a[0] * a[i]) + x
        t_1 = a_1[0]
        # for i in range(1, len(a)):
        t_1_saved[i - 1] = t_1
        # a[0] = np.sin(a[0] * a[i]) + x
        t_5 = np.sin(t_1 * a_1[i]) + x
        # for i in range(1, len(a)):
        t_5_saved[i - 1] = t_5
        # a[0] = np.sin(a[0] * a[i]) + x
        a_1[0] = t_5
    a_bar = np.zeros(n)

    # reverse sweep
    # for i in range(1, len(a)):
    x_bar = 0.0
    for i in range(n - 1, 0, -1):
        # a[0] = np.sin(a[0] * a[i]) + x
        t_10 = t_1_saved[i - 1]
        t_12 = t_5_saved[i - 1]
        t_13 = a_1[i]
        # total += a[0] * a[0]
        t_5_bar_2 = t_12 + t_12
        # a[0] = np.sin(a[0] * a[i]) + x
        t_5_bar_3 = a_bar[0]
        a_bar[0] = 0.0
        t_5_bar_4 = t_5_bar_2 + t_5_bar_3
        x_bar = x_bar + t_5_bar_4
        t_3_bar = t_5_bar_4 * np.cos(t_10 * t_13)
        t_1_bar = t_3_bar * t_13
        t_2_bar = t_3_bar * t_10
        a_bar[i] += t_2_bar
        a_bar[0] += t_1_bar
    return (a_bar, x_bar)
