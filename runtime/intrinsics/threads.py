"""Running the parts of a loop on all cores: a small pool of threads that generated code calls without Python.

A job is a function of the number of a part. The caller wakes sleeping workers and works itself; each takes the
next part until there is none, and at the end the caller waits only for workers that are inside the job. A
worker that the system does not run in time so costs nothing but its help. While one job runs, the jobs of
other threads are done by those threads alone: right from any number of threads, and in a forked process,
which has no workers. The pool knows neither numba's threading layers nor their rules.

The threads are those of pthreads and compute only; the pool is on Linux. Elsewhere, and on a single core, the
caller does all parts itself: the same parts, hence the same results.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys

import llvmlite.binding as llvm
import llvmlite.ir as ll
import numpy as np
from numba import config, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.core.registry import cpu_target
from numba.extending import intrinsic, lower_builtin, overload, register_jitable, type_callable
from numba.np.arrayobj import make_array, populate_array

from .. import locks

SYMBOL = "pullback_run_parts"
WORD, POINTER = ll.IntType(64), ll.PointerType()
MOST_PARTS = 256
STRIPES = 8

_POOL = """
@busy = internal global i64 0
@open = internal global i64 0
@inside = internal global i64 0
@asleep = internal global i64 0
@next = internal global i64 0
@count = internal global i64 0
@job = internal global ptr null
@data = internal global ptr null
@sleep = internal global [16 x i64] zeroinitializer, align 64

declare i32 @sem_init(ptr, i32, i32)
declare i32 @sem_wait(ptr)
declare i32 @sem_post(ptr)
declare i32 @sched_yield()

define void @reset() {
  store atomic i64 0, ptr @open seq_cst, align 8
  store atomic i64 0, ptr @inside seq_cst, align 8
  store atomic i64 0, ptr @asleep seq_cst, align 8
  store atomic i64 0, ptr @busy seq_cst, align 8
  %unused = call i32 @sem_init(ptr @sleep, i32 0, i32 0)
  ret void
}

define internal void @take(ptr %job, ptr %data, i64 %count) {
  br label %again
again:
  %part = atomicrmw add ptr @next, i64 1 seq_cst
  %more = icmp slt i64 %part, %count
  br i1 %more, label %do, label %end
do:
  call void %job(ptr %data, i64 %part)
  br label %again
end:
  ret void
}

define void @run(ptr %job, ptr %data, i64 %count) {
  %claim = cmpxchg ptr @busy, i64 0, i64 1 seq_cst seq_cst
  %ours = extractvalue { i64, i1 } %claim, 1
  br i1 %ours, label %start, label %alone
alone:
  %k = phi i64 [ 0, %0 ], [ %k.1, %alone.do ]
  %some = icmp slt i64 %k, %count
  br i1 %some, label %alone.do, label %return
alone.do:
  call void %job(ptr %data, i64 %k)
  %k.1 = add i64 %k, 1
  br label %alone
start:
  store ptr %job, ptr @job
  store ptr %data, ptr @data
  store atomic i64 %count, ptr @count seq_cst, align 8
  store atomic i64 0, ptr @next seq_cst, align 8
  store atomic i64 1, ptr @open seq_cst, align 8
  %others = sub i64 %count, 1
  br label %wake
wake:
  %there = load atomic i64, ptr @asleep seq_cst, align 8
  %fewer = icmp slt i64 %there, %others
  %woken = select i1 %fewer, i64 %there, i64 %others
  %none = icmp sle i64 %woken, 0
  br i1 %none, label %work, label %wake.some
wake.some:
  %left = sub i64 %there, %woken
  %exchange = cmpxchg ptr @asleep, i64 %there, i64 %left seq_cst seq_cst
  %exchanged = extractvalue { i64, i1 } %exchange, 1
  br i1 %exchanged, label %post, label %wake
post:
  %p = phi i64 [ %woken, %wake.some ], [ %p.1, %post ]
  %unused = call i32 @sem_post(ptr @sleep)
  %p.1 = sub i64 %p, 1
  %posted = icmp eq i64 %p.1, 0
  br i1 %posted, label %work, label %post
work:
  call void @take(ptr %job, ptr %data, i64 %count)
  store atomic i64 0, ptr @open seq_cst, align 8
  br label %wait
wait:
  %spins = phi i64 [ 0, %work ], [ %spins.1, %wait.on ], [ 0, %wait.yield ]
  %there.1 = load atomic i64, ptr @inside seq_cst, align 8
  %finished = icmp eq i64 %there.1, 0
  br i1 %finished, label %finish, label %wait.on
wait.on:
  %spins.1 = add i64 %spins, 1
  %long = icmp sgt i64 %spins.1, 20000
  br i1 %long, label %wait.yield, label %wait
wait.yield:
  %unused.1 = call i32 @sched_yield()
  br label %wait
finish:
  store atomic i64 0, ptr @busy seq_cst, align 8
  br label %return
return:
  ret void
}

