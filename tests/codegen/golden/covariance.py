import numpy as np

from pullback.runtime import support


def covariance_grad(data):
    n = data.shape[0]
    p = data.shape[1]
    # mean = np.mean(data, axis=0)
    t = np.float64(n)
    cov = np.zeros((p, p))
    mean = np.zeros(p)

    # forward sweep
    # mean = np.mean(data, axis=0)
    for i in range(n):
        for j in range(p):
            mean[j] += data[i, j]
    for i in range(p):
        mean[i] = mean[i] / t
    t_2 = np.empty((n, p))
    # data -= mean
    for i in range(n):
        for j in range(p):
            t_2[i, j] = data[i, j] - mean[j]
    t_5 = np.empty((p, p))
    # cov[i:m, i] = data[:, i] @ data[:, i:m] / (data.shape[0] - 1.0)
    support.matmul(t_2.T, t_2, t_5)
    # for i in range(m):
    for i in range(p):
        # cov[i:m, i] = data[:, i] @ data[:, i:m] / (data.shape[0] - 1.0)
        t_3 = p - i
        t_8 = t - 1.0
        t_6 = np.zeros(t_3)
        # for i in range(m):
        for j in range(p - i):
            # cov[i:m, i] = data[:, i] @ data[:, i:m] / (data.shape[0] - 1.0)
            t_6[j] += t_5[i, i + j]
        for i_1 in range(t_3):
            cov[i + i_1, i] = t_6[i_1] / t_8
        for i_1 in range(t_3):
            # cov[i, i:m] = cov[i:m, i]
            cov[i, i + i_1] = t_6[i_1] / t_8

    # reverse sweep
    # return np.sum(cov * cov)
    for i in range(p):
        for j in range(p):
            cov_i_j = cov[i, j]
            cov[i, j] = cov_i_j + cov_i_j
    t_2_bar = np.zeros((n, p))
    # for i in range(m):
    t_50 = 0.0
    for i in range(n):
        for i_1 in range(p):
            t_50 = support.radd(t_50, t_2[i, i_1] * 0.0)
    if t_50 == 0.0:
        t_6_bar_3 = np.zeros((p, p))
        for i in range(p - 1, -1, -1):
            # cov[i:m, i] = data[:, i] @ data[:, i:m] / (data.shape[0] - 1.0)
            t_7 = p - i
            t_15 = 1.0 / (t - 1.0)
            t_6_bar = np.empty(t_7)
            # cov[i, i:m] = cov[i:m, i]
            for i_1 in range(t_7):
                t_6_bar[i_1] = cov[i, i + i_1]
                cov[i, i + i_1] = 0.0
            # cov[i:m, i] = data[:, i] @ data[:, i:m] / (data.shape[0] - 1.0)
            for i_1 in range(t_7):
                t_45 = cov[i + i_1, i]
                cov[i + i_1, i] = 0.0
                t_9_bar_2 = t_6_bar[i_1] + t_45
                t_6_bar[i_1] = t_9_bar_2 * t_15
            # for i in range(m):
            for j in range(p - i):
                t_58 = t_6_bar[j]
                t_6_bar_3[i, i + j] += t_58
                t_6_bar_3[i + j, i] += t_58
        # cov[i:m, i] = data[:, i] @ data[:, i:m] / (data.shape[0] - 1.0)
        support.add_matmul(t_2, t_6_bar_3, t_2_bar)
    else:
        t_4_bar_1 = np.empty(n)
        # for i in range(m):
        for i in range(p - 1, -1, -1):
            # cov[i:m, i] = data[:, i] @ data[:, i:m] / (data.shape[0] - 1.0)
            t_62 = p - i
            t_64 = 1.0 / (t - 1.0)
            t_9_bar_1 = np.empty(t_62)
            # cov[i, i:m] = cov[i:m, i]
            for i_1 in range(t_62):
                t_9_bar_1[i_1] = cov[i, i + i_1]
                cov[i, i + i_1] = 0.0
            # cov[i:m, i] = data[:, i] @ data[:, i:m] / (data.shape[0] - 1.0)
            for i_1 in range(t_62):
                t_68 = cov[i + i_1, i]
                cov[i + i_1, i] = 0.0
                t_9_bar_11 = t_9_bar_1[i_1] + t_68
                t_9_bar_1[i_1] = t_9_bar_11 * t_64
            for i_1 in range(n):
                t_i_i_2 = t_2[i_1, i]
                t_4_bar_10 = 0.0
                for j in range(t_62):
                    t_6_bar_j_1 = t_9_bar_1[j]
                    t_4_bar_10 = support.radd(t_4_bar_10, t_2[i_1, i + j] * t_6_bar_j_1)
                    t_5_bar_1 = t_i_i_2 * t_6_bar_j_1
                    t_2_bar[i_1, i + j] += t_5_bar_1
                t_4_bar_1[i_1] = t_4_bar_10
            for i_1 in range(n):
                t_2_bar[i_1, i] += t_4_bar_1[i_1]
    mean_bar = np.zeros(p)
    # data -= mean
    for i in range(n):
        for j in range(p):
            mean_bar[j] += -t_2_bar[i, j]
    # mean = np.mean(data, axis=0)
    t_19 = 1.0 / t
    for i in range(p):
        mean_bar[i] = mean_bar[i] * t_19
    for i in range(n):
        for j in range(p):
            t_2_bar[i, j] += mean_bar[j]
    return (t_2_bar,)
