// scheduler.h - threads, fibers and barriers: what cuda_on_cpu.h describes.
#pragma once

namespace cuda_on_cpu {

constexpr int WARP = 32;
constexpr size_t STACK_BYTES = 256 * 1024, PAGE_BYTES = 4096;
constexpr size_t DYNAMIC_SHARED_BYTES = 227 * 1024;     // the most a block can have (sm_90)
constexpr size_t GUARD_BYTES = 128;                     // must still be all ones after a block;
                                                        // cuda_on_cpu.h has as many, too
constexpr size_t SLOT_BYTES = 32;                       // what one lane can give to its warp

enum Order { FORWARD = 0, REVERSE = 1, SHUFFLE = 2 };

template <class To, class From> static To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "sizes differ");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

struct Thread {
    uint3 index;
    int fiber = -1;                  // the fiber it runs on; -1: not started
    bool finished = false;
    const char* waits_for = nullptr; // the barrier it has arrived at ...
    int line = 0;                    // ... and where that stands in the .cu file
    unsigned exchanges = 0;          // warp operations done so far
};

struct Fiber {
    char* stack;
    jmp_buf registers;               // where it goes on; valid while it is put aside
};

struct Barrier {
    int arrived = 0;                 // threads that wait here at this moment
    unsigned openings = 0;           // how often it has opened: waiting threads watch this
    const char* name = nullptr;      // what the first of them called ...
    int line = 0;                    // ... and where
};

struct Warp {
    Barrier barrier;
    int unfinished = 0;
    // What the lanes give to each other. Two sets, used in turn: a fast lane may already write
    // for the next operation while a slow one still reads the results of this one.
    alignas(16) char slots[2][WARP][SLOT_BYTES];
    unsigned votes[2];
};

struct Launch {
    std::vector<Thread> threads;     // of the block that runs now
    std::vector<int> order;          // in which they get their turns
    size_t position = 0;             // of the current thread in `order`
    int current = 0;                 // index of the thread that has its turn
    int unfinished = 0;
    long events = 0;                 // arrivals, openings, endings: "has anything happened?"
    Barrier block_barrier;
    std::vector<Warp> warps;
    std::vector<Fiber*> fibers;      // kept from launch to launch
    std::vector<int> idle_fibers;
    jmp_buf scheduler;               // where the scheduler goes on when a turn ends
    void (*call_kernel)(void*) = nullptr;
    void* call_argument = nullptr;
    char error[512] = "";
};
static Launch state;
alignas(128) static char dynamic_memory[GUARD_BYTES + DYNAMIC_SHARED_BYTES + GUARD_BYTES];
static char* const dynamic_shared = dynamic_memory + GUARD_BYTES;

// Ends the launch from inside a thread; emulator.py turns the text into a Python exception.
CUDA_ON_CPU_SWITCHES __attribute__((format(printf, 1, 2)))
[[noreturn]] static void fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(state.error, sizeof state.error, format, arguments);
    va_end(arguments);
    _longjmp(state.scheduler, 1);
}

// Called where an index is outside an array of known length: a thread's own, or a shared one.
struct Place { const char* file; unsigned line, column; };
extern "C" __attribute__((visibility("hidden")))
void __ubsan_handle_out_of_bounds_abort(const Place* place, uintptr_t index) {
    fail("index %ld is outside its array, in line %u", long(index), place->line);
}

// Every fiber begins here. It runs threads until there is none left to start, then lies idle;
// longjmp to its saved registers wakes it for another thread, perhaps of another launch.
CUDA_ON_CPU_SWITCHES static void fiber_main() {
    const int self = int(state.fibers.size()) - 1;
    for (;;) {
        state.threads[state.current].fiber = self;
        state.call_kernel(state.call_argument);            // may be put aside and go on later

        state.threads[state.current].finished = true;
        --state.unfinished;
        --state.warps[state.current / WARP].unfinished;
        ++state.events;

        const size_t next = state.position + 1;
        if (next < state.order.size() && state.threads[state.order[next]].fiber < 0) {
            state.position = next;
            state.current = state.order[next];
            threadIdx = state.threads[state.current].index;
            continue;
        }
        state.idle_fibers.push_back(self);
        if (!_setjmp(state.fibers[self]->registers)) _longjmp(state.scheduler, 1);
    }
}

