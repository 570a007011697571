import numpy as np


def hmm_forward_grad(T, E, obs):
    q = E.shape[1]
    r = obs.shape[0]
    # alpha = np.full(3, 1.0 / 3.0) * E[:, obs[0]]
    t_1 = obs[0]
    k = t_1 + q if t_1 < 0 else t_1
    if not (k >= 0) & (k < q):
        raise IndexError('index out of bounds for axis 1 (line 315: alpha = np.full(3, 1.0 / 3.0) * E[:, obs[0]])')
    # for t in range(1, len(obs)):
    t_19 = np.maximum(r - 1, 0)
    alpha_2_saved = np.empty((t_19, 3))
    t_10_saved = np.empty((t_19, 3))
    # alpha = np.full(3, 1.0 / 3.0) * E[:, obs[0]]
    alpha_1 = 0.3333333333333333 * E[0, k]
    alpha_4 = 0.3333333333333333 * E[1, k]
    alpha_5 = 0.3333333333333333 * E[2, k]

    # forward sweep
    # for t in range(1, len(obs)):
    for t_7 in range(1, r):
        # alpha = (alpha @ T) * E[:, obs[t]]
        t_11 = obs[t_7]
        k_1 = t_11 + q if t_11 < 0 else t_11
        if not (k_1 >= 0) & (k_1 < q):
            raise IndexError('index out of bounds for axis 1 (line 318: alpha = (alpha @ T) * E[:, obs[t]])')
        # for t in range(1, len(obs)):
        alpha_2_saved[t_7 - 1, 0] = alpha_1
        # alpha = (alpha @ T) * E[:, obs[t]]
        t_52 = alpha_1 * T[0, 0] + alpha_4 * T[1, 0] + alpha_5 * T[2, 0]
        # for t in range(1, len(obs)):
        t_10_saved[t_7 - 1, 0] = t_52
        # alpha = (alpha @ T) * E[:, obs[t]]
        alpha_20 = t_52 * E[0, k_1]
        # for t in range(1, len(obs)):
        alpha_2_saved[t_7 - 1, 1] = alpha_4
        # alpha = (alpha @ T) * E[:, obs[t]]
        t_58 = alpha_1 * T[0, 1] + alpha_4 * T[1, 1] + alpha_5 * T[2, 1]
        # for t in range(1, len(obs)):
        t_10_saved[t_7 - 1, 1] = t_58
        # alpha = (alpha @ T) * E[:, obs[t]]
        alpha_21 = t_58 * E[1, k_1]
        # s = np.sum(alpha)
        s_7 = alpha_20 + alpha_21
        # for t in range(1, len(obs)):
        alpha_2_saved[t_7 - 1, 2] = alpha_5
        # alpha = (alpha @ T) * E[:, obs[t]]
        t_64 = alpha_1 * T[0, 2] + alpha_4 * T[1, 2] + alpha_5 * T[2, 2]
        # for t in range(1, len(obs)):
        t_10_saved[t_7 - 1, 2] = t_64
        # alpha = (alpha @ T) * E[:, obs[t]]
        alpha_22 = t_64 * E[2, k_1]
        # s = np.sum(alpha)
        s_8 = s_7 + alpha_22
        # alpha = alpha / s
        alpha_1 = alpha_20 / s_8
        alpha_4 = alpha_21 / s_8
        alpha_5 = alpha_22 / s_8
    alpha_bar = np.zeros(3)
    T_bar = np.zeros((3, 3))
    E_bar = np.zeros((3, q))

    # reverse sweep
    # for t in range(1, len(obs)):
    for t_7 in range(r - 1, 0, -1):
        # alpha = (alpha @ T) * E[:, obs[t]]
        t_25 = obs[t_7]
        k_2 = t_25 + q if t_25 < 0 else t_25
        t_66 = t_10_saved[t_7 - 1, 0]
        E_i_k_15 = E[0, k_2]
        alpha_32 = t_66 * E_i_k_15
        t_67 = t_10_saved[t_7 - 1, 1]
        E_i_k_16 = E[1, k_2]
        alpha_33 = t_67 * E_i_k_16
        # s = np.sum(alpha)
        s_10 = alpha_32 + alpha_33
        # alpha = (alpha @ T) * E[:, obs[t]]
        t_68 = t_10_saved[t_7 - 1, 2]
        E_i_k_17 = E[2, k_2]
        alpha_34 = t_68 * E_i_k_17
        # s = np.sum(alpha)
        s_11 = s_10 + alpha_34
        # alpha = alpha / s
        alpha_36 = alpha_32 / s_11
        t_72 = alpha_bar[0]
        alpha_38 = alpha_33 / s_11
        s_bar_6 = t_72 * (-alpha_36 / s_11) + alpha_bar[1] * (-alpha_38 / s_11)
        alpha_40 = alpha_34 / s_11
        s_bar_7 = s_bar_6 + alpha_bar[2] * (-alpha_40 / s_11)
        # loglik += np.log(s)
        t_29 = 1.0 / s_11
        # alpha = alpha / s
        s_bar_2 = t_29 + s_bar_7
        alpha_3_bar_1 = t_72 * t_29
        # s = np.sum(alpha)
        alpha_3_bar_3 = alpha_3_bar_1 + s_bar_2
        # alpha = (alpha @ T) * E[:, obs[t]]
        alpha_bar[0] = alpha_3_bar_3 * E_i_k_15
        t_17_bar_1 = alpha_3_bar_3 * t_66
        E_bar[0, k_2] += t_17_bar_1
        # alpha = alpha / s
        alpha_3_bar_4 = alpha_bar[1] * t_29
        # s = np.sum(alpha)
        alpha_3_bar_5 = alpha_3_bar_4 + s_bar_2
        # alpha = (alpha @ T) * E[:, obs[t]]
        alpha_bar[1] = alpha_3_bar_5 * E_i_k_16
        t_17_bar_2 = alpha_3_bar_5 * t_67
        E_bar[1, k_2] += t_17_bar_2
        # alpha = alpha / s
        alpha_3_bar_6 = alpha_bar[2] * t_29
        # s = np.sum(alpha)
        alpha_3_bar_7 = alpha_3_bar_6 + s_bar_2
        # alpha = (alpha @ T) * E[:, obs[t]]
        t_10_bar_7 = alpha_3_bar_7 * E_i_k_17
        alpha_bar[2] = t_10_bar_7
        t_17_bar_3 = alpha_3_bar_7 * t_68
        E_bar[2, k_2] += t_17_bar_3
        alpha_2_bar_5 = np.empty(3)
        t_10_bar_j_1 = alpha_bar[0]
        t_10_bar_j_2 = alpha_bar[1]
        alpha_bar = alpha_2_bar_5
        for i in range(3):
            t_91 = alpha_2_saved[t_7 - 1, i]
            t_90 = T[i, 0] * t_10_bar_j_1
            T_bar[i, 0] += t_91 * t_10_bar_j_1
            alpha_2_bar_11 = t_90 + T[i, 1] * t_10_bar_j_2
            T_bar[i, 1] += t_91 * t_10_bar_j_2
            alpha_2_bar_12 = alpha_2_bar_11 + T[i, 2] * t_10_bar_7
            T_bar[i, 2] += t_91 * t_10_bar_7
            alpha_bar[i] = alpha_2_bar_12
    # alpha = np.full(3, 1.0 / 3.0) * E[:, obs[0]]
    t_7_bar_1 = alpha_bar[0] * 0.3333333333333333
    E_bar[0, k] += t_7_bar_1
    t_7_bar_2 = alpha_bar[1] * 0.3333333333333333
    E_bar[1, k] += t_7_bar_2
    t_7_bar_3 = alpha_bar[2] * 0.3333333333333333
    E_bar[2, k] += t_7_bar_3
    return (T_bar, E_bar)
