"""Numerical kernels as a NumPy user writes them, and inputs of three sizes for each."""

from __future__ import annotations

import numpy as np

KERNELS = {}


def kernel(make, sizes=(4, 6, 9), **options):
    """Register a kernel: make(rng, n) gives its arguments."""

    def register(function):
        KERNELS[function.__name__] = (function, make, sizes, options)
        return function

    return register


def matrix(rng, n):
    return (rng.normal(size=(n, n)),)


def spd(rng, n):
    a = rng.normal(size=(n, n))
    return (a @ a.T + n * np.eye(n),)


# -- PolyBench -------------------------------------------------------------------------------------


@kernel(lambda rng, n: (3, rng.normal(size=n), rng.normal(size=n)))
def jacobi_1d(steps, A, B):
    for t in range(1, steps):
        B[1:-1] = 0.33333 * (A[:-2] + A[1:-1] + A[2:])
        A[1:-1] = 0.33333 * (B[:-2] + B[1:-1] + B[2:])
    return np.sum(A * A)


@kernel(lambda rng, n: (3, rng.normal(size=(n, n)), rng.normal(size=(n, n))))
def jacobi_2d(steps, A, B):
    for t in range(1, steps):
        B[1:-1, 1:-1] = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1:-1])
        A[1:-1, 1:-1] = 0.2 * (B[1:-1, 1:-1] + B[1:-1, :-2] + B[1:-1, 2:] + B[2:, 1:-1] + B[:-2, 1:-1])
    return np.sum(A * A)


