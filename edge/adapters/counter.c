/* Counts the instructions of a guest of qemu's user mode, and tells them when the guest says so.
 *
 * The guest marks a place by prctl(MAGIC, mark, 0, MAGIC, 0), which means nothing to a kernel. For each
 * one a line goes to the file of the argument out=FILE, in one write:
 *
 *   edgekit-count 1 PID MARK INSTRUCTIONS GUEST_KB EMULATOR_KB PEAK_KB
 *
 * Resident memory is this process's by /proc/self/smaps: the guest's pages, what is the emulator's
 * (its program, libraries, heap and translated code), and the largest that both ever were (VmHWM).
 *
 * What is declared here is of qemu's plugin API, version 1 (qemu 6.0 to 8.2) and version 2 (from 9.0),
 * in which the counters became a scoreboard. An emulator lacks the functions of the other version.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define EITHER __attribute__((weak))

/* "edkt" and below 2^31, so that it is the same in a 32-bit guest. */
#define MAGIC 0x65646b74
#define ADD_U64 0
#define LONGEST 4096
/* Of 48 bits; a 64-bit guest's memory is below, a position-independent emulator's is above (at 0x55…
 * and 0x7f…). */
#define GUEST_BYTES_64 (UINT64_C(1) << 44)
#define GUEST_BYTES_32 (UINT64_C(1) << 32)

typedef uint64_t plugin_id;
struct plugin_tb;
struct plugin_insn;
struct scoreboard;
struct counter {
    struct scoreboard *score;
    size_t offset;
};
/* What follows is not looked at. */
struct info {
    const char *target_name;
};
typedef void (*on_translation)(plugin_id, struct plugin_tb *);
typedef void (*on_syscall)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t, uint64_t, uint64_t);

size_t qemu_plugin_tb_n_insns(const struct plugin_tb *);
struct plugin_insn *qemu_plugin_tb_get_insn(const struct plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct plugin_insn *);
void *qemu_plugin_insn_haddr(const struct plugin_insn *);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, on_syscall);
EITHER void qemu_plugin_register_vcpu_tb_exec_inline(struct plugin_tb *, int, void *, uint64_t);
EITHER struct scoreboard *qemu_plugin_scoreboard_new(size_t);
EITHER uint64_t qemu_plugin_u64_sum(struct counter);
EITHER void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct plugin_tb *, int,
                                                              struct counter, uint64_t);

EXPORT int qemu_plugin_version = 1;

static char out[LONGEST];
static uint64_t counted;
static struct counter counter;
static uint64_t guest_first, guest_bytes;
static int is_placed;

/* qemu asks for the version once this has run. */
__attribute__((constructor)) static void choose_version(void)
{
    if (qemu_plugin_register_vcpu_tb_exec_inline == NULL) {
        qemu_plugin_version = 2;
    }
}

static void translated(plugin_id id, struct plugin_tb *block)
{
    uint64_t length = qemu_plugin_tb_n_insns(block);

    (void)id;
    if (!is_placed) {
        struct plugin_insn *first = qemu_plugin_tb_get_insn(block, 0);
        guest_first = (uint64_t)(uintptr_t)qemu_plugin_insn_haddr(first)
                      - qemu_plugin_insn_vaddr(first);
        is_placed = 1;
    }
    if (counter.score == NULL) {
        qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counted, length);
    } else {
        qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, ADD_U64, counter, length);
    }
}

/* No guest's page may be executed by the host, and what has the emulator's name is its own even where
 * it was linked to a low address. */
static int is_guests(uint64_t first, const char *allowed, const char *path, const char *emulator)
{
    return first - guest_first < guest_bytes && allowed[2] != 'x' && strcmp(path, "[heap]") != 0
           && strcmp(path, emulator) != 0;
}

static void read_memory(unsigned long *guest_kb, unsigned long *emulator_kb, unsigned long *peak_kb)
{
    char line[LONGEST + 128], path[LONGEST], emulator[LONGEST], allowed[5];
    uint64_t first, last;
    unsigned long kb;
    int ours = 0;
    ssize_t length = readlink("/proc/self/exe", emulator, sizeof emulator - 1);
    FILE *file = fopen("/proc/self/smaps", "re");

    emulator[length < 0 ? 0 : length] = '\0';
    *guest_kb = *emulator_kb = *peak_kb = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        path[0] = '\0';
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %4095[^\n]", &first, &last,
                   allowed, path) >= 3) {
            ours = is_guests(first, allowed, path, emulator);
        } else if (sscanf(line, "Rss: %lu kB", &kb) == 1) {
            *(ours ? guest_kb : emulator_kb) += kb;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmHWM: %lu kB", &kb) == 1) {
            *peak_kb = kb;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void called(plugin_id id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    unsigned long guest_kb, emulator_kb, peak_kb;
    char line[256];
    uint64_t now;
    int file, length;

    (void)id, (void)vcpu, (void)number, (void)a5, (void)a6, (void)a7, (void)a8;
    if ((uint32_t)a1 != MAGIC || (uint32_t)a3 != 0 || (uint32_t)a4 != MAGIC) {
        return;
    }
    now = counter.score == NULL ? counted : qemu_plugin_u64_sum(counter);
    read_memory(&guest_kb, &emulator_kb, &peak_kb);
    length = snprintf(line, sizeof line, "edgekit-count 1 %ld %lu %" PRIu64 " %lu %lu %lu\n",
                      (long)getpid(), (unsigned long)(uint32_t)a2, now, guest_kb, emulator_kb,
                      peak_kb);
    /* Opened anew: the guest may close any descriptor. What is missing, the reader notices. */
    file = open(out, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file >= 0) {
        if (write(file, line, (size_t)length) != length) {
            fprintf(stderr, "edgekit: an instruction count was not written\n");
        }
        close(file);
    }
}

EXPORT int qemu_plugin_install(plugin_id id, const struct info *info, int argc, char **argv)
{
    int index, length;

    guest_bytes = strstr(info->target_name, "64") != NULL ? GUEST_BYTES_64 : GUEST_BYTES_32;
    for (index = 0; index < argc; index++) {
        if (strncmp(argv[index], "out=", 4) == 0) {
            length = snprintf(out, sizeof out, "%s", argv[index] + 4);
            if (length >= (int)sizeof out) {
                out[0] = '\0';
            }
        }
    }
    if (out[0] != '/') {
        fprintf(stderr, "edgekit: out=FILE must be an absolute path\n");
        return 1;
    }
    if (qemu_plugin_version > 1) {
        counter.score = qemu_plugin_scoreboard_new(sizeof(uint64_t));
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
