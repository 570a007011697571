"""Adjoints by hand of the loops over time and over particles."""

from __future__ import annotations

import numpy as np

from .tools import adjoint, cos, forward, radd

# -- the logistic map -----------------------------------------------------------------------------------


@forward
def logistic_map(r, x, c, steps):
    saved = np.empty(steps)
    for k in range(steps):
        saved[k] = x
        x = r * x * (1.0 - x)
    return _logistic_map_reverse(r, c, saved)


@adjoint
def _logistic_map_reverse(r, x_bar, saved):
    """Four steps at a time: each waits for one product, not for four."""
    r_bar = 0.0
    k = saved.shape[0] - 1
    while k >= 3:
        x0, x1, x2, x3 = saved[k], saved[k - 1], saved[k - 2], saved[k - 3]
        f0, f1, f2, f3 = r - 2.0 * r * x0, r - 2.0 * r * x1, r - 2.0 * r * x2, r - 2.0 * r * x3
        f01 = f0 * f1
        g23 = f01 * (x2 - x2 * x2 + f2 * (x3 - x3 * x3))
        r_bar += x_bar * (x0 - x0 * x0 + f0 * (x1 - x1 * x1) + g23)
        x_bar *= f01 * (f2 * f3)
        k -= 4
    while k >= 0:
        r_bar += x_bar * (saved[k] * (1.0 - saved[k]))
        x_bar *= r * (1.0 - 2.0 * saved[k])
        k -= 1
    return r_bar, x_bar


# -- Runge and Kutta's method -------------------------------------------------------------------------------


@forward
def rk4(theta, velocity, omega, c, steps):
    angles, sines = np.empty(4 * steps), np.empty(4 * steps)
    _rk4_forward(theta, velocity, omega, angles, sines)
    return _rk4_reverse(omega, c, angles, sines)


@forward
def _rk4_forward(theta, velocity, omega, angles, sines):
    """Kept are the four angles of each step, and their sines."""
    h = 0.001
    for k in range(0, angles.shape[0], 4):
        angles[k], sines[k] = theta, np.sin(theta)
        a1 = velocity
        b1 = -omega * omega * sines[k]
        angle = theta + 0.5 * h * a1
        angles[k + 1], sines[k + 1] = angle, np.sin(angle)
        a2 = velocity + 0.5 * h * b1
        b2 = -omega * omega * sines[k + 1]
        angle = theta + 0.5 * h * a2
        angles[k + 2], sines[k + 2] = angle, np.sin(angle)
        a3 = velocity + 0.5 * h * b2
        b3 = -omega * omega * sines[k + 2]
        angle = theta + h * a3
        angles[k + 3], sines[k + 3] = angle, np.sin(angle)
        a4 = velocity + h * b3
        b4 = -omega * omega * sines[k + 3]
        theta = theta + h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
        velocity = velocity + h / 6.0 * (b1 + 2.0 * b2 + 2.0 * b3 + b4)


@adjoint
def _rk4_reverse(omega, c, angles, sines):
    h = 0.001
    for k in range(angles.shape[0]):  # all at once, for the vector library
        angles[k] = -omega * omega * cos(angles[k])
    theta_bar, velocity_bar, force_bar = 1.0, c, 0.0
    for k in range(angles.shape[0] - 4, -1, -4):
        b_bar, a_bar = h / 6.0 * velocity_bar, h / 6.0 * theta_bar
        b4_bar = b_bar
        angle4_bar = b4_bar * angles[k + 3]
        a3_bar = 2.0 * a_bar + h * angle4_bar
        b3_bar = 2.0 * b_bar + h * a_bar
        angle3_bar = b3_bar * angles[k + 2]
        a2_bar = 2.0 * a_bar + 0.5 * h * angle3_bar
        b2_bar = 2.0 * b_bar + 0.5 * h * a3_bar
        angle2_bar = b2_bar * angles[k + 1]
        a1_bar = a_bar + 0.5 * h * angle2_bar
        b1_bar = b_bar + 0.5 * h * a2_bar
        force_bar += (
            b1_bar * sines[k] + b2_bar * sines[k + 1] + b3_bar * sines[k + 2] + b4_bar * sines[k + 3]
        )
        velocity_bar += a1_bar + a2_bar + a3_bar + a_bar
        theta_bar += b1_bar * angles[k] + angle2_bar + angle3_bar + angle4_bar
    return theta_bar, velocity_bar, -2.0 * omega * force_bar


# -- Lennard and Jones's potential ----------------------------------------------------------------------