@kernel(lambda rng, n: (2, rng.normal(size=(n, n))))
def seidel_2d(steps, A):
    n = A.shape[0]
    for t in range(0, steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = (
                    A[i - 1, j - 1] + A[i - 1, j] + A[i - 1, j + 1] + A[i, j - 1] + A[i, j]
                    + A[i, j + 1] + A[i + 1, j - 1] + A[i + 1, j] + A[i + 1, j + 1]
                ) / 9.0  # fmt: skip
    return np.sum(A * A)


@kernel(
    lambda rng, n: (
        rng.normal(size=(n, n)),
        rng.normal(size=(n, n)),
        rng.normal(size=(n, n)),
        rng.normal(size=3),
    )
)
def fdtd_2d(ex, ey, hz, fict):
    for t in range(fict.shape[0]):
        ey[0, :] = fict[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return np.sum(hz * hz) + np.sum(ex * ey)


@kernel(spd)
def cholesky(A):
    n = A.shape[0]
    for i in range(n):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[j, k]
            A[i, j] /= A[j, j]
        for k in range(i):
            A[i, i] -= A[i, k] * A[i, k]
        A[i, i] = np.sqrt(A[i, i])
    return np.sum(np.tril(A) ** 2) + A[n - 1, 0]


@kernel(spd)
def cholesky_slices(A):
    A[0, 0] = np.sqrt(A[0, 0])
    for i in range(1, A.shape[0]):
        for j in range(i):
            A[i, j] -= np.dot(A[i, :j], A[j, :j])
            A[i, j] /= A[j, j]
        A[i, i] -= np.dot(A[i, :i], A[i, :i])
        A[i, i] = np.sqrt(A[i, i])
    return A[-1, -1] * A[-1, 0] + A[1, 1]


@kernel(lambda rng, n: (rng.normal(size=(n, n)) + n * np.eye(n), rng.normal(size=n)))
def trisolv(L, b):
    n = len(b)
    x = np.zeros(n)
    for i in range(n):
        x[i] = b[i]
        for j in range(i):
            x[i] -= L[i, j] * x[j]
        x[i] = x[i] / L[i, i]
    return np.sum(x * x)


@kernel(lambda rng, n: (1.5, 0.7, rng.normal(size=(n, n)), *(rng.normal(size=n) for _ in range(8))))
def gemver(alpha, beta, A, u1, v1, u2, v2, w, x, y, z):
    A += np.outer(u1, v1) + np.outer(u2, v2)
    x += beta * y @ A + z
    w += alpha * A @ x
    return np.sum(w * w)


@kernel(lambda rng, n: (rng.normal(size=(n, n + 2)), rng.normal(size=n + 2)))
def atax(A, x):
    return np.sum(((A @ x) @ A) ** 2)


@kernel(lambda rng, n: (rng.normal(size=(n, n + 2)), rng.normal(size=n + 2), rng.normal(size=n)))
def bicg(A, p, r):
    s = np.zeros(A.shape[1])
    q = np.zeros(A.shape[0])
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            s[j] += r[i] * A[i, j]
            q[i] += A[i, j] * p[j]
    return np.sum(s * s) + np.sum(np.sin(q))


@kernel(
    lambda rng, n: (
        rng.normal(size=n),
        rng.normal(size=n),
        rng.normal(size=n),
        rng.normal(size=n),
        rng.normal(size=(n, n)),
    )
)
def mvt(x1, x2, y1, y2, A):
    x1 += A @ y1
    x2 += y2 @ A
    return np.sum(x1 * x2)


@kernel(
    lambda rng, n: (
        1.5,
        1.2,
        rng.normal(size=(n, n)),
        rng.normal(size=(n, n + 1)),
        rng.normal(size=(n + 1, n)),
    )
)
def gemm(alpha, beta, C, A, B):
    C[:] = alpha * A @ B + beta * C
    return np.sum(C * C)


@kernel(lambda rng, n: (rng.normal(size=(n, n - 1)),))
def covariance(data):
    m = data.shape[1]
    mean = np.mean(data, axis=0)
    data -= mean
    cov = np.zeros((m, m))
    for i in range(m):
        cov[i:m, i] = data[:, i] @ data[:, i:m] / (data.shape[0] - 1.0)
        cov[i, i:m] = cov[i:m, i]
    return np.sum(cov * cov)


@kernel(lambda rng, n: (rng.normal(size=(n, n - 1)),))
def correlation(data):
    n, m = data.shape
    mean = np.mean(data, axis=0)
    stddev = np.std(data, axis=0)
    stddev[stddev <= 0.1] = 1.0
    data -= mean
    data /= np.sqrt(float(n)) * stddev
    corr = np.eye(m)
    for i in range(m - 1):
        corr[i + 1 : m, i] = data[:, i] @ data[:, i + 1 : m]
        corr[i, i + 1 : m] = corr[i + 1 : m, i]
    return np.sum(corr * corr * corr)


# -- loops -------------------------------------------------------------------------------------------


@kernel(lambda rng, n: (float(n),), sizes=(2, 3, 5))
def newton(a):
    x = a
    while abs(x * x - a) > 1e-12:
        x = 0.5 * (x + a / x)
    return x


@kernel(lambda rng, n: (float(n),), sizes=(2, 3, 5), finite=False)
def bisection(a):
    lo = 0.0
    hi = a + 1.0
    for k in range(60):
        mid = 0.5 * (lo + hi)
        if hi - lo < 1e-9:
            break
        if mid * mid * mid > a:
            hi = mid
        else:
            lo = mid
    return hi * a


@kernel(lambda rng, n: (1.0, 0.5, 1.0 + n / 10), sizes=(2, 3, 5))
def adaptive_ode(y0, k, t_end):
    t = 0.0
    y = y0
    h = 0.1
    while t < t_end:
        h_now = min(h, t_end - t)
        k1 = -k * y * y
        y_mid = y + 0.5 * h_now * k1
        k2 = -k * y_mid * y_mid
        y_two = y + h_now * k2
        error = abs(h_now * (k2 - k1))
        if error < 1e-2:
            t = t + h_now
            y = y_two
            h = h * 1.2
        else:
            h = h * 0.5
    return y


@kernel(lambda rng, n: (np.array([1.0, 0.3]), 2.0, n * 5), sizes=(2, 3, 5))
def rk4(y0, omega, steps):
    y = y0.copy()
    h = 0.01

    def f(y):
        return np.array([y[1], -omega * omega * np.sin(y[0])])

    for k in range(steps):
        k1 = f(y)
        k2 = f(y + 0.5 * h * k1)
        k3 = f(y + 0.5 * h * k2)
        k4 = f(y + h * k3)
        y = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return y[0] * y[1]


@kernel(lambda rng, n: (rng.normal(size=2 * n + 1),))
def median_by_counting(x):
    n = len(x)
    result = 0.0
    for i in range(n):
        below = 0
        for j in range(n):
            if x[j] < x[i]:
                below += 1
        if below == n // 2:
            result = x[i] * x[i]
    return result


@kernel(lambda rng, n: (rng.normal(size=n), rng.normal(size=n + 1)))
def time_warping(a, b):
    n, m = len(a), len(b)
    D = np.full((n + 1, m + 1), np.inf)
    D[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            cost = (a[i - 1] - b[j - 1]) ** 2
            D[i, j] = cost + min(D[i - 1, j], D[i, j - 1], D[i - 1, j - 1])
    return D[n, m]


@kernel(matrix)
def determinant(A):
    n = A.shape[0]
    det = 1.0
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if abs(A[i, k]) > abs(A[p, k]):
                p = i
        if p != k:
            row = A[k].copy()
            A[k] = A[p]
            A[p] = row
            det = -det
        det = det * A[k, k]
        for i in range(k + 1, n):
            f = A[i, k] / A[k, k]
            A[i, k:] -= f * A[k, k:]
    return det


@kernel(
    lambda rng, n: (
        rng.uniform(0.1, 1, size=(3, 3)),
        rng.uniform(0.1, 1, size=(3, 4)),
        rng.integers(0, 4, size=n),
    )
)
def hmm_forward(T, E, obs):
    alpha = np.full(3, 1.0 / 3.0) * E[:, obs[0]]
    loglik = 0.0
    for t in range(1, len(obs)):
        alpha = (alpha @ T) * E[:, obs[t]]
        s = np.sum(alpha)
        alpha = alpha / s
        loglik += np.log(s)
    return loglik


@kernel(lambda rng, n: (rng.normal(size=(3, 3)), rng.normal(size=(3, 4)), rng.integers(0, 4, size=n)))
def viterbi(logT, logE, obs):
    v = logE[:, obs[0]]
    for t in range(1, len(obs)):
        new = np.zeros(3)
        for j in range(3):
            best = -np.inf
            for i in range(3):
                score = v[i] + logT[i, j]
                if score > best:
                    best = score
            new[j] = best + logE[j, obs[t]]
        v = new
    return np.max(v)


@kernel(lambda rng, n: (rng.uniform(0, 2.5, size=(n, 3)),))
def lennard_jones(x):
    n = x.shape[0]
    energy = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            r2 = 0.3
            for k in range(3):
                d = x[i, k] - x[j, k]
                r2 += d * d
            if r2 < 4.0:
                s6 = 1.0 / (r2 * r2 * r2)
                energy += 4.0 * (s6 * s6 - s6)
    return energy


@kernel(lambda rng, n: (0.1 * n, 0.2), sizes=(1, 2, 3))
def mandelbrot(cr, ci):
    zr = 0.0
    zi = 0.0
    count = 0
    while zr * zr + zi * zi < 100.0 and count < 40:
        new = zr * zr - zi * zi + cr
        zi = 2.0 * zr * zi + ci
        zr = new
        count += 1
    return np.log(zr * zr + zi * zi + 1.0)


@kernel(lambda rng, n: (rng.normal(size=(2, 2)) * 0.3 + np.eye(2), 0.5, 0.3, rng.normal(size=n)))
def kalman(F, q, r, z):
    x = np.zeros(2)
    P = np.eye(2)
    loglik = 0.0
    for t in range(len(z)):
        x = F @ x
        P = F @ P @ F.T + q * np.eye(2)
        v = z[t] - x[0]
        s = P[0, 0] + r
        K = P[:, 0] / s
        loglik -= 0.5 * (np.log(s) + v * v / s)
        x = x + K * v
        P = P - np.outer(K, P[0, :])
    return loglik


@kernel(lambda rng, n: (rng.normal(size=n),))
def cubic_spline(y):
    n = len(y)
    a = np.ones(n)
    b = np.full(n, 4.0)
    c = np.ones(n)
    d = np.zeros(n)
    for i in range(1, n - 1):
        d[i] = 3.0 * (y[i + 1] - 2.0 * y[i] + y[i - 1])
    for i in range(1, n):
        w = a[i] / b[i - 1]
        b[i] = b[i] - w * c[i - 1]
        d[i] = d[i] - w * d[i - 1]
    m = np.empty(n)
    m[n - 1] = d[n - 1] / b[n - 1]
    for i in range(n - 2, -1, -1):
        m[i] = (d[i] - c[i] * m[i + 1]) / b[i]
    return np.sum(m * m)


@kernel(lambda rng, n: (rng.normal(size=n), rng.normal(size=n + 1)))
def edit_table(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1))
    for i in range(len(a) + 1):
        table[i, 0] = i
    for j in range(len(b) + 1):
        table[0, j] = j
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = table[i - 1, j - 1] + np.tanh((a[i - 1] - b[j - 1]) ** 2)
            table[i, j] = min(table[i - 1, j] + 1.1, table[i, j - 1] + 0.9, change)
    return table[-1, -1]


# -- the loops on which others are silently wrong ---------------------------------------------------


@kernel(lambda rng, n: (0.1 * n,), sizes=(3, 5, 7))
def repeated_sine(x):
    y = 1.0
    for i in range(40):
        y = np.sin(y) * x
    return y


@kernel(lambda rng, n: (0.3 * n,), sizes=(3, 5, 6))
def repeated_sine_while(x):
    y = 1.0
    i = 0
    while i < 40:
        y = np.sin(y) * x
        i += 1
    return y


@kernel(lambda rng, n: (rng.normal(size=n), 0.7))
def overwritten(a, x):
    total = 0.0
    for i in range(1, len(a)):
        a[0] = np.sin(a[0] * a[i]) + x
        total += a[0] * a[0]
    return total


@kernel(lambda rng, n: (rng.normal(size=n),))
def with_continue(a):
    s = 0.0
    for i in range(len(a)):
        if a[i] < 0.0:
            continue
        s += a[i] * a[i]
    return s * s


@kernel(lambda rng, n: (rng.normal(size=n),))
def before_and_after(a):
    before = a[1] * a[2]
    a[1] = np.exp(a[0])
    return before * a[1] + a[1] * a[2]


@kernel(matrix)
def through_a_view(A):
    row = A[1]
    column = A.T[0]
    row[0] = row[1] * 2.0
    column[2] = row[0] * A[0, 0]
    return np.sum(A * A) * A[1, 0] + A[2, 0]


@kernel(lambda rng, n: (rng.normal(size=n), 3 * n))
def logistic_like(x, steps):
    s = x[0] * 0.1 + 0.5
    r = 3.0 + 0.1 * x[1]
    for i in range(steps):
        s = r * s * (1.0 - s)
    return s


@kernel(lambda rng, n: (rng.normal(size=n), n))
def swapped(x, steps):
    u = x * 1.0
    v = x * 2.0
    for k in range(steps):
        v[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2.0 * u[1:-1] + u[:-2]) * u[1:-1]
        u, v = v, u
    return np.sum(u * u) + np.sum(v)


@kernel(lambda rng, n: (rng.normal(size=n),))
def early_return(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i] * x[i]
        if s > 2.0:
            return s * x[i]
    return s * 3.0


@kernel(lambda rng, n: (rng.normal(size=(n, 3)),))
def changing_rank(A):
    acc = 0.0
    for i in range(len(A)):
        acc += A[i]
    return np.sum(acc * acc)


@kernel(lambda rng, n: (rng.normal(size=n),))
def first_positive(x):
    best = -1.0
    for value in x:
        if value > 0.0:
            best = value * value
            break
    else:
        best = x[0] * 2.0
    return best + x[1]


@kernel(lambda rng, n: (rng.normal(size=n),))
def masked_sizes(x):
    y = x[x > 0]
    return np.sum(y * y) + len(y)
