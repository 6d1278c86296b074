/* Carries out AVX-512 IFMA for a processor that has AVX-512F without it (x86-64 Linux, by LD_PRELOAD).
 *
 * The processor refuses vpmadd52luq and vpmadd52huq with SIGILL. The handler decodes the refused instruction, does its
 * work on the registers that the kernel saved in the signal frame, and goes on behind it; returning from the handler loads
 * them again. Only these two instructions in their EVEX encoding are known. Anything else is printed and ends the program
 * as it would have without this library.
 *
 * The layout is that of Intel's Software Developer's Manual: volume 1, chapter 13 (XSAVE), volume 2, 2.7 (EVEX). */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

/* Components of the XSAVE area, by their bit in XSTATE_BV. */
enum { SSE = 1, AVX = 2, OPMASK = 5, ZMM_HI256 = 6, HI16_ZMM = 7 };
enum { XMM_OFFSET = 160, SOFTWARE_OFFSET = 464, HEADER_OFFSET = 512, SOFTWARE_MAGIC = 0x46505853 };
#define DIGIT ((UINT64_C(1) << 52) - 1)

static struct { uint32_t offset, size; } component[HI16_ZMM + 1];
static uint64_t emulated;

/* Instructions encode general registers in another order than signal frames. */
static const int general[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

struct instruction {
    int high, bytes, broadcast, merge, mask, target, left;
    int right;        /* a register, or -1: */
    uint64_t address; /* the operand in memory */
    int length;       /* of the encoding */
};

/* One that this library does not know, or that is no instruction at all, is refused with 0. */
static int decode(const uint8_t *code, const greg_t *registers, struct instruction *found) {
    /* Stops at the first byte that does not fit, so as not to read beyond the end of the program's code. */
    if (code[0] != 0x62 || (code[1] & 0x0f) != 0x02 || (code[2] & 0x87) != 0x85) return 0;
    if (code[4] != 0xb4 && code[4] != 0xb5) return 0;
    const int p0 = code[1], p1 = code[2], p2 = code[3], modrm = code[5];
    /* The bits of P0, the register in P1, and V' in P2 are stored inverted. */
    const int r = !(p0 & 0x80) << 3 | !(p0 & 0x10) << 4, x = !(p0 & 0x40) << 3, b = !(p0 & 0x20) << 3;
    const int size = p2 >> 5 & 3, mod = modrm >> 6, rm = modrm & 7;

    found->high = code[4] & 1;
    found->bytes = 16 << size;
    found->broadcast = p2 >> 4 & 1;
    found->mask = p2 & 7;
    found->merge = !(p2 & 0x80);
    found->target = r | (modrm >> 3 & 7);
    found->left = (~p1 >> 3 & 15) | !(p2 & 0x08) << 4;
    if (size == 3 || (!found->merge && found->mask == 0)) return 0;

    const uint8_t *at = code + 6;
    if (mod == 3) {
        if (found->broadcast) return 0;
        found->right = x << 1 | b | rm;
        found->address = 0;
        found->length = 6;
        return 1;
    }
    found->right = -1;
    uint64_t address = 0;
    int wide = mod == 2, relative = 0;
    if (rm == 4) {
        const int sib = *at++, index = x | (sib >> 3 & 7);
        if (index != 4) address = (uint64_t)registers[general[index]] << (sib >> 6);
        if ((sib & 7) == 5 && mod == 0) wide = 1;
        else address += (uint64_t)registers[general[b | (sib & 7)]];
    } else if (rm == 5 && mod == 0) {
        wide = relative = 1;
    } else {
        address = (uint64_t)registers[general[b | rm]];
    }
    if (wide) {
        int32_t displacement;
        memcpy(&displacement, at, 4);
        address += (uint64_t)(int64_t)displacement;
        at += 4;
    } else if (mod == 1) {
        /* Counted in operands. */
        address += (uint64_t)((int64_t)(int8_t)*at++ * (found->broadcast ? 8 : found->bytes));
    }
    if (relative) address += (uint64_t)(uintptr_t)at;
    found->address = address;
    found->length = (int)(at - code);
    return 1;
}

/* A register is spread over components; one that is not in XSTATE_BV is zero, whatever memory holds. */
static uint64_t *header(uint8_t *area) { return (uint64_t *)(area + HEADER_OFFSET); }

static const uint8_t *readable(uint8_t *area, int which) {
    return *header(area) >> which & 1 ? area + component[which].offset : NULL;
}

static uint8_t *writable(uint8_t *area, int which) {
    uint8_t *part = area + component[which].offset;
    if (!readable(area, which)) memset(part, 0, component[which].size);
    *header(area) |= UINT64_C(1) << which;
    return part;
}

/* The parts of a register: where it is in its component, and where in the register. */
struct part { int which, start, size, within; };

static int parts(int number, struct part *part) {
    if (number >= 16) {
        part[0] = (struct part){HI16_ZMM, 64 * (number - 16), 64, 0};
        return 1;
    }
    part[0] = (struct part){SSE, 16 * number, 16, 0};
    part[1] = (struct part){AVX, 16 * number, 16, 16};
    part[2] = (struct part){ZMM_HI256, 32 * number, 32, 32};
    return 3;
}

static void read_register(uint8_t *area, int number, uint64_t lanes[8]) {
    struct part part[3];
    for (int i = 0, count = parts(number, part); i < count; i++) {
        const uint8_t *from = readable(area, part[i].which);
        uint8_t *to = (uint8_t *)lanes + part[i].within;
        if (from) memcpy(to, from + part[i].start, part[i].size);
        else memset(to, 0, part[i].size);
    }
}

static void write_register(uint8_t *area, int number, const uint64_t lanes[8]) {
    struct part part[3];
    for (int i = 0, count = parts(number, part); i < count; i++)
        memcpy(writable(area, part[i].which) + part[i].start, (const uint8_t *)lanes + part[i].within, part[i].size);
}

static void emulate(const struct instruction *one, uint8_t *area) {
    const int count = one->bytes / 8;
    uint64_t target[8], left[8], right[8] = {0}, mask = ~UINT64_C(0);
    read_register(area, one->target, target);
    read_register(area, one->left, left);
    if (one->right >= 0) read_register(area, one->right, right);
    if (one->mask) {
        const uint8_t *masks = readable(area, OPMASK);
        mask = 0;
        if (masks) memcpy(&mask, masks + 8 * one->mask, 8);
    }
    for (int lane = 0; lane < 8; lane++) {
        /* An instruction on shorter vectors clears the rest of the register. */
        if (lane >= count || !(mask >> lane & 1)) {
            if (lane >= count || !one->merge) target[lane] = 0;
            continue;
        }
        /* Lanes that are masked out are not read, as they may lie in memory that is not there. */
        if (one->right < 0)
            memcpy(&right[lane], (const void *)(uintptr_t)(one->address + (one->broadcast ? 0 : 8 * lane)), 8);
        const unsigned __int128 product = (unsigned __int128)(left[lane] & DIGIT) * (right[lane] & DIGIT);
        target[lane] += (uint64_t)(one->high ? product >> 52 : product & DIGIT);
    }
    write_register(area, one->target, target);
}

/* Behind the handler the instruction is refused again, and ends the program. */
static void give_up(const uint8_t *code) {
    char text[80] = "emulate-ifma: not an IFMA instruction:";
    size_t length = strlen(text);
    /* The page behind the code may not be there. */
    for (int i = 0; i < 11 && (i == 0 || (uintptr_t)(code + i) % 4096 != 0); i++) {
        text[length++] = ' ';
        text[length++] = "0123456789abcdef"[code[i] >> 4];
        text[length++] = "0123456789abcdef"[code[i] & 15];
    }
    text[length++] = '\n';
    if (write(STDERR_FILENO, text, length) < 0) {}
    signal(SIGILL, SIG_DFL);
}

static void refused(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)info;
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    uint8_t *area = (uint8_t *)machine->fpregs;
    struct instruction one;
    uint64_t done = 0;
    uint32_t magic = 0;
    uint64_t features = 0;
    if (area) {
        memcpy(&magic, area + SOFTWARE_OFFSET, 4);
        memcpy(&features, area + SOFTWARE_OFFSET + 8, 8);
    }
    const int whole = magic == SOFTWARE_MAGIC && (features & 0xe6) == 0xe6;
    /* They come in runs, and a signal costs far more than an instruction: the whole run is done at once. */
    for (;;) {
        const uint8_t *code = (const uint8_t *)machine->gregs[REG_RIP];
        if (!whole || !decode(code, machine->gregs, &one)) {
            if (done == 0) give_up(code);
            break;
        }
        emulate(&one, area);
        machine->gregs[REG_RIP] += one.length;
        done++;
    }
    __atomic_fetch_add(&emulated, done, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void install(void) {
    uint32_t a, b, c, d;
    component[SSE].offset = XMM_OFFSET;
    component[SSE].size = 16 * 16;
    for (int which = AVX; which <= HI16_ZMM; which++) {
        if (!__get_cpuid_count(0x0d, which, &a, &b, &c, &d)) return;
        component[which].size = a;
        component[which].offset = b;
    }
    /* Holds for all threads. Rust gives each a signal stack, on which the frame fits. */
    struct sigaction action = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGILL, &action, NULL);
}

__attribute__((destructor)) static void report(void) {
    fprintf(stderr, "emulated %llu instructions\n", (unsigned long long)__atomic_load_n(&emulated, __ATOMIC_RELAXED));
}
