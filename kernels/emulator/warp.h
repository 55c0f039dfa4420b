// warp.h - warp operations: every lane puts a value into its slot, all wait, every lane reads others.
#pragma once

namespace cuda_on_cpu {

static inline int lane() { return state.current % WARP; }
static inline Warp& warp() { return state.warps[state.current / WARP]; }

struct Exchange {                    // the slots of one finished warp operation
    char (*slots)[SLOT_BYTES];
    template <class T> T from(int source) const {
        T value;
        memcpy(&value, slots[source % WARP], sizeof value);
        return value;
    }
};
template <class T> static Exchange exchange(const T& value, const char* name, int line) {
    static_assert(sizeof(T) <= SLOT_BYTES, "too large for a warp operation");
    Exchange result{warp().slots[state.threads[state.current].exchanges++ % 2]};
    memcpy(result.slots[lane()], &value, sizeof value);
    wait_at(warp().barrier, warp().unfinished, name, line);
    return result;
}
static void check_mask(unsigned mask, const char* name, int line) {
    if (mask == ~0u) return;
    const int first = state.current / WARP * WARP;
    for (int i = first; i < std::min(first + WARP, int(state.threads.size())); ++i)
        if (!state.threads[i].finished && !(mask >> (i - first) & 1))
            fail("%s in line %d: mask 0x%08x leaves out lane %d; the emulator wants all lanes "
                 "that have not finished", name, line, mask, i - first);
}
static inline void sync_block(int line) {
    wait_at(state.block_barrier, state.unfinished, "__syncthreads()", line);
}
static inline void sync_warp(int line, unsigned mask = ~0u) {
    check_mask(mask, "__syncwarp", line);
    wait_at(warp().barrier, warp().unfinished, "__syncwarp", line);
}
// Lane l of a group of `width` lanes reads source(l, first lane of the group).
template <class T, class Source>
static T shuffle(const char* name, int line, unsigned mask, T value, int width, Source source) {
    check_mask(mask, name, line);
    const int own = lane(), first = own / width * width, wanted = source(own, first);
    return exchange(value, name, line).template from<T>(
        wanted >= first && wanted < first + width ? wanted : own);
}
template <class T> static T shfl(int line, unsigned mask, T value, int source, int width = 32) {
    return shuffle("__shfl_sync", line, mask, value, width,
                   [=](int, int first) { return first + (source & (width - 1)); });
}
template <class T> static T shfl_xor(int line, unsigned mask, T value, int bits, int width = 32) {
    return shuffle("__shfl_xor_sync", line, mask, value, width,
                   [=](int own, int) { return own ^ bits; });
}
template <class T> static T shfl_down(int line, unsigned mask, T value, int by, int width = 32) {
    return shuffle("__shfl_down_sync", line, mask, value, width,
                   [=](int own, int) { return own + by; });
}
template <class T> static T shfl_up(int line, unsigned mask, T value, int by, int width = 32) {
    return shuffle("__shfl_up_sync", line, mask, value, width,
                   [=](int own, int) { return own - by; });
}
static unsigned ballot(int line, unsigned mask, int predicate) {
    check_mask(mask, "__ballot_sync", line);
    unsigned& votes = warp().votes[state.threads[state.current].exchanges++ % 2];
    if (warp().barrier.arrived == 0) votes = 0;            // the first to come
    if (predicate) votes |= 1u << lane();
    wait_at(warp().barrier, warp().unfinished, "__ballot_sync", line);
    return votes;
}
static inline unsigned active_lanes() {
    unsigned result = 0;
    const int first = state.current / WARP * WARP;
    for (int l = 0; l < WARP && first + l < int(state.threads.size()); ++l)
        if (!state.threads[first + l].finished) result |= 1u << l;
    return result;
}

// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32: D = A B + C by the 32 lanes of a warp
// together, A 16x16, B 16x8, C and D 16x8. Which lane holds which element is the fragment
// layout of the PTX manual: lane 4g + t has rows g and g+8, columns 2t and 2t+1 (of each half).
struct MmaOperands { unsigned a[4], b[2]; };
static inline float bf16_value(unsigned word, int half) {
    return same_bits<float>((word >> 16 * half) << 16);
}
static inline void mma_m16n8k16_bf16(int line, float c[4], const unsigned a[4],
                                     const unsigned b[2]) {
    const MmaOperands own = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const Exchange all = exchange(own, "mma.sync", line);
    const int g = lane() / 4, t = lane() % 4;
    for (int i = 0; i < 4; ++i) {
        const int row = g + 8 * (i / 2), column = 2 * t + i % 2;
        for (int k = 0; k < 16; ++k) {
            const auto of_a = all.from<MmaOperands>(row % 8 * 4 + k % 8 / 2);
            const auto of_b = all.from<MmaOperands>(column * 4 + k % 8 / 2);
            c[i] += bf16_value(of_a.a[row / 8 + 2 * (k / 8)], k % 2)
                  * bf16_value(of_b.b[k / 8], k % 2);
        }
    }
}

// mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32: the same with A 16x8 and B 8x8. Lane 4g + t
// has rows g and g+8, columns t and t+4 of A, rows t and t+4 and column g of B; C and D as above.
// Tensor cores read the upper 19 bits of an operand only.
static inline float tf32_value(unsigned word) { return same_bits<float>(word & 0xffffe000u); }
static inline void mma_m16n8k8_tf32(int line, float c[4], const unsigned a[4],
                                    const unsigned b[2]) {
    const MmaOperands own = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const Exchange all = exchange(own, "mma.sync", line);
    const int g = lane() / 4, t = lane() % 4;
    for (int i = 0; i < 4; ++i) {
        const int row = g + 8 * (i / 2), column = 2 * t + i % 2;
        for (int k = 0; k < 8; ++k) {
            const auto of_a = all.from<MmaOperands>(row % 8 * 4 + k % 4);
            const auto of_b = all.from<MmaOperands>(column * 4 + k % 4);
            c[i] += tf32_value(of_a.a[row / 8 + 2 * (k / 4)]) * tf32_value(of_b.b[k / 4]);
        }
    }
}
}  // namespace cuda_on_cpu
