import numpy as np


def jacobi_2d_grad(steps, A, B):
    n = A.shape[0]
    m = A.shape[1]
    # B[1:-1, 1:-1] = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1...
    n_1 = n - 2
    n_2 = m - 2
    # for t in range(1, steps):
    B_1 = B.copy()
    A_1 = A.copy()

    # forward sweep
    # for t in range(1, steps):
    for t_2 in range(1, steps):
        # B[1:-1, 1:-1] = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-...
        for i in range(n_1):
            for j in range(n_2):
                t_9 = A_1[i + 1, j + 1] + A_1[i + 1, j] + A_1[i + 1, j + 2]
                t_14 = 0.2 * (t_9 + A_1[i + 2, j + 1] + A_1[i, j + 1])
                B_1[i + 1, j + 1] = t_14
        # A[1:-1, 1:-1] = 0.2 * (B[1:-1, 1:-1] + B[1:-1, :-2] + B[1:-1, 2:] + B[2:, 1:-1] + B[:-...
        for i in range(n_1):
            for j in range(n_2):
                t_19 = B_1[i + 1, j + 1] + B_1[i + 1, j] + B_1[i + 1, j + 2]
                t_24 = 0.2 * (t_19 + B_1[i + 2, j + 1] + B_1[i, j + 1])
                A_1[i + 1, j + 1] = t_24

    # reverse sweep
    # return np.sum(A * A)
    for i in range(n):
        for j in range(m):
            A_i_j = A_1[i, j]
            A_1[i, j] = A_i_j + A_i_j
    B_bar = np.zeros((n, m))
    # for t in range(1, steps):
    for t_2 in range(steps - 1, 0, -1):
        for i in range(n_1):
            t_23_bar_before = 0.0
            t_23_bar_before_2 = 0.0
            for j in range(n_2):
                # A[1:-1, 1:-1] = 0.2 * (B[1:-1, 1:-1] + B[1:-1, :-2] + B[1:-1, 2:] + B[2:, 1:-1...
                A_2_bar_t_t = A_1[i + 1, j + 1]
                A_1[i + 1, j + 1] = 0.0
                t_23_bar = A_2_bar_t_t * 0.2
                B_bar[i, j + 1] += t_23_bar
                B_bar[i + 2, j + 1] += t_23_bar
                # B[1:-1, 1:-1] = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1...
                t_3 = t_23_bar + t_23_bar_before + t_23_bar_before_2
                B_bar[i + 1, j] += t_3
                t_23_bar_before, t_23_bar_before_2 = t_23_bar, t_23_bar_before
            if 0 < n_2:
                B_bar[i + 1, m - 2] += t_23_bar_before + t_23_bar_before_2
                B_bar[i + 1, m - 1] += t_23_bar_before
        for i in range(n_1):
            t_13_bar_before = 0.0
            t_13_bar_before_2 = 0.0
            for j in range(n_2):
                B_3_bar_t_t = B_bar[i + 1, j + 1]
                B_bar[i + 1, j + 1] = 0.0
                t_13_bar = B_3_bar_t_t * 0.2
                A_1[i, j + 1] += t_13_bar
                A_1[i + 2, j + 1] += t_13_bar
                t_15 = t_13_bar + t_13_bar_before + t_13_bar_before_2
                A_1[i + 1, j] += t_15
                t_13_bar_before, t_13_bar_before_2 = t_13_bar, t_13_bar_before
            if 0 < n_2:
                A_1[i + 1, m - 2] += t_13_bar_before + t_13_bar_before_2
                A_1[i + 1, m - 1] += t_13_bar_before
    return (A_1, B_bar)
