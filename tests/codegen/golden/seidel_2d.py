import numpy as np


def seidel_2d_grad(steps, A):
    m = A.shape[0]
    p = A.shape[1]
    # for t in range(0, steps):
    A_1 = A.copy()

    # forward sweep
    # for t in range(0, steps):
    for t_1 in range(steps):
        # for i in range(1, n - 1):
        t_2 = m - 1
        for i in range(1, t_2):
            # for j in range(1, n - 1):
            for j in range(1, t_2):
                # A[i, j] = (
                t_11 = A_1[i - 1, j - 1] + A_1[i - 1, j] + A_1[i - 1, j + 1]
                t_17 = t_11 + A_1[i, j - 1] + A_1[i, j] + A_1[i, j + 1]
                t_24 = t_17 + A_1[i + 1, j - 1] + A_1[i + 1, j] + A_1[i + 1, j + 1]
                A_1[i, j] = t_24 / 9.0

    # reverse sweep
    # return np.sum(A * A)
    for i in range(m):
        for j in range(p):
            A_i_j = A_1[i, j]
            A_1[i, j] = A_i_j + A_i_j
    # for t in range(0, steps):
    for t_1 in range(steps - 1, -1, -1):
        # for i in range(1, n - 1):
        t_3 = m - 1
        for i in range(t_3 - 1, 0, -1):
            # for j in range(1, n - 1):
            for j in range(t_3 - 1, 0, -1):
                # A[i, j] = (
                t_25_bar = A_1[i, j]
                A_1[i, j] = 0.0
                t_24_bar = t_25_bar * 0.1111111111111111
                A_1[i + 1, j + 1] += t_24_bar
                A_1[i + 1, j] += t_24_bar
                A_1[i + 1, j - 1] += t_24_bar
                A_1[i, j + 1] += t_24_bar
                A_1[i, j] += t_24_bar
                A_1[i, j - 1] += t_24_bar
                A_1[i - 1, j + 1] += t_24_bar
                A_1[i - 1, j] += t_24_bar
                A_1[i - 1, j - 1] += t_24_bar
    return (A_1,)
