"""Loops over sets of numbers, as one text that is compiled.

A set is a handle: 0 is the empty one, k + 1 the set of the number k. Small sets are sorted numbers; larger ones are
pairs of sets, so that a union takes constant time, and what is in them is found out at the end. Equal pairs and equal
small sets have one handle. The sets are five arrays: where each is in `data`, its size (-1: a pair), `data`, how much
of both is used, and a table of hashes.
"""

import numpy as np

SMALL = 16

# What `run_code` does for each line of code; d is where the result goes.
MOVE = 0  # d = a
JOIN = 1  # d = a | b, of sets
ADD = 2
SUB = 3
MUL = 4
FLOORDIV = 5
MOD = 6
MINIMUM = 7
MAXIMUM = 8
LT = 9
LE = 10
GT = 11
GE = 12
EQ = 13
NE = 14
AND = 15
OR = 16
XOR = 17
NEG = 18
NOT = 19  # of a truth value
CHOOSE = 20  # d = b if a else c, of integers
CHOOSE_SET = 21
CHOOSE_ARRAY = 22
GET = 23  # d = memory[a + b], c elements in all
GET_SET = 24
PUT = 25  # memory[a + b] = d, c elements in all
PUT_SET = 26
ADD_AT = 27
JOIN_AT = 28
GOTO = 29  # line d
UNLESS = 30  # goto line d unless a
BRANCH = 31  # goto line d unless a; where a is not known, both arms come, and what they write may not be written
END_THEN = 32  # goto line d if a, or else the other arm comes
END_IF = 33  # of the condition a
UNSURE = -(2**62)  # an integer that is not known
DONE = 0
GIVEN_UP = 1


def join(off, size, data, used, table, a, b):
    """The union of two sets. There is room for one set more, and for 2 * SMALL numbers."""
    if a == b or b == 0:
        return a
    if a == 0:
        return b
    na = size[a]
    nb = size[b]
    start = used[1]
    mask = table.size - 1
    if na >= 0 and nb >= 0:
        i = off[a]
        j = off[b]
        end_a = i + na
        end_b = j + nb
        k = start
        while i < end_a and j < end_b:
            p = data[i]
            q = data[j]
            if p <= q:
                data[k] = p
                i += 1
                if p == q:
                    j += 1
            else:
                data[k] = q
                j += 1
            k += 1
        while i < end_a:
            data[k] = data[i]
            i += 1
            k += 1
        while j < end_b:
            data[k] = data[j]
            j += 1
            k += 1
        count = k - start
        if count == na:
            return a
        if count == nb:
            return b
        if count <= SMALL:
            slot = content_hash(data, start, count) & mask
            while table[slot] != 0:
                found = table[slot]
                if size[found] == count and same(data, off[found], start, count):
                    return found
                slot = (slot + 1) & mask
            made = used[0]
            table[slot] = made
            off[made] = start
            size[made] = count
            used[0] = made + 1
            used[1] = k
            return made
    if a > b:
        c = a
        a = b
        b = c
    if size[b] < 0 and (data[off[b]] == a or data[off[b] + 1] == a):
        return b
    if size[a] < 0 and (data[off[a]] == b or data[off[a] + 1] == b):
        return a
    slot = pair_hash(a, b) & mask
    while table[slot] != 0:
        found = table[slot]
        if size[found] < 0 and data[off[found]] == a and data[off[found] + 1] == b:
            return found
        slot = (slot + 1) & mask
    made = used[0]
    table[slot] = made
    off[made] = start
    size[made] = -1
    data[start] = a
    data[start + 1] = b
    used[0] = made + 1
    used[1] = start + 2
    return made


def pair_hash(a, b):
    return mixed(np.int64(a) * 1000003 + np.int64(b))


def mixed(value):
    value = value & 0xFFFFFFFFFFF
    value = value ^ (value >> 17)
    value = (value * 31337) & 0xFFFFFFFFFFF
    return value ^ (value >> 13)


def content_hash(data, start, count):
    total = np.int64(count)
    for k in range(count):
        total = (total * 40503 + np.int64(data[start + k]) + 1) & 0xFFFFFFFFFFF
    return mixed(total)


def same(data, a, b, count):
    k = 0
    while k < count and data[a + k] == data[b + k]:
        k += 1
    return k == count


def full(off, data, used):
    """Is there too little room for another union?"""
    return used[0] + 2 > off.size or used[1] + 2 * SMALL > data.size


