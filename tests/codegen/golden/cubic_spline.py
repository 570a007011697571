import numpy as np


def cubic_spline_grad(y):
    p = y.shape[0]
    d = np.zeros(p)
    # for i in range(1, n - 1):
    t = p - 1
    b = np.empty(p)

    # forward sweep
    # b = np.full(n, 4.0)
    for i in range(p):
        b[i] = 4.0
    # for i in range(1, n - 1):
    for i in range(1, t):
        d[i] = 3.0 * (y[i + 1] - 2.0 * y[i] + y[i - 1])
    # for i in range(1, n):
    for i in range(1, p):
        # w = a[i] / b[i - 1]
        w = 1.0 / b[i - 1]
        # b[i] = b[i] - w * c[i - 1]
        b[i] += -w
        # d[i] = d[i] - w * d[i - 1]
        d[i] += -(w * d[i - 1])
    m = np.zeros(p)
    # m[n - 1] = d[n - 1] / b[n - 1]
    t_23 = b[t]
    m[t] = d[t] / t_23
    # for i in range(n - 2, -1, -1):
    for i in range(t - 1, -1, -1):
        # m[i] = (d[i] - c[i] * m[i + 1]) / b[i]
        m[i] = (d[i] - m[i + 1]) / b[i]

    # reverse sweep
    # return np.sum(m * m)
    for i in range(p):
        m_i = m[i]
        m[i] = m_i + m_i
    d_1_bar = np.empty(p)
    # for i in range(n - 2, -1, -1):
    for i in range(t):
        # m[i] = (d[i] - c[i] * m[i + 1]) / b[i]
        t_32_bar = m[i]
        t_11 = b[i]
        m[i] = 0.0
        t_30_bar = t_32_bar * (1.0 / t_11)
        t_28_bar = -t_30_bar
        m[i + 1] += t_28_bar
        d_1_bar[i] = t_30_bar
    # m[n - 1] = d[n - 1] / b[n - 1]
    t_24_bar = m[t]
    t_22_bar = t_24_bar * (1.0 / t_23)
    d_1_bar[t] = t_22_bar
    # for i in range(1, n):
    for i in range(p - 1, 0, -1):
        # w = a[i] / b[i - 1]
        w_1 = 1.0 / b[i - 1]
        # d[i] = d[i] - w * d[i - 1]
        t_21_bar = d_1_bar[i]
        d_1_bar[i] = 0.0
        t_20_bar = -t_21_bar
        t_19_bar = t_20_bar * w_1
        d_1_bar[i - 1] += t_19_bar
        d_1_bar[i] += t_21_bar
    y_bar = np.empty(p)
    # for i in range(1, n - 1):
    t_4_bar_before = 0.0
    t_9_bar_before = 0.0
    t_9_bar_before_2 = 0.0
    for i in range(1, t):
        # d[i] = 3.0 * (y[i + 1] - 2.0 * y[i] + y[i - 1])
        t_10_bar = d_1_bar[i]
        d_1_bar[i] = 0.0
        t_9_bar = t_10_bar * 3.0
        t_4_bar = t_9_bar * -2.0
        y_bar[i - 1] = t_9_bar + t_4_bar_before + t_9_bar_before_2
        t_4_bar_before, t_9_bar_before, t_9_bar_before_2 = t_4_bar, t_9_bar, t_9_bar_before
    y_bar[p - 2] = 0.0
    y_bar[p - 1] = 0.0
    # for i in range(1, n - 1):
    if 1 < t:
        y_bar[p - 2] += t_4_bar_before + t_9_bar_before_2
        y_bar[p - 1] += t_9_bar_before
    return (y_bar,)