define ptr @worker(ptr %unused) {
  br label %sleep
sleep:
  %before = atomicrmw add ptr @asleep, i64 1 seq_cst
  br label %sleep.on
sleep.on:
  %failed = call i32 @sem_wait(ptr @sleep)
  %interrupted = icmp ne i32 %failed, 0
  br i1 %interrupted, label %sleep.on, label %enter
enter:
  %before.1 = atomicrmw add ptr @inside, i64 1 seq_cst
  %opened = load atomic i64, ptr @open seq_cst, align 8
  %is = icmp ne i64 %opened, 0
  br i1 %is, label %work, label %leave
work:
  %job = load ptr, ptr @job
  %data = load ptr, ptr @data
  %count = load atomic i64, ptr @count seq_cst, align 8
  call void @take(ptr %job, ptr %data, i64 %count)
  br label %leave
leave:
  %before.2 = atomicrmw sub ptr @inside, i64 1 seq_cst
  br label %look
look:
  %looks = phi i64 [ 0, %leave ], [ %looks.1, %look.on ]
  %opened.1 = load atomic i64, ptr @open seq_cst, align 8
  %next = load atomic i64, ptr @next seq_cst, align 8
  %count.1 = load atomic i64, ptr @count seq_cst, align 8
  %is.1 = icmp ne i64 %opened.1, 0
  %more = icmp slt i64 %next, %count.1
  %again = and i1 %is.1, %more
  br i1 %again, label %enter, label %look.on
look.on:
  %looks.1 = add i64 %looks, 1
  %enough = icmp sgt i64 %looks.1, LOOKS
  br i1 %enough, label %sleep, label %look
}
"""
"""`enter`: a worker is counted as inside before it looks whether there is a job, and the caller closes the job
before it looks whether somebody is inside; so no worker reads a job that is over. A worker that has nothing to
do looks for the next job for some microseconds, then sleeps. `asleep` counts those that nobody has woken yet."""

LOOKS = 2000
_lock = locks.make()


def ready() -> int:
    """Start the workers, if that has not been done; what is compiled or loaded later finds the pool.

    How many workers there are: one less than numba's number of threads.
    """
    with _lock:
        return 0 if config.DISABLE_JIT else _start()  # type: ignore[attr-defined]


@functools.cache
def _start() -> int:
    linux = sys.platform.startswith("linux")
    function = _linux if linux else _alone
    return function()


def _compiled(text: str, *names: str) -> list[int]:
    """Machine code of a module: the addresses of these functions, for as long as the process lives."""
    cpu_target.target_context.codegen()  # numba sets LLVM up
    module = llvm.parse_assembly(text)
    machine = llvm.Target.from_default_triple().create_target_machine(opt=2)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    addresses = [engine.get_function_address(name) for name in names]
    engine.detach()  # never freed: workers sleep in it, also while Python shuts down
    return addresses


def _linux() -> int:
    """The pool with its threads."""
    run, worker, clear = _compiled(_POOL.replace("LOOKS", str(LOOKS)), "run", "worker", "reset")
    llvm.add_symbol(SYMBOL, run)
    reset = ctypes.CFUNCTYPE(None)(clear)
    reset()
    os.register_at_fork(after_in_child=reset)
    create = ctypes.CDLL(None).pthread_create
    create.argtypes = [ctypes.c_void_p] * 4
    started = 0
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # signals are for Python's threads
    try:
        for _ in range(config.NUMBA_NUM_THREADS - 1):  # type: ignore[attr-defined]
            thread = ctypes.c_ulong()
            failed = create(ctypes.byref(thread), None, worker, None)
            started += failed == 0
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return started


def _alone() -> int:
    """No pool: the caller does all parts."""
    text = """
    define void @run(ptr %job, ptr %data, i64 %count) {
      br label %alone
    alone:
      %k = phi i64 [ 0, %0 ], [ %k.1, %do ]
      %some = icmp slt i64 %k, %count
      br i1 %some, label %do, label %return
    do:
      call void %job(ptr %data, i64 %k)
      %k.1 = add i64 %k, 1
      br label %alone
    return:
      ret void
    }
    """
    llvm.add_symbol(SYMBOL, *_compiled(text, "run"))
    return 0


# -- what generated code calls ---------------------------------------------------------------------------


@register_jitable
def parts(limit, work, trips, summed):
    """In how many parts a loop is to run: 0 for as it is, because it is too short for more to be worth it.

    `work` is about the number of operations, `trips` the iterations that there are to share, `summed` how many
    elements of arrays each part needs a copy of. The number of cores has no say: results depend on sizes only.
    """
    if work < limit or trips < 2:
        return 0
    count = min(MOST_PARTS, trips, work // max(limit // 16, 1))
    if summed:
        count = min(count, work // (min(limit, 256) * summed))
    return count if count > 1 else 0


def share(part, count, start, stop):
    """Which of the iterations start <= i < stop a part does: the first, and how many."""
    trips = stop - start
    first = trips * part // count
    return start + first, trips * (part + 1) // count - first


@overload(share)
def _share(part, count, start, stop):
    def call(part, count, start, stop):
        trips = stop - start
        first = _ratio(trips * part, count)
        return start + first, _ratio(trips * (part + 1), count) - first

    return call


@intrinsic
def _ratio(context, value, count):
    """value // count where neither is negative, as LLVM can see: so subscripts need not be tested for that."""

    def generate(context, builder, signature, args):
        return builder.and_(builder.udiv(*args), WORD(2**63 - 1))

    return value(value, count), generate


