import numpy as np


def jacobi_1d_grad(steps, A, B):
    n = A.shape[0]
    # B[1:-1] = 0.33333 * (A[:-2] + A[1:-1] + A[2:])
    n_1 = n - 2
    # for t in range(1, steps):
    B_1 = B.copy()
    A_1 = A.copy()

    # forward sweep
    # for t in range(1, steps):
    for t_2 in range(1, steps):
        # B[1:-1] = 0.33333 * (A[:-2] + A[1:-1] + A[2:])
        for i in range(n_1):
            B_1[i + 1] = 0.33333 * (A_1[i] + A_1[i + 1] + A_1[i + 2])
        # A[1:-1] = 0.33333 * (B[:-2] + B[1:-1] + B[2:])
        for i in range(n_1):
            A_1[i + 1] = 0.33333 * (B_1[i] + B_1[i + 1] + B_1[i + 2])

    # reverse sweep
    # return np.sum(A * A)
    for i in range(n):
        A_i_1 = A_1[i]
        A_1[i] = A_i_1 + A_i_1
    B_bar = np.zeros(n)
    # for t in range(1, steps):
    for t_2 in range(steps - 1, 0, -1):
        t_14_bar_before = 0.0
        t_14_bar_before_2 = 0.0
        for i in range(n_1):
            # A[1:-1] = 0.33333 * (B[:-2] + B[1:-1] + B[2:])
            A_2_bar_t = A_1[i + 1]
            A_1[i + 1] = 0.0
            t_14_bar = A_2_bar_t * 0.33333
            # B[1:-1] = 0.33333 * (A[:-2] + A[1:-1] + A[2:])
            t_3 = t_14_bar + t_14_bar_before + t_14_bar_before_2
            B_bar[i] += t_3
            t_14_bar_before, t_14_bar_before_2 = t_14_bar, t_14_bar_before
        if 0 < n_1:
            B_bar[n - 2] += t_14_bar_before + t_14_bar_before_2
            B_bar[n - 1] += t_14_bar_before
        t_8_bar_before = 0.0
        t_8_bar_before_2 = 0.0
        for i in range(n_1):
            B_3_bar_t = B_bar[i + 1]
            B_bar[i + 1] = 0.0
            t_8_bar = B_3_bar_t * 0.33333
            A_1[i] += t_8_bar + t_8_bar_before + t_8_bar_before_2
            t_8_bar_before, t_8_bar_before_2 = t_8_bar, t_8_bar_before
        if 0 < n_1:
            A_1[n - 2] += t_8_bar_before + t_8_bar_before_2
            A_1[n - 1] += t_8_bar_before
    return (A_1, B_bar)