def grown(off, size, data, used, table):
    """The arrays with twice the room."""
    count = used[0]
    new_off = np.zeros(2 * off.size + 64, np.int32)
    new_size = np.zeros(2 * off.size + 64, np.int32)
    new_data = np.zeros(2 * data.size + 64, np.int32)
    for k in range(count):  # numba takes seconds to compile the copy of a slice
        new_off[k] = off[k]
        new_size[k] = size[k]
    for k in range(used[1]):
        new_data[k] = data[k]
    length = 1
    while length < 2 * new_off.size:
        length *= 2
    new_table = np.zeros(length, np.int32)
    mask = length - 1
    for old in range(table.size):
        k = table[old]
        if k != 0:
            if new_size[k] < 0:
                slot = pair_hash(np.int64(new_data[new_off[k]]), np.int64(new_data[new_off[k] + 1])) & mask
            else:
                slot = content_hash(new_data, new_off[k], new_size[k]) & mask
            while new_table[slot] != 0:
                slot = (slot + 1) & mask
            new_table[slot] = k
    return new_off, new_size, new_data, new_table


def join_along(off, size, data, used, table, x, every):
    """The unions along the rows of a matrix; of `every` beginning of a row, or of whole rows in one column."""
    out = np.zeros((x.shape[0], x.shape[1] if every else 1), np.int64)
    for i in range(x.shape[0]):
        total = np.int64(0)
        for k in range(x.shape[1]):
            if full(off, data, used):
                off, size, data, table = grown(off, size, data, used, table)
            total = join(off, size, data, used, table, total, x[i, k])
            if every:
                out[i, k] = total
        if not every:
            out[i, 0] = total
    return off, size, data, table, out


def join_at(off, size, data, used, table, x, places, v):
    """x with the sets v joined to those at these places, which may be there more than once."""
    out = np.empty(x.size, np.int64)
    for k in range(x.size):
        out[k] = x[k]
    for k in range(places.size):
        if full(off, data, used):
            off, size, data, table = grown(off, size, data, used, table)
        out[places[k]] = join(off, size, data, used, table, out[places[k]], v[k])
    return off, size, data, table, out


def longer(numbers, total, more):
    """The array, of which so much is used, with room for some more."""
    size = numbers.size
    while total + more > size:
        size *= 2
    if size == numbers.size:
        return numbers
    new = np.empty(size, np.int32)
    for k in range(total):
        new[k] = numbers[k]
    return new


def in_order(numbers, start, stop):
    """Sort a part of an array, mostly a short one."""
    gap = 1
    while gap < (stop - start) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for k in range(start + gap, stop):
            p = numbers[k]
            j = k
            while j >= start + gap and numbers[j - gap] > p:
                numbers[j] = numbers[j - gap]
                j -= gap
            numbers[j] = p
        gap //= 3


def contents(off, size, data, used, handles, count, most):
    """What is in each of these sets, in order, which are different and ascending: as offsets and numbers below `count`.

    Also how many sets were done before more than `most` numbers, or steps, would have been needed.
    """
    starts = np.zeros(handles.size + 1, np.int64)
    numbers = np.empty(max(1024, handles.size * 4), np.int32)
    where = np.zeros(used[0] + 1, np.int64)  # the row that is this set, and 1
    seen = np.zeros(used[0] + 1, np.int64)
    marked = np.zeros(count + 1, np.int64)
    stack = np.empty(1024, np.int64)
    total = 0
    steps = 0
    for row in range(handles.size):
        h = handles[row]
        stamp = row + 1
        stack[0] = h
        depth = 1
        first = total
        while depth > 0:
            depth -= 1
            node = stack[depth]
            if seen[node] == stamp:
                continue
            seen[node] = stamp
            steps += 1
            known = where[node] - 1
            if size[node] < 0 and known < 0:
                if depth + 2 > stack.size:
                    deeper = np.empty(2 * stack.size, np.int64)
                    for k in range(depth):
                        deeper[k] = stack[k]
                    stack = deeper
                stack[depth] = data[off[node]]
                stack[depth + 1] = data[off[node] + 1]
                depth += 2
                continue
            if known < 0:
                low = off[node]
                high = low + size[node]
                numbers = longer(numbers, total, high - low)
                for k in range(high - low):
                    p = data[low + k]
                    if marked[p] != stamp:
                        marked[p] = stamp
                        numbers[total] = p
                        total += 1
            else:
                low = starts[known]
                high = starts[known + 1]
                steps += high - low
                numbers = longer(numbers, total, high - low)
                for k in range(high - low):
                    p = numbers[low + k]
                    if marked[p] != stamp:
                        marked[p] = stamp
                        numbers[total] = p
                        total += 1
            if total > most or steps > 4 * most:
                return starts, numbers, row
        in_order(numbers, first, total)
        starts[row + 1] = total
        where[h] = row + 1
    return starts, numbers, handles.size