CUDA_ON_CPU_SWITCHES static void start_new_fiber() {
    Fiber* fiber = new Fiber;
    fiber->stack = static_cast<char*>(mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (fiber->stack == MAP_FAILED) fail("no memory for the stack of a thread");
    mprotect(fiber->stack, PAGE_BYTES, PROT_NONE);         // a stack overflow hits this page
    // Stacks that begin at the same place of a page would fight for the same cache lines.
    const size_t skew = state.fibers.size() * 208 % 16384;
    state.fibers.push_back(fiber);
    static ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber->stack;
    context.uc_stack.ss_size = STACK_BYTES - skew;
    context.uc_link = nullptr;
    makecontext(&context, fiber_main, 0);
    setcontext(&context);                                  // slower than longjmp, needed once
}

// Gives thread t its turn; returns when the turn is over.
CUDA_ON_CPU_SWITCHES static void take_turn(int t) {
    state.current = t;
    threadIdx = state.threads[t].index;
    if (_setjmp(state.scheduler)) return;
    if (state.threads[t].fiber >= 0) _longjmp(state.fibers[state.threads[t].fiber]->registers, 1);
    if (state.idle_fibers.empty()) start_new_fiber();
    const int fiber = state.idle_fibers.back();
    state.idle_fibers.pop_back();
    state.threads[t].fiber = fiber;
    _longjmp(state.fibers[fiber]->registers, 1);
}

// Called by a thread: ends its turn; returns at the beginning of its next one.
CUDA_ON_CPU_SWITCHES static void end_turn() {
    if (!_setjmp(state.fibers[state.threads[state.current].fiber]->registers))
        _longjmp(state.scheduler, 1);
}

// Called by a thread: returns when `members` threads have arrived. A reference, because threads
// that finish in the meantime no longer count.
static void wait_at(Barrier& barrier, const int& members, const char* name, int line) {
    Thread& thread = state.threads[state.current];
    if (barrier.arrived == 0) {
        barrier.name = name;
        barrier.line = line;
    } else if (barrier.line != line || (barrier.name != name && strcmp(barrier.name, name))) {
        fail("threads that must meet are at different places: %s in line %d and %s in line %d",
             barrier.name, barrier.line, name, line);
    }
    thread.waits_for = name;
    thread.line = line;
    ++barrier.arrived;
    ++state.events;
    const unsigned before = barrier.openings;
    while (barrier.openings == before) {
        if (barrier.arrived >= members) {
            barrier.arrived = 0;
            ++barrier.openings;
            ++state.events;
        } else {
            end_turn();
        }
    }
    thread.waits_for = nullptr;
}

// Writes what every thread waits for into state.error.
static void report_deadlock() {
    const int size = sizeof state.error;
    int used = snprintf(state.error, size, "deadlock:"), finished = 0;
    std::vector<bool> counted(state.threads.size());
    for (size_t i = 0; i < state.threads.size(); ++i) {
        const Thread& thread = state.threads[i];
        finished += thread.finished;
        if (thread.finished || counted[i] || used >= size) continue;
        int waiting = 0;
        for (size_t j = i; j < state.threads.size(); ++j) {
            const Thread& other = state.threads[j];
            if (other.finished || other.line != thread.line ||
                strcmp(other.waits_for, thread.waits_for)) continue;
            counted[j] = true;
            ++waiting;
        }
        used += snprintf(state.error + used, size - used, " %d threads wait at %s in line %d,",
                         waiting, thread.waits_for, thread.line);
    }
    if (used < size) snprintf(state.error + used, size - used, " %d have finished", finished);
}

struct Random {                      // xorshift: the same order for the same seed, everywhere
    uint64_t bits;
    explicit Random(unsigned seed) : bits(seed * 2654435761u + 88172645463325252ull) {}
    int below(int limit) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        return int(bits % uint64_t(limit));
    }
    void shuffle(std::vector<int>& items) {
        for (int i = int(items.size()) - 1; i > 0; --i) std::swap(items[i], items[below(i + 1)]);
    }
};

static std::vector<int> sequence(int size, int order) {
    std::vector<int> items(size);
    for (int i = 0; i < size; ++i) items[i] = order == REVERSE ? size - 1 - i : i;
    return items;
}