def lennard_jones(x, e):
    x_bar = np.empty(x.shape)
    _lennard_jones(x, e, x_bar)
    return x_bar


@adjoint
def _lennard_jones(x, e, x_bar):
    """Every ordered pair, so that a particle's own three sums stay in registers."""
    n = x.shape[0]
    X, Y, Z = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        X[i], Y[i], Z[i] = x[i, 0], x[i, 1], x[i, 2]
    for i in range(n):
        xi, yi, zi = X[i], Y[i], Z[i]
        fx, fy, fz = 0.0, 0.0, 0.0
        for first, last in ((0, i), (i + 1, n)):
            for j in range(np.uint64(first), np.uint64(last)):
                dx, dy, dz = xi - X[j], yi - Y[j], zi - Z[j]
                inverse = 1.0 / (dx * dx + dy * dy + dz * dz)
                s6 = inverse * inverse * inverse
                q = e[j] * (s6 - 2.0 * s6 * s6) * inverse
                fx += q * dx
                fy += q * dy
                fz += q * dz
        q = 6.0 * e[i]
        x_bar[i, 0], x_bar[i, 1], x_bar[i, 2] = q * fx, q * fy, q * fz


# -- bodies under gravity -------------------------------------------------------------------------------


def nbody(x, v, m, c, steps):
    x_bar, v_bar = np.empty(x.shape), np.empty(v.shape)
    positions = np.empty((steps, 3, x.shape[0]))
    _nbody_forward(x, v, m, positions)
    _nbody_reverse(m, c, positions, x_bar, v_bar)
    return x_bar, v_bar


@forward
def _nbody_forward(x, v, m, positions):
    n = x.shape[0]
    h = 0.001
    X, V = np.empty((3, n)), np.empty((3, n))
    for i in range(n):
        for k in range(3):
            X[k, i], V[k, i] = x[i, k], v[i, k]
    for t in range(positions.shape[0]):
        for k in range(3):
            for i in range(n):
                positions[t, k, i] = X[k, i]
        for i in range(n):
            xi, yi, zi = X[0, i], X[1, i], X[2, i]
            ax, ay, az = 0.0, 0.0, 0.0
            for j in range(n):
                dx, dy, dz = xi - X[0, j], yi - X[1, j], zi - X[2, j]
                r2 = dx * dx + dy * dy + dz * dz + 0.01
                q = m[j] / (r2 * np.sqrt(r2))
                ax = radd(ax, q * dx)
                ay = radd(ay, q * dy)
                az = radd(az, q * dz)
            V[0, i] -= h * ax
            V[1, i] -= h * ay
            V[2, i] -= h * az
        for k in range(3):
            for i in range(n):
                X[k, i] += h * V[k, i]


@adjoint
def _nbody_reverse(m, c, positions, x_bar, v_bar):
    """Of the bar of v what a pair needs is u = m_i v_bar_j - m_j v_bar_i."""
    n = m.shape[0]
    h = 0.001
    P, Q = np.empty((3, n)), np.zeros((3, n))
    for i in range(n):
        for k in range(3):
            P[k, i] = c[i, k]
    for t in range(positions.shape[0] - 1, -1, -1):
        X = positions[t]
        for k in range(3):
            for i in range(n):
                Q[k, i] += h * P[k, i]
        for i in range(n):
            xi, yi, zi, mi = X[0, i], X[1, i], X[2, i], m[i]
            ui, vi, wi = Q[0, i], Q[1, i], Q[2, i]
            px, py, pz = 0.0, 0.0, 0.0
            for j in range(n):
                dx, dy, dz = xi - X[0, j], yi - X[1, j], zi - X[2, j]
                ux = mi * Q[0, j] - m[j] * ui
                uy = mi * Q[1, j] - m[j] * vi
                uz = mi * Q[2, j] - m[j] * wi
                inverse = 1.0 / (dx * dx + dy * dy + dz * dz + 0.01)
                q = inverse * np.sqrt(inverse)
                s = 3.0 * inverse * (ux * dx + uy * dy + uz * dz)
                px += q * (ux - s * dx)
                py += q * (uy - s * dy)
                pz += q * (uz - s * dz)
            P[0, i] += h * px
            P[1, i] += h * py
            P[2, i] += h * pz
    for i in range(n):
        for k in range(3):
            x_bar[i, k], v_bar[i, k] = P[k, i], Q[k, i]


GRADIENTS = {
    "logistic map": logistic_map,
    "rk4": rk4,
    "lennard-jones": lennard_jones,
    "n-body": nbody,
}
