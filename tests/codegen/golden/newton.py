import numpy as np


def newton_grad(a):

    # how often the loop runs
    # while abs(x * x - a) > 1e-12:
    x_3 = a
    trip = 0
    while abs(x_3 * x_3 - a) > 1e-12:
        # x = 0.5 * (x + a / x)
        x_3 = 0.5 * (x_3 + a / x_3)
        # while abs(x * x - a) > 1e-12:
        trip = trip + 1
    x_1_saved = np.empty(trip)

    # forward sweep
    # while abs(x * x - a) > 1e-12:
    x_1 = a
    trip_2 = 0
    while abs(x_1 * x_1 - a) > 1e-12:
        x_1_saved[trip_2] = x_1
        # x = 0.5 * (x + a / x)
        x_1 = 0.5 * (x_1 + a / x_1)
        # while abs(x * x - a) > 1e-12:
        trip_2 = trip_2 + 1
    t_18 = np.maximum(trip_2, 0)
    t_19 = np.floor_divide(t_18, 4)

    # reverse sweep
    # while abs(x * x - a) > 1e-12:
    a_bar = 0.0
    a_bar_1 = 1.0
    for k in range(t_19):
        t_21 = trip_2 - k * 4
        x_6 = x_1_saved[t_21 - 1]
        # x = 0.5 * (x + a / x)
        t_24 = 1.0 / x_6
        t_26 = -(a / x_6) / x_6
        t_28 = 0.5 + 0.5 * t_26
        # while abs(x * x - a) > 1e-12:
        x_7 = x_1_saved[t_21 - 2]
        # x = 0.5 * (x + a / x)
        t_31 = 1.0 / x_7
        t_33 = -(a / x_7) / x_7
        t_36 = t_28 * (0.5 + 0.5 * t_33)
        # while abs(x * x - a) > 1e-12:
        x_8 = x_1_saved[t_21 - 3]
        # x = 0.5 * (x + a / x)
        t_39 = 1.0 / x_8
        t_41 = -(a / x_8) / x_8
        t_44 = t_36 * (0.5 + 0.5 * t_41)
        t_45 = t_21 - 4
        # while abs(x * x - a) > 1e-12:
        x_9 = x_1_saved[t_45]
        # x = 0.5 * (x + a / x)
        t_47 = 1.0 / x_9
        t_49 = -(a / x_9) / x_9
        t_52 = t_44 * (0.5 + 0.5 * t_49)
        t_60 = 0.5 + abs(t_26) + abs(t_33) + abs(t_41) + abs(t_49)
        t_67 = (t_60 <= 100000.0) & (abs(t_52) >= 1e-40) & (abs(a_bar_1) <= 1e+260)
        # while abs(x * x - a) > 1e-12:
        if t_67:
            # x = 0.5 * (x + a / x)
            t_5_bar_1 = a_bar_1 * 0.5
            a_bar_7 = t_5_bar_1 * t_24
            t_5_bar_2 = a_bar_1 * t_28 * 0.5
            a_bar_8 = t_5_bar_2 * t_31
            t_5_bar_3 = a_bar_1 * t_36 * 0.5
            a_bar_9 = t_5_bar_3 * t_39
            t_5_bar_4 = a_bar_1 * t_44 * 0.5
            a_bar_10 = t_5_bar_4 * t_47
            a_bar_1 = a_bar_1 * t_52
            a_bar = a_bar + (a_bar_7 + a_bar_8 + a_bar_9 + a_bar_10)
        else:
            # while abs(x * x - a) > 1e-12:
            for trip_4 in range(t_21 - 1, t_45 - 1, -1):
                x_10 = x_1_saved[trip_4]
                # x = 0.5 * (x + a / x)
                t_5_bar_5 = a_bar_1 * 0.5
                a_bar_14 = t_5_bar_5 * (1.0 / x_10)
                x_1_bar_7 = t_5_bar_5 * (-(a / x_10) / x_10)
                a_bar = a_bar + a_bar_14
                a_bar_1 = t_5_bar_5 + x_1_bar_7
    # while abs(x * x - a) > 1e-12:
    for trip_4 in range(t_18 - t_19 * 4 - 1, -1, -1):
        x_5 = x_1_saved[trip_4]
        # x = 0.5 * (x + a / x)
        t_5_bar = a_bar_1 * 0.5
        a_bar_3 = t_5_bar * (1.0 / x_5)
        x_1_bar_1 = t_5_bar * (-(a / x_5) / x_5)
        a_bar = a_bar + a_bar_3
        a_bar_1 = t_5_bar + x_1_bar_1
    # while abs(x * x - a) > 1e-12:
    a_bar_5 = a_bar + a_bar_1
    return (a_bar_5,)