static void check_guard(const char* guard, const char* where, const char* of_what) {
    for (size_t i = 0; i < GUARD_BYTES; ++i)
        if (guard[i] != char(0xFF))
            snprintf(state.error, sizeof state.error, "block (%u, %u, %u) wrote %s of its %s",
                     blockIdx.x, blockIdx.y, blockIdx.z, where, of_what);
}

static void run_block(int size, size_t shared_bytes, int order, Random& random) {
    memset(__start_shared_arrays, 0xFF, __stop_shared_arrays - __start_shared_arrays);
    memset(dynamic_memory, 0xFF, shared_bytes + 2 * GUARD_BYTES);
    const int warps = (size + WARP - 1) / WARP;
    state.threads.assign(size, Thread());
    state.warps.resize(warps);
    for (Warp& warp : state.warps) {
        warp.barrier = Barrier();
        warp.unfinished = 0;
    }
    for (int i = 0; i < size; ++i) {
        const unsigned t = i;
        state.threads[i].index = {t % blockDim.x, t / blockDim.x % blockDim.y,
                                  t / blockDim.x / blockDim.y};
        ++state.warps[i / WARP].unfinished;
    }
    state.block_barrier = Barrier();
    state.order = sequence(size, order);
    state.unfinished = size;
    while (state.unfinished > 0) {
        if (order == SHUFFLE) random.shuffle(state.order);
        const long before = state.events;
        for (state.position = 0; state.position < state.order.size(); ++state.position) {
            const int t = state.order[state.position];
            if (!state.threads[t].finished) take_turn(t);
            if (state.error[0]) return;
        }
        if (state.events == before) return report_deadlock();
    }
    check_guard(__start_shared_arrays, "before the beginning", "shared arrays");
    check_guard(__stop_shared_arrays - GUARD_BYTES, "behind the end", "shared arrays");
    check_guard(dynamic_memory, "before the beginning", "dynamic shared memory");
    check_guard(dynamic_shared + shared_bytes, "behind the end", "dynamic shared memory");
}

// Runs all blocks of a launch. Returns nullptr or the text of an error.
template <class Call>
static const char* run_grid(const unsigned* sizes, size_t shared_bytes, int order, unsigned seed,
                            Call&& call) {
    gridDim = {sizes[0], sizes[1], sizes[2]};
    blockDim = {sizes[3], sizes[4], sizes[5]};
    state.call_kernel = [](void* argument) { (*static_cast<std::decay_t<Call>*>(argument))(); };
    state.call_argument = &call;
    state.error[0] = '\0';
    Random random(seed);
    std::vector<int> blocks = sequence(int(gridDim.x * gridDim.y * gridDim.z), order);
    if (order == SHUFFLE) random.shuffle(blocks);
    for (int block : blocks) {
        const unsigned b = block;
        blockIdx = {b % gridDim.x, b / gridDim.x % gridDim.y, b / gridDim.x / gridDim.y};
        run_block(int(blockDim.x * blockDim.y * blockDim.z), shared_bytes, order, random);
        if (!state.error[0]) continue;
        // Threads of this block still stand in the middle of the kernel: drop all the stacks.
        for (Fiber* fiber : state.fibers) {
            munmap(fiber->stack, STACK_BYTES);
            delete fiber;
        }
        state.fibers.clear();
        state.idle_fibers.clear();
        break;
    }
    fflush(stdout);
    return state.error[0] ? state.error : nullptr;
}

// arguments[i] points to the value of the i-th parameter, as in cuLaunchKernel.
template <class... Parameters, size_t... I>
static const char* launch_with(void (*kernel)(Parameters...), const unsigned* sizes,
                               size_t shared_bytes, int order, unsigned seed, void** arguments,
                               std::index_sequence<I...>) {
    return run_grid(sizes, shared_bytes, order, seed, [=] {
        kernel(*static_cast<std::remove_reference_t<Parameters>*>(arguments[I])...);
    });
}
template <class... Parameters>
static const char* launch(void (*kernel)(Parameters...), const unsigned* sizes,
                          size_t shared_bytes, int order, unsigned seed, void** arguments) {
    return launch_with(kernel, sizes, shared_bytes, order, seed, arguments,
                       std::index_sequence_for<Parameters...>());
}
}  // namespace cuda_on_cpu
