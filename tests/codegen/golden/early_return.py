import numpy as np


def early_return_grad(x):
    n = x.shape[0]
    # for i in range(len(x)):
    trip = np.maximum(n, 0)

    # forward sweep
    # for i in range(len(x)):
    if not trip <= 1048576:
        broken1 = False
        s_3 = 0.0
        k = 0
        trip = 0
        while (k < n) & np.invert(broken1):
            # s += x[i] * x[i]
            t_15 = x[k]
            s_3 = s_3 + t_15 * t_15
            # if s > 2.0:
            if s_3 > 2.0:
                broken1 = True
            k = k + 1
            # for i in range(len(x)):
            trip = trip + 1
    s_2_saved = np.empty(trip)
    broken1_1 = False
    returned = False
    s_1 = 0.0
    k_1 = 0
    trip_2 = 0
    while (k_1 < n) & np.invert(broken1_1):
        # s += x[i] * x[i]
        t_3 = x[k_1]
        s_1 = s_1 + t_3 * t_3
        # for i in range(len(x)):
        s_2_saved[trip_2] = s_1
        # if s > 2.0:
        if s_1 > 2.0:
            returned = True
            broken1_1 = True
        k_1 = k_1 + 1
        # for i in range(len(x)):
        trip_2 = trip_2 + 1

    # reverse sweep
    # for i in range(len(x)):
    if np.invert(returned):
        s_bar = 3.0
        result_bar = 0.0
    else:
        s_bar = 0.0
        result_bar = 1.0
    x_bar = np.zeros(n)
    for trip_4 in range(trip_2 - 1, -1, -1):
        # s += x[i] * x[i]
        s_5 = s_2_saved[trip_4]
        t_19 = x[trip_4]
        # if s > 2.0:
        if s_5 > 2.0:
            # return s * x[i]
            s_2_bar_1 = result_bar * t_19
            t_3_bar = result_bar * s_5
            s_bar = s_bar + s_2_bar_1
            result_bar = 0.0
        else:
            t_3_bar = 0.0
        # s += x[i] * x[i]
        t_3_bar_2 = s_bar * t_19
        t_3_bar_4 = t_3_bar + t_3_bar_2
        t_3_bar_5 = t_3_bar_4 + t_3_bar_2
        x_bar[trip_4] += t_3_bar_5
    return (x_bar,)
