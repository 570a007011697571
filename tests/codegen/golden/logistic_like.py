import numpy as np


def logistic_like_grad(x, steps):
    n = x.shape[0]
    s = x[0] * 0.1 + 0.5
    r = 3.0 + 0.1 * x[1]
    # for i in range(steps):
    t_4 = np.maximum(steps, 0)
    s_2_saved = np.empty(t_4)

    # forward sweep
    for i in range(steps):
        s_2_saved[i] = s
        s = r * s * (1.0 - s)
    # for i in range(steps):
    t_12 = np.floor_divide(t_4, 4)

    # reverse sweep
    # for i in range(steps):
    r_bar = 0.0
    s_bar = 1.0
    for k in range(t_12):
        t_14 = steps - k * 4
        s_1 = s_2_saved[t_14 - 1]
        # s = r * s * (1.0 - s)
        t_16 = r * s_1
        t_17 = 1.0 - s_1
        t_19 = t_17 * r - t_16
        # for i in range(steps):
        s_5 = s_2_saved[t_14 - 2]
        # s = r * s * (1.0 - s)
        t_21 = r * s_5
        t_22 = 1.0 - s_5
        t_25 = t_19 * (t_22 * r - t_21)
        # for i in range(steps):
        s_6 = s_2_saved[t_14 - 3]
        # s = r * s * (1.0 - s)
        t_27 = r * s_6
        t_28 = 1.0 - s_6
        t_31 = t_25 * (t_28 * r - t_27)
        t_32 = t_14 - 4
        # for i in range(steps):
        s_7 = s_2_saved[t_32]
        # s = r * s * (1.0 - s)
        t_33 = r * s_7
        t_34 = 1.0 - s_7
        t_37 = t_31 * (t_34 * r - t_33)
        t_46 = abs(t_17) + abs(r) + abs(t_16) + abs(t_22) + abs(t_21)
        t_54 = t_46 + abs(t_28) + abs(t_27) + abs(t_34) + abs(t_33)
        t_61 = (t_54 <= 100000.0) & (abs(t_37) >= 1e-40) & (abs(s_bar) <= 1e+260)
        # for i in range(steps):
        if t_61:
            # s = r * s * (1.0 - s)
            t_5_bar_1 = s_bar * t_17
            r_bar_5 = t_5_bar_1 * s_1
            t_5_bar_2 = s_bar * t_19 * t_22
            r_bar_6 = t_5_bar_2 * s_5
            t_5_bar_3 = s_bar * t_25 * t_28
            r_bar_7 = t_5_bar_3 * s_6
            t_5_bar_4 = s_bar * t_31 * t_34
            r_bar_8 = t_5_bar_4 * s_7
            s_bar = s_bar * t_37
            r_bar = r_bar + (r_bar_5 + r_bar_6 + r_bar_7 + r_bar_8)
        else:
            # for i in range(steps):
            for i in range(t_14 - 1, t_32 - 1, -1):
                s_8 = s_2_saved[i]
                # s = r * s * (1.0 - s)
                t_5_bar_5 = s_bar * (1.0 - s_8)
                t_6_bar_1 = s_bar * (r * s_8)
                r_bar_12 = t_5_bar_5 * s_8
                s_2_bar_7 = t_5_bar_5 * r
                r_bar = r_bar + r_bar_12
                s_bar = s_2_bar_7 - t_6_bar_1
    # for i in range(steps):
    for i in range(t_4 - t_12 * 4 - 1, -1, -1):
        s_4 = s_2_saved[i]
        # s = r * s * (1.0 - s)
        t_5_bar = s_bar * (1.0 - s_4)
        t_6_bar = s_bar * (r * s_4)
        r_bar_2 = t_5_bar * s_4
        s_2_bar_2 = t_5_bar * r
        r_bar = r_bar + r_bar_2
        s_bar = s_2_bar_2 - t_6_bar
    # r = 3.0 + 0.1 * x[1]
    t_2_bar = r_bar * 0.1
    # s = x[0] * 0.1 + 0.5
    t_bar = s_bar * 0.1
    x_bar = np.zeros(n)
    x_bar[1] += t_2_bar
    x_bar[0] += t_bar
    return (x_bar,)
