import numpy as np


def lennard_jones_grad(x):
    m = x.shape[0]
    p = x.shape[1]
    x_bar = np.zeros((m, p))

    # reverse sweep
    # for i in range(n):
    for i in range(m):
        # for j in range(i + 1, n):
        for j in range(i + 1, m):
            # d = x[i, k] - x[j, k]
            d_3 = x[i, 0] - x[j, 0]
            # r2 += d * d
            r2 = 0.3 + d_3 * d_3
            # d = x[i, k] - x[j, k]
            d_4 = x[i, 1] - x[j, 1]
            # r2 += d * d
            r2_4 = r2 + d_4 * d_4
            # d = x[i, k] - x[j, k]
            d_5 = x[i, 2] - x[j, 2]
            # r2 += d * d
            r2_5 = r2_4 + d_5 * d_5
            # if r2 < 4.0:
            if r2_5 < 4.0:
                # s6 = 1.0 / (r2 * r2 * r2)
                t_27 = r2_5 * r2_5
                s6_1 = 1.0 / (t_27 * r2_5)
                # energy += 4.0 * (s6 * s6 - s6)
                s6_bar_1 = 4.0 * s6_1
                s6_bar_3 = s6_bar_1 - 4.0
                s6_bar_4 = s6_bar_3 + s6_bar_1
                # s6 = 1.0 / (r2 * r2 * r2)
                t_8_bar = s6_bar_4 * -(s6_1 * s6_1)
                t_7_bar = t_8_bar * r2_5
                r2_3_bar_1 = t_8_bar * t_27
                r2_3_bar_2 = t_7_bar * r2_5
                r2_3_bar_4 = r2_3_bar_1 + r2_3_bar_2
                r2_3_bar = r2_3_bar_4 + r2_3_bar_2
            else:
                r2_3_bar = 0.0
            # r2 += d * d
            d_2_bar = r2_3_bar * d_5
            d_2_bar_2 = d_2_bar + d_2_bar
            # d = x[i, k] - x[j, k]
            t_16_bar = -d_2_bar_2
            x_bar[j, 2] += t_16_bar
            x_bar[i, 2] += d_2_bar_2
            # r2 += d * d
            d_1_bar = r2_3_bar * d_4
            d_1_bar_2 = d_1_bar + d_1_bar
            # d = x[i, k] - x[j, k]
            t_13_bar = -d_1_bar_2
            x_bar[j, 1] += t_13_bar
            x_bar[i, 1] += d_1_bar_2
            # r2 += d * d
            d_bar = r2_3_bar * d_3
            d_bar_2 = d_bar + d_bar
            # d = x[i, k] - x[j, k]
            t_4_bar = -d_bar_2
            x_bar[j, 0] += t_4_bar
            x_bar[i, 0] += d_bar_2
    return (x_bar,)