@register_jitable
def total(start, values):
    """start + the sum of the values, in their order."""
    for value in values:
        start = start + value
    return start


@register_jitable
def largest(start, values):
    """The largest, nan if there is one."""
    for value in values:
        start = np.maximum(start, value)
    return start


@register_jitable
def smallest(start, values):
    """The smallest, nan if there is one."""
    for value in values:
        start = np.minimum(start, value)
    return start


# What works on whole arrays is spelled out for LLVM: numba would compile a function per rank, for a third of a second.


def own_zeros(copies, part, like):
    """The copy of an array that this part adds to, zero at first; `copies` has room for that of each part."""
    own = copies[part * like.size : (part + 1) * like.size].reshape(like.shape)
    own[...] = 0
    return own


@overload(own_zeros)
def _own_zeros(copies, part, like):
    return lambda copies, part, like: _zeroed(copies, part, like)


@intrinsic
def _zeroed(context, copies, part, like):
    def generate(context, builder, signature, args):
        source, model = (make_array(signature.args[k])(context, builder, args[k]) for k in (0, 2))
        result = make_array(signature.return_type)(context, builder)
        data = builder.gep(source.data, [builder.mul(args[1], model.nitems)])
        cgutils.memset(builder, data, builder.mul(model.nitems, model.itemsize), 0)
        populate_array(
            result, data=data, shape=model.shape, strides=model.strides, itemsize=model.itemsize,
            meminfo=source.meminfo, parent=source.parent,
        )  # fmt: skip
        return impl_ret_borrowed(context, builder, signature.return_type, result._getvalue())

    return like(copies, part, like), generate


