import numpy as np

from pullback.runtime import support


def cholesky_grad(A):
    m = A.shape[0]
    p = A.shape[1]
    # for i in range(n):
    A_1 = A.copy()

    # forward sweep
    # for i in range(n):
    for i in range(m):
        for j in range(i):
            # for k in range(j):
            A_7_sum = -0.0
            for k in range(j):
                # A[i, j] -= A[i, k] * A[j, k]
                A_7_sum = support.radd(A_7_sum, -(A_1[i, k] * A_1[j, k]))
            A_1[i, j] += A_7_sum
            # A[i, j] /= A[j, j]
            A_1[i, j] = A_1[i, j] / A_1[j, j]
        # for k in range(i):
        A_11_sum = -0.0
        for k in range(i):
            # A[i, i] -= A[i, k] * A[i, k]
            t_8 = A_1[i, k]
            A_11_sum = support.radd(A_11_sum, -(t_8 * t_8))
        A_1[i, i] += A_11_sum
        # A[i, i] = np.sqrt(A[i, i])
        A_1[i, i] = np.sqrt(A_1[i, i])
    A_bar = np.empty((m, p))

    # forward and reverse sweep
    # return np.sum(np.tril(A) ** 2) + A[n - 1, 0]
    for i in range(m):
        for j in range(p):
            t_24 = j <= i
            A_1_bar_2 = 2.0 * (A_1[i, j] if t_24 else 0.0) if t_24 else 0.0
            A_bar[i, j] = A_1_bar_2
    A_bar[m - 1, 0] += 1.0

    # reverse sweep
    # for i in range(n):
    for i in range(m - 1, -1, -1):
        # A[i, i] = np.sqrt(A[i, i])
        t_14_bar = A_bar[i, i]
        t_13_bar = (t_14_bar * (0.5 / A_1[i, i]) if t_14_bar != 0 else t_14_bar)
        A_bar[i, i] = t_13_bar
        # A[i, i] -= A[i, k] * A[i, k]
        t_12_bar = A_bar[i, i]
        t_10_bar = -t_12_bar
        for k in range(i):
            # A[i, i] -= A[i, k] * A[i, k]
            t_8_bar = (t_10_bar * A_1[i, k] if t_10_bar != 0 else t_10_bar)
            t_8_bar_2 = t_8_bar + t_8_bar
            A_bar[i, k] += t_8_bar_2
        # for j in range(i):
        for j in range(i - 1, -1, -1):
            # A[i, j] /= A[j, j]
            t_31 = A_1[j, j]
            t_7_bar = A_bar[i, j]
            t_6_bar = (t_7_bar * (1.0 / t_31) if t_7_bar != 0 else t_7_bar)
            t_5_bar = (t_7_bar * (-A_1[i, j] / t_31) if t_7_bar != 0 else t_7_bar)
            A_bar[i, j] = t_6_bar
            A_bar[j, j] += t_5_bar
            # A[i, j] -= A[i, k] * A[j, k]
            t_4_bar = A_bar[i, j]
            t_2_bar = -t_4_bar
            for k in range(j):
                # A[i, j] -= A[i, k] * A[j, k]
                t_bar = (t_2_bar * A_1[j, k] if t_2_bar != 0 else t_2_bar)
                t_1_bar = (t_2_bar * A_1[i, k] if t_2_bar != 0 else t_2_bar)
                A_bar[j, k] += t_1_bar
                A_bar[i, k] += t_bar
    return (A_bar,)
