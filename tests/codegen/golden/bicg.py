import numpy as np

from pullback.runtime import support


def bicg_grad(A, p, r):
    n = A.shape[0]
    m = A.shape[1]
    l = p.shape[0]
    h = r.shape[0]
    s = np.zeros(m)
    q = np.zeros(n)

    # forward sweep
    # for i in range(A.shape[0]):
    for i in range(n):
        # s[j] += r[i] * A[i, j]
        t = r[i]
        # for j in range(A.shape[1]):
        q_5_sum = -0.0
        for j in range(m):
            # s[j] += r[i] * A[i, j]
            t_1 = A[i, j]
            s[j] += t * t_1
            # q[i] += A[i, j] * p[j]
            q_5_sum = support.radd(q_5_sum, t_1 * p[j])
        q[i] += q_5_sum

    # reverse sweep
    # return np.sum(s * s) + np.sum(np.sin(q))
    for i in range(n):
        q[i] = np.cos(q[i])
    for i in range(m):
        s_i = s[i]
        s[i] = s_i + s_i
    r_bar = np.zeros(h)
    A_bar = np.zeros((n, m))
    p_bar = np.zeros(l)
    # for i in range(A.shape[0]):
    for i in range(n):
        # s[j] += r[i] * A[i, j]
        t_15 = r[i]
        # q[i] += A[i, j] * p[j]
        t_9_bar = q[i]
        # for j in range(A.shape[1]):
        r_bar_5_sum = 0.0
        for j in range(m):
            # s[j] += r[i] * A[i, j]
            t_16 = A[i, j]
            # q[i] += A[i, j] * p[j]
            t_1_bar = t_9_bar * p[j]
            t_6_bar = t_9_bar * t_16
            p_bar[j] += t_6_bar
            # s[j] += r[i] * A[i, j]
            t_4_bar = s[j]
            t_bar = t_4_bar * t_16
            t_1_bar_1 = t_4_bar * t_15
            t_1_bar_2 = t_1_bar + t_1_bar_1
            A_bar[i, j] += t_1_bar_2
            r_bar_5_sum = support.radd(r_bar_5_sum, t_bar)
        r_bar[i] += r_bar_5_sum
    return (A_bar, p_bar, r_bar)
