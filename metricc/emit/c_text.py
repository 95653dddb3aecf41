"""The C of a built kernel as text with holes, like `torch_file`: what does not know of tasks.

Everything is written once for a floating type `t` and filled for float and double. Loops are plain,
so that any C99 compiler vectorises them; sums are spread over lanes by `omp simd`, which asks for
no library. Threads are those of the process's own OpenMP, given to `threads_of` as pointers: a pool
of the kernel's own would spin against torch's.
"""

from __future__ import annotations

HEAD = """\
/* Made by metricc <<version>>: <<what>>.
   Two passes over a batch: `count` adds up the tables, and leaves the surrogate's slope where
   `finish` makes the gradient of it. The metric is not in here: its file turns counts to weights. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef _WIN32
#define SHARED __declspec(dllexport)
#else
#define SHARED
#endif

enum { NONE = -1, FLOAT, DOUBLE, INT64, INT32, BYTE }; /* types of targets and weights */

typedef struct {
    const void *z, *y, *v; /* input, target, weight */
    void *slope;
    int y_type, v_type;
    int64_t n;          /* elements */
    double c[2];        /* what the surrogate is computed with */
    double plus, minus; /* the weights of the gradient, of positives and of negatives */
    double *sums;       /* four a piece: their total does not depend on who added what */
    void (*piece)(const void *job, int64_t from, int64_t to, double *sums);
} Job;

typedef void (*Work)(void *);
static void (*parallel)(Work, void *, unsigned, unsigned);
static int (*thread_number)(void), (*number_of_threads)(void);

/* GOMP_parallel, omp_get_thread_num and omp_get_num_threads of this process, or null pointers. */
SHARED void threads_of(void *run, void *number, void *all)
{
    parallel = (void (*)(Work, void *, unsigned, unsigned))run;
    thread_number = (int (*)(void))number;
    number_of_threads = (int (*)(void))all;
}

#define PIECE 16384 /* elements that one thread takes at a time */
#define BLOCK 1024  /* elements that are summed in their own type, and whose targets are converted, at a time */

static void pieces(void *given)
{
    Job *job = given;
    int64_t all = (job->n + PIECE - 1) / PIECE;
    int64_t team = parallel ? number_of_threads() : 1, mine = parallel ? thread_number() : 0;
    for (int64_t k = all * mine / team; k < all * (mine + 1) / team; k++) {
        int64_t from = k * PIECE, to = from + PIECE < job->n ? from + PIECE : job->n;
        job->piece(job, from, to, job->sums ? job->sums + 4 * k : NULL);
    }
}

static void run(Job *job, int threads)
{
    if (parallel && threads > 1)
        parallel(pieces, job, (unsigned)threads, 0);
    else
        for (int64_t from = 0, k = 0; from < job->n; from += PIECE, k++)
            job->piece(job, from, from + PIECE < job->n ? from + PIECE : job->n,
                       job->sums ? job->sums + 4 * k : NULL);
}

/* Ask for large pages under a large new tensor: half of its cost are the faults of small ones. */
static void large_pages(void *memory, int64_t bytes)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    uintptr_t page = 1 << 21, first = ((uintptr_t)memory + page - 1) & ~(page - 1);
    uintptr_t last = ((uintptr_t)memory + (uintptr_t)bytes) & ~(page - 1);
    if (bytes >= 16 << 20 && first < last) madvise((void *)first, last - first, MADV_HUGEPAGE);
#else
    (void)memory, (void)bytes;
#endif
}
"""

FLOAT_EXP = """
/* e^x for x <= 0, within 2 units in the last place; 0 below the normal numbers; NaN stays NaN. */
static inline float exp_float(float x)
{
    x = x < -88.0f ? -88.0f : x;
    float n = rintf(x * 1.44269504f); /* x = n log 2 + r */
    float r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}
"""

DOUBLE_EXP = """
/* e^x for x <= 0, relative error below 1e-15; 0 below the normal numbers; NaN stays NaN. */
static inline double exp_double(double x)
{
    x = x < -709.0 ? -709.0 : x;
    double n = rint(x * 1.4426950408889634); /* x = n log 2 + r */
    double r = x - n * 0.693147180369123816490;
    r = r - n * 1.90821492927058770002e-10;
    double p = 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * (r * r) + r + 1.0;
    uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}
"""

# What follows is filled twice: t is float, with the suffix f of its functions, and double.
AS = """
/* m numbers of any type as <<t>>: where they stand, or converted to `room`. */
static const <<t>> *as_<<t>>(const void *from, int type, int64_t start, int64_t m, <<t>> *room)
{
#define CONVERTED(kind) \\
    for (int64_t i = 0; i < m; i++) room[i] = (<<t>>)((const kind *)from)[start + i]
    switch (type) {
    case <<own>>: return (const <<t>> *)from + start;
    case <<other>>: CONVERTED(<<other_t>>); break;
    case INT64: CONVERTED(int64_t); break;
    case INT32: CONVERTED(int32_t); break;
    case BYTE: CONVERTED(uint8_t); break;
    default: return NULL;
    }
#undef CONVERTED
    return room;
}
"""

TYPES = (
    {"t": "float", "f": "f", "own": "FLOAT", "other": "DOUBLE", "other_t": "double"},
    {"t": "double", "f": "", "own": "DOUBLE", "other": "FLOAT", "other_t": "float"},
)
