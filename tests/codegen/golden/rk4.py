import numpy as np


def rk4_grad(y0, omega, steps):
    # for k in range(steps):
    t = np.maximum(steps, 0)
    y_1_saved = np.empty((t, 2))
    t_5_saved = np.empty(t)
    t_15_saved = np.empty(t)
    t_25_saved = np.empty(t)
    t_35_saved = np.empty(t)
    y00 = y0[0]
    y1 = y0[1]

    # forward sweep
    for k in range(steps):
        y_1_saved[k, 0] = y00
        y_1_saved[k, 1] = y1
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_3 = -omega * omega
        t_5 = np.sin(y00)
        # for k in range(steps):
        t_5_saved[k] = t_5
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_6 = t_3 * t_5
        # k2 = f(y + 0.5 * h * k1)
        t_42 = y1 + 0.005 * t_6
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_15 = np.sin(y00 + 0.005 * y1)
        # for k in range(steps):
        t_15_saved[k] = t_15
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_16 = t_3 * t_15
        # k3 = f(y + 0.5 * h * k2)
        t_104 = y1 + 0.005 * t_16
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_25 = np.sin(y00 + 0.005 * t_42)
        # for k in range(steps):
        t_25_saved[k] = t_25
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_26 = t_3 * t_25
        t_35 = np.sin(y00 + 0.01 * t_104)
        # for k in range(steps):
        t_35_saved[k] = t_35
        # y = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        t_116 = y1 + 2.0 * t_42 + 2.0 * t_104 + (y1 + 0.01 * t_26)
        y00 = y00 + 0.0016666666666666668 * t_116
        t_123 = 0.0016666666666666668 * (t_6 + 2.0 * t_16 + 2.0 * t_26 + t_3 * t_35)
        y1 = y1 + t_123
    # for k in range(steps):
    y0_bar1 = 0.0 + y00
    y0_bar0 = 0.0 + y1

    # reverse sweep
    # for k in range(steps):
    omega_bar = 0.0
    for k in range(steps - 1, -1, -1):
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_12 = t_5_saved[k]
        t_13 = t_15_saved[k]
        t_91 = y_1_saved[k, 1]
        t_33 = -omega
        t_48 = t_33 * omega
        t_92 = y_1_saved[k, 0]
        # y = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        t_43_bar_6 = y0_bar0 * 0.0016666666666666668
        k3_bar_12 = t_43_bar_6 * 2.0
        t_43_bar_8 = y0_bar1 * 0.0016666666666666668
        k3_bar_14 = t_43_bar_8 * 2.0
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_3_bar = t_43_bar_8 * t_35_saved[k]
        t_35_bar = t_43_bar_8 * t_48
        # k3 = f(y + 0.5 * h * k2)
        t_134 = t_92 + 0.005 * (t_91 + 0.005 * (t_48 * t_12))
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_70 = np.cos(t_92 + 0.01 * (t_91 + 0.005 * (t_48 * t_13)))
        t_34_bar = t_35_bar * t_70
        # k4 = f(y + h * k3)
        t_30_bar_3 = 0.0 + t_34_bar
        t_30_bar_4 = 0.0 + t_43_bar_6
        k3_bar_16 = t_30_bar_3 * 0.01
        k3_bar_17 = k3_bar_12 + k3_bar_16
        k3_bar_19 = t_30_bar_4 * 0.01
        k3_bar_20 = k3_bar_14 + k3_bar_19
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_3_bar_1 = k3_bar_20 * t_25_saved[k]
        t_25_bar = k3_bar_20 * t_48
        t_3_bar_2 = t_3_bar + t_3_bar_1
        t_24_bar = t_25_bar * np.cos(t_134)
        # k3 = f(y + 0.5 * h * k2)
        t_20_bar_3 = 0.0 + t_24_bar
        t_20_bar_4 = 0.0 + k3_bar_17
        k2_bar_5 = t_20_bar_3 * 0.005
        k2_bar_6 = k3_bar_12 + k2_bar_5
        k2_bar_8 = t_20_bar_4 * 0.005
        k2_bar_9 = k3_bar_14 + k2_bar_8
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_3_bar_3 = k2_bar_9 * t_13
        t_15_bar = k2_bar_9 * t_48
        t_3_bar_4 = t_3_bar_2 + t_3_bar_3
        t_14_bar = t_15_bar * np.cos(t_92 + 0.005 * t_91)
        # k2 = f(y + 0.5 * h * k1)
        t_10_bar_3 = 0.0 + t_14_bar
        t_10_bar_4 = 0.0 + k2_bar_6
        # k4 = f(y + h * k3)
        y_1_bar_1 = y0_bar0 + t_30_bar_3
        # k3 = f(y + 0.5 * h * k2)
        y_1_bar_2 = y_1_bar_1 + t_20_bar_3
        # k2 = f(y + 0.5 * h * k1)
        y_1_bar_6 = y_1_bar_2 + t_10_bar_3
        k1_bar_4 = t_10_bar_3 * 0.005
        k1_bar_5 = t_43_bar_6 + k1_bar_4
        # k4 = f(y + h * k3)
        y_1_bar_12 = y0_bar1 + t_30_bar_4
        # k3 = f(y + 0.5 * h * k2)
        y_1_bar_13 = y_1_bar_12 + t_20_bar_4
        # k2 = f(y + 0.5 * h * k1)
        y_1_bar_14 = y_1_bar_13 + t_10_bar_4
        k1_bar_7 = t_10_bar_4 * 0.005
        k1_bar_8 = t_43_bar_8 + k1_bar_7
        # return np.array([y[1], -omega * omega * np.sin(y[0])])
        t_3_bar_5 = k1_bar_8 * t_12
        t_5_bar = k1_bar_8 * t_48
        t_3_bar_6 = t_3_bar_4 + t_3_bar_5
        t_4_bar = t_5_bar * np.cos(t_92)
        y0_bar0 = y_1_bar_6 + t_4_bar
        t_2_bar = t_3_bar_6 * omega
        omega_bar_2 = t_3_bar_6 * t_33
        omega_bar_3 = omega_bar + omega_bar_2
        omega_bar = omega_bar_3 - t_2_bar
        y0_bar1 = y_1_bar_14 + k1_bar_5
    y0_bar_1 = np.empty(2)
    y0_bar_1[0] = y0_bar0
    y0_bar_1[1] = y0_bar1
    return (y0_bar_1, omega_bar)