def add_all(array, copies):
    """Add what the parts have in their copies, one after the other."""
    for k in range(copies.size // max(array.size, 1)):
        array += copies[k * array.size : (k + 1) * array.size].reshape(array.shape)


@overload(add_all)
def _add_all(array, copies):
    return lambda array, copies: _added(array, copies)


@intrinsic
def _added(context, array, copies):
    def generate(context, builder, signature, args):
        target, source = (make_array(signature.args[k])(context, builder, args[k]) for k in (0, 1))
        add = builder.fadd if isinstance(array.dtype, types.Float) else builder.add
        one = WORD(1)
        count = builder.udiv(source.nitems, builder.select(
            builder.icmp_signed("==", target.nitems, WORD(0)), one, target.nitems
        ))  # fmt: skip
        with cgutils.for_range(builder, count) as copy:
            start = builder.mul(copy.index, target.nitems)
            with cgutils.for_range(builder, target.nitems) as element:
                place = builder.gep(target.data, [element.index])
                value = builder.load(builder.gep(source.data, [builder.add(start, element.index)]))
                builder.store(add(builder.load(place), value), place)
        return context.get_dummy_value()

    return types.void(array, copies), generate


def on_all_cores(function, count, args):
    """Call function(part, count, *args) for each part, in any order and at the same time."""
    _one_by_one(function, range(count), count, args)


def in_two_turns(function, count, args):
    """The same for every other part, then for those between: no two beside each other at the same time."""
    _one_by_one(function, [*range(0, count, 2), *range(1, count, 2)], count, args)


def _one_by_one(function, parts, count, args):
    args = tuple(np.float64(a) if type(a) is float else a for a in args)
    for part in parts:
        function(part, count, *args)


@type_callable(on_all_cores)
@type_callable(in_two_turns)
def _type_of_run(context):
    def typed(function, count, args):
        function.get_call_type(context, _operands(args), {})  # compiles it
        return types.void

    return typed


def _operands(args):
    return (types.intp, types.intp, *args)


@lower_builtin(on_all_cores, types.Any, types.Any, types.Any)
def _lower_run(context, builder, signature, values):
    _launch(context, builder, signature, values, 0, 1)
    return context.get_dummy_value()


@lower_builtin(in_two_turns, types.Any, types.Any, types.Any)
def _lower_turns(context, builder, signature, values):
    for first in (0, 1):
        _launch(context, builder, signature, values, first, 2)
    return context.get_dummy_value()


def _launch(context, builder, signature, values, first, step):
    """Hand a job to the pool: the parts first, first + step, ..."""
    function, _, args = signature.args
    called = function.get_call_type(context.typing_context, _operands(args), {})
    part = function.dispatcher.get_compile_result(called)
    context.active_code_library.add_linking_library(part.library)
    struct = cgutils.make_anonymous_struct(builder, [WORD(0), *values[1:]])
    data = cgutils.alloca_once_value(builder, struct)
    job = _job(context, builder.module, part.fndesc, called, struct.type, first, step)
    run = ll.FunctionType(ll.VoidType(), [POINTER, POINTER, WORD])
    pool = cgutils.get_or_insert_function(builder.module, run, SYMBOL)
    jobs = builder.sdiv(builder.add(values[1], WORD(step - 1 - first)), WORD(step))
    builder.call(pool, [builder.bitcast(job, POINTER), builder.bitcast(data, POINTER), jobs])
    failed = builder.extract_value(builder.load(data), 0)
    with cgutils.if_unlikely(builder, builder.icmp_signed("!=", failed, WORD(0))):
        context.call_conv.return_user_exc(builder, MemoryError, ("no memory for a loop on all cores",))


def _apart(builder, number, count, first, step):
    """Which part comes at this place: neighbours in time are no neighbours in memory.

    Otherwise threads would touch the same huge page of a new array at once, and each would clear it.
    """
    jobs = builder.sdiv(builder.add(count, WORD(step - 1 - first)), WORD(step))
    each = builder.sdiv(jobs, WORD(STRIPES))
    stripe, place = builder.srem(number, WORD(STRIPES)), builder.sdiv(number, WORD(STRIPES))
    striped = builder.add(builder.mul(stripe, each), place)
    return builder.select(builder.icmp_signed("<", number, builder.mul(each, WORD(STRIPES))), striped, number)


def _job(context, module, description, called, struct, first, step):
    """A function of (pointer, number) for the pool: calls the compiled one with what is in the struct there.

    What fails, because it cannot allocate, says so in the first field.
    """
    job = ll.Function(module, ll.FunctionType(ll.VoidType(), [POINTER, WORD]), module.get_unique_name("job"))
    job.linkage = "internal"
    builder = ll.IRBuilder(job.append_basic_block())
    given = builder.load(job.args[0], typ=struct)
    count, args = (builder.extract_value(given, k) for k in (1, 2))
    part = builder.add(WORD(first), builder.mul(WORD(step), _apart(builder, job.args[1], count, first, step)))
    operands = [part, count, *cgutils.unpack_tuple(builder, args)]
    status, _ = context.call_internal_no_propagate(builder, description, called, operands)
    with cgutils.if_unlikely(builder, status.is_error):
        builder.store(WORD(1), job.args[0])
    builder.ret_void()
    return job