def run_code(off, size, data, used, table, code, values, memory, most):
    """Run lines of (what, d, a, b, c) on values: integers, truth values, sets, and where arrays begin in memory.

    Gives up where a number of trips, or which of two arrays is written, is not known, and after `most` lines.
    """
    line = 0
    weak = 0
    steps = 0
    while line < code.shape[0]:
        steps += 1
        if steps > most:
            return off, size, data, table, GIVEN_UP
        if full(off, data, used):
            off, size, data, table = grown(off, size, data, used, table)
        what = code[line, 0]
        d = code[line, 1]
        ia = code[line, 2]
        ib = code[line, 3]
        ic = code[line, 4]
        line += 1
        a = values[ia]
        b = values[ib]
        if what == JOIN:
            values[d] = join(off, size, data, used, table, a, b)
        elif what == MOVE:
            values[d] = a
        elif what == GET_SET:
            if 0 <= b < ic:
                values[d] = memory[a + b]
            else:
                total = np.int64(0)
                for k in range(ic):
                    if full(off, data, used):
                        off, size, data, table = grown(off, size, data, used, table)
                    total = join(off, size, data, used, table, total, memory[a + k])
                steps += ic
                values[d] = total
        elif what in (PUT_SET, JOIN_AT):
            new = values[d]
            if 0 <= b < ic:
                if what == PUT_SET and weak == 0:
                    memory[a + b] = new
                else:
                    memory[a + b] = join(off, size, data, used, table, memory[a + b], new)
            else:
                for k in range(ic):
                    if full(off, data, used):
                        off, size, data, table = grown(off, size, data, used, table)
                    memory[a + k] = join(off, size, data, used, table, memory[a + k], new)
                steps += ic
        elif what == GET:
            values[d] = memory[a + b] if 0 <= b < ic else UNSURE
        elif what in (PUT, ADD_AT):
            new = values[d]
            if 0 <= b < ic:
                old = memory[a + b]
                if what == ADD_AT:
                    new = UNSURE if old == UNSURE or new == UNSURE else old + new
                memory[a + b] = new if weak == 0 or new == old else UNSURE
            else:
                for k in range(ic):
                    memory[a + k] = UNSURE
                steps += ic
        elif what == GOTO:
            line = d
        elif what == UNLESS:
            if a == UNSURE:
                return off, size, data, table, GIVEN_UP
            if a == 0:
                line = d
        elif what == BRANCH:
            if a == UNSURE:
                weak += 1
            elif a == 0:
                line = d
        elif what == END_THEN:
            if a != UNSURE:
                line = d
        elif what == END_IF:
            if a == UNSURE:
                weak -= 1
        elif what == CHOOSE:
            c = values[ic]
            values[d] = (b if b == c else UNSURE) if a == UNSURE else (b if a != 0 else c)
        elif what == CHOOSE_SET:
            c = values[ic]
            values[d] = join(off, size, data, used, table, b, c) if a == UNSURE else (b if a != 0 else c)
        elif what == CHOOSE_ARRAY:
            c = values[ic]
            if a == UNSURE and b != c:
                return off, size, data, table, GIVEN_UP
            values[d] = c if a == 0 else b
        elif what == AND and (a == 0 or b == 0):
            values[d] = 0
        elif what == OR and (a == 1 or b == 1):
            values[d] = 1
        elif a == UNSURE or b == UNSURE:
            values[d] = UNSURE
        else:
            values[d] = integer(what, a, b)
    return off, size, data, table, DONE


def integer(what, a, b):
    """An operation on integers that are known."""
    if what == ADD:
        return a + b
    if what == SUB:
        return a - b
    if what == MUL:
        return a * b
    if what == FLOORDIV:
        return UNSURE if b == 0 else a // b
    if what == MOD:
        return UNSURE if b == 0 else a % b
    if what == MINIMUM:
        return min(a, b)
    if what == MAXIMUM:
        return max(a, b)
    if what == NEG:
        return -a
    if what == NOT:
        return 1 - a
    if what == AND:
        return a & b
    if what == OR:
        return a | b
    if what == XOR:
        return a ^ b
    if what == LT:
        found = a < b
    elif what == LE:
        found = a <= b
    elif what == GT:
        found = a > b
    elif what == GE:
        found = a >= b
    elif what == EQ:
        found = a == b
    else:
        found = a != b
    return np.int64(found)
