"""The C of losses with a table for each class: sums a class, and the map of two weights a class.

Tensors are (N, C, M), contiguous. Sigmoids are counted along rows where M is long, and along whole
samples where it is short; a softmax in panels of C rows, which are copied there where M is short.
"""

from __future__ import annotations

HEAD = """
typedef struct {
    const void *z, *y, *v;
    void *kept; /* the surrogate's slope, or the probabilities of a softmax */
    int y_type, v_type;
    int64_t N, C, M, v_classes; /* classes that the weight has: C or 1 */
    double c[2];
    const double *plus, *minus; /* a class */
    double *sums;               /* 4 C a share */
    int64_t units, shares;      /* what is divided, and into how many parts whatever the threads */
    void (*part)(const void *job, int64_t from, int64_t to, double *sums);
} Tables;

#define SHORT 16   /* rows below this are no rows */
#define STRETCH 65536 /* elements of a long row that are one unit */
#define PANEL 8192 /* elements of a panel, about */

static void shares(void *given)
{
    Tables *job = given;
    int64_t team = parallel ? number_of_threads() : 1, mine = parallel ? thread_number() : 0;
    for (int64_t k = job->shares * mine / team; k < job->shares * (mine + 1) / team; k++)
        job->part(job, job->units * k / job->shares, job->units * (k + 1) / job->shares,
                  job->sums ? job->sums + 4 * job->C * k : NULL);
}

static void divide(Tables *job, int threads)
{
    void (*pool)(Work, void *, unsigned, unsigned) = parallel;
    if (pool && threads > 1) {
        pool(shares, job, (unsigned)threads, 0);
        return;
    }
    for (int64_t k = 0; k < job->shares; k++)
        job->part(job, job->units * k / job->shares, job->units * (k + 1) / job->shares,
                  job->sums ? job->sums + 4 * job->C * k : NULL);
}

static int64_t width(int64_t C) { return PANEL / C < SHORT ? SHORT : PANEL / C > 512 ? 512 : PANEL / C / 16 * 16; }
"""

SIGMOID = """
/* One row, or a stretch of one: m elements of the same class. What weighs nothing may be NaN. */
static void row_<<t>>(const <<t>> *zs, const <<t>> *ys, const <<t>> *vs, <<t>> *slope, int64_t m, <<t>> c0, <<t>> c1, double *sums)
{
    <<t>> tp = 0, fn = 0, fp = 0, tn = 0;
    if (vs)
#pragma omp simd reduction(+ : tp, fn, fp, tn)
        for (int64_t i = 0; i < m; i++) {
            <<t>> v = vs[i], y = v == 0 ? 0 : ys[i], no = 1 - y, a, b, d;
            soft_<<t>>(v == 0 ? 0 : zs[i], c0, c1, &a, &b, &d);
            y *= v, no *= v;
            tp += y * a, fn += y * b, fp += no * a, tn += no * b;
            slope[i] = d;
        }
    else
#pragma omp simd reduction(+ : tp, fn, fp, tn)
        for (int64_t i = 0; i < m; i++) {
            <<t>> y = ys[i], no = 1 - y, a, b, d;
            soft_<<t>>(zs[i], c0, c1, &a, &b, &d);
            tp += y * a, fn += y * b, fp += no * a, tn += no * b;
            slope[i] = d;
        }
    sums[0] += tp, sums[1] += fn, sums[2] += fp, sums[3] += tn;
}

/* m elements of as many places in a sample: their terms go to four rows of sums, one a place. */
static void places_<<t>>(const <<t>> *restrict zs, const <<t>> *restrict ys, const <<t>> *restrict vs, <<t>> *restrict slope, int64_t m, <<t>> c0, <<t>> c1,
                         <<t>> *restrict tp, <<t>> *restrict fn, <<t>> *restrict fp, <<t>> *restrict tn)
{
    if (vs)
#pragma omp simd
        for (int64_t i = 0; i < m; i++) {
            <<t>> v = vs[i], y = v == 0 ? 0 : ys[i], no = 1 - y, a, b, d;
            soft_<<t>>(v == 0 ? 0 : zs[i], c0, c1, &a, &b, &d);
            y *= v, no *= v;
            tp[i] += y * a, fn[i] += y * b, fp[i] += no * a, tn[i] += no * b;
            slope[i] = d;
        }
    else
#pragma omp simd
        for (int64_t i = 0; i < m; i++) {
            <<t>> y = ys[i], no = 1 - y, a, b, d;
            soft_<<t>>(zs[i], c0, c1, &a, &b, &d);
            tp[i] += y * a, fn[i] += y * b, fp[i] += no * a, tn[i] += no * b;
            slope[i] = d;
        }
}

/* The weights of m elements from `place` on in a sample, which has C M. */
static const <<t>> *weights_<<t>>(const Tables *job, int64_t n, int64_t place, int64_t m, <<t>> *room)
{
    if (job->v_type == NONE) return NULL;
    if (job->v_classes == job->C) return as_<<t>>(job->v, job->v_type, n * job->C * job->M + place, m, room);
    if (job->M >= SHORT) return as_<<t>>(job->v, job->v_type, n * job->M + place % job->M, m, room);
    <<t>> few[SHORT];
    const <<t>> *own = as_<<t>>(job->v, job->v_type, n * job->M, job->M, few);
    for (int64_t i = 0; i < m; i++) room[i] = own[(place + i) % job->M];
    return room;
}

/* Units are stretches of the rows (n, c) of a long M, else samples. */
static void count_<<t>>(const void *given, int64_t from, int64_t to, double *sums)
{
    const Tables *job = given;
    int64_t C = job->C, M = job->M, R = C * M;
    <<t>> y_room[BLOCK], v_room[BLOCK], none[BLOCK], c0 = (<<t>>)job->c[0], c1 = (<<t>>)job->c[1];
    memset(sums, 0, 4 * (size_t)C * sizeof *sums);
    if (M >= SHORT) {
        int64_t each = (M + STRETCH - 1) / STRETCH;
        for (int64_t u = from; u < to; u++) {
            int64_t row = u / each, start = u % each * STRETCH, k = row % C;
            int64_t end = start + STRETCH < M ? start + STRETCH : M;
            for (int64_t i = start; i < end; i += BLOCK) {
                int64_t m = i + BLOCK < end ? BLOCK : end - i, at = row * M + i;
                const <<t>> *ys = as_<<t>>(job->y, job->y_type, at, m, y_room);
                const <<t>> *vs = weights_<<t>>(job, row / C, k * M + i, m, v_room);
                <<t>> *slope = job->kept ? (<<t>> *)job->kept + at : none;
                row_<<t>>((const <<t>> *)job->z + at, ys, vs, slope, m, c0, c1, sums + 4 * k);
            }
        }
        return;
    }
    <<t>> few[4][BLOCK];
    for (int64_t i = 0; i < R; i += BLOCK) { /* all samples of some places, then the next places */
        int64_t m = i + BLOCK < R ? BLOCK : R - i;
        for (int64_t first = from; first < to; first += 256) {
            int64_t last = first + 256 < to ? first + 256 : to;
            memset(few, 0, sizeof few);
            for (int64_t n = first; n < last; n++) {
                int64_t at = n * R + i;
                const <<t>> *ys = as_<<t>>(job->y, job->y_type, at, m, y_room);
                const <<t>> *vs = weights_<<t>>(job, n, i, m, v_room);
                <<t>> *slope = job->kept ? (<<t>> *)job->kept + at : none;
                places_<<t>>((const <<t>> *)job->z + at, ys, vs, slope, m, c0, c1, few[0], few[1], few[2], few[3]);
            }
            for (int64_t k = 0; k < m; k++)
                for (int j = 0; j < 4; j++) sums[4 * ((i + k) / M) + j] += few[j][k];
        }
    }
}

static void finish_<<t>>(const void *given, int64_t from, int64_t to, double *sums)
{
    const Tables *job = given;
    int64_t C = job->C, M = job->M, R = C * M, each = M >= SHORT ? (M + STRETCH - 1) / STRETCH : 1;
    <<t>> y_room[BLOCK], v_room[BLOCK], plus[BLOCK], minus[BLOCK];
    (void)sums;
    for (int64_t u = from; u < to; u++) {
        /* A stretch of a row of one sample, or the whole sample. */
        int64_t row = u / each, n = M >= SHORT ? row / C : row, start = M >= SHORT ? u % each * STRETCH : 0;
        int64_t length = M >= SHORT ? M : R, end = M >= SHORT && start + STRETCH < M ? start + STRETCH : length;
        for (int64_t i = start; i < end; i += BLOCK) {
            int64_t m = i + BLOCK < end ? BLOCK : end - i, at = row * length + i;
            int64_t place = M >= SHORT ? row % C * M + i : i;
            for (int64_t k = 0; k < m; k++) {
                int64_t c = M >= SHORT ? row % C : M == 1 ? i + k : (i + k) / M;
                plus[k] = (<<t>>)job->plus[c], minus[k] = (<<t>>)job->minus[c];
            }
            const <<t>> *ys = as_<<t>>(job->y, job->y_type, at, m, y_room);
            const <<t>> *vs = weights_<<t>>(job, n, place, m, v_room);
            <<t>> *slope = (<<t>> *)job->kept + at;
            if (vs)
#pragma omp simd
                for (int64_t k = 0; k < m; k++) {
                    <<t>> y = vs[k] == 0 ? 0 : ys[k];
                    slope[k] = slope[k] * (y * plus[k] - (1 - y) * minus[k]) * vs[k];
                }
            else
#pragma omp simd
                for (int64_t k = 0; k < m; k++) slope[k] *= ys[k] * plus[k] - (1 - ys[k]) * minus[k];
        }
    }
}
"""

SOFTMAX = """
/* Where a unit stands: positions from `at` on, `w` of them, rows of `stride` at `place` if M is long. */
typedef struct { int64_t at, w, place, stride; } Where_<<t>>;

static Where_<<t>> where_<<t>>(const Tables *job, int64_t u)
{
    int64_t W = width(job->C), M = job->M;
    Where_<<t>> found = {u * W, W, -1, W};
    if (M >= SHORT) {
        int64_t each = (M + W - 1) / W, n = u / each, m = u % each * W;
        found.at = n * M + m;
        found.w = m + W < M ? W : M - m;
        found.place = n * job->C * M + m;
        found.stride = M;
    } else if (found.at + W > job->N * M)
        found.w = job->N * M - found.at;
    return found;
}

/* Where the elements of class 0 stand at w positions from q on; those of class k stand k M behind. */
static void places_of_<<t>>(const Tables *job, int64_t q, int64_t w, int64_t *found)
{
    for (int64_t i = 0; i < w; i++) found[i] = (q + i) / job->M * job->C * job->M + (q + i) % job->M;
}

static void count_<<t>>(const void *given, int64_t from, int64_t to, double *sums)
{
    const Tables *job = given;
    int64_t C = job->C, M = job->M, W = width(C), places[512];
    <<t>> *panel = malloc((size_t)(C * W) * sizeof *panel), top[512], total[512], v_room[512];
    const int64_t *labels = job->y;
    memset(sums, 0, 4 * (size_t)C * sizeof *sums);
    if (!panel) {
        sums[0] = NAN; /* which is seen in the counts */
        return;
    }
    for (int64_t u = from; u < to; u++) {
        Where_<<t>> at = where_<<t>>(job, u);
        int64_t w = at.w;
        if (at.place < 0) places_of_<<t>>(job, at.at, w, places);
        const <<t>> *vs = job->v ? as_<<t>>(job->v, job->v_type, at.at, w, v_room) : NULL;
        const <<t>> *zs = (const <<t>> *)job->z;
        for (int64_t i = 0; i < w; i++) top[i] = -INFINITY, total[i] = 0;
        for (int64_t k = 0; k < C; k++) {
            <<t>> *row = panel + k * W;
            if (at.place >= 0) memcpy(row, zs + at.place + k * at.stride, (size_t)w * sizeof *row);
            else
                for (int64_t i = 0; i < w; i++) row[i] = zs[places[i] + k * M];
            if (vs)
                for (int64_t i = 0; i < w; i++) row[i] = vs[i] == 0 ? 0 : row[i]; /* it may be NaN */
#pragma omp simd
            for (int64_t i = 0; i < w; i++) top[i] = row[i] <= top[i] ? top[i] : row[i]; /* NaN stays in `total` */
        }
        for (int64_t k = 0; k < C; k++) {
            <<t>> *row = panel + k * W;
#pragma omp simd
            for (int64_t i = 0; i < w; i++) {
                row[i] = exp_<<t>>(row[i] - top[i]);
                total[i] += row[i];
            }
        }
        for (int64_t i = 0; i < w; i++) total[i] = 1 / total[i];
        for (int64_t k = 0; k < C; k++) {
            <<t>> *row = panel + k * W;
#pragma omp simd
            for (int64_t i = 0; i < w; i++) row[i] *= total[i];
            if (!job->kept) continue;
            <<t>> *kept = job->kept;
            if (at.place >= 0) memcpy(kept + at.place + k * at.stride, row, (size_t)w * sizeof *row);
            else
                for (int64_t i = 0; i < w; i++) kept[places[i] + k * M] = row[i];
        }
        for (int64_t i = 0; i < w; i++) { /* the label's own class */
            int64_t k = labels[at.at + i];
            if (k < 0 || k >= C) { /* somebody changed them since they were checked */
                sums[0] = NAN;
                continue;
            }
            double v = vs ? vs[i] : 1;
            sums[4 * k] += v * panel[k * W + i];
            sums[4 * k + 3] += v; /* the weight of the positives */
            panel[k * W + i] = 0;
            total[i] = 0;
        }
        for (int64_t k = 0; k < C; k++) {
            <<t>> *row = panel + k * W, fp = 0;
            if (vs)
#pragma omp simd reduction(+ : fp)
                for (int64_t i = 0; i < w; i++) total[i] += row[i], fp += row[i] * vs[i];
            else
#pragma omp simd reduction(+ : fp)
                for (int64_t i = 0; i < w; i++) total[i] += row[i], fp += row[i];
            sums[4 * k + 2] += fp;
        }
        for (int64_t i = 0; i < w; i++) {
            int64_t k = labels[at.at + i];
            if (k >= 0 && k < C) sums[4 * k + 1] += (vs ? vs[i] : 1) * total[i];
        }
    }
    free(panel);
}

/* p (g - sum p g) in place, g counted from that of a class with p above 1/2: nothing cancels. */
static void finish_<<t>>(const void *given, int64_t from, int64_t to, double *sums)
{
    const Tables *job = given;
    int64_t C = job->C, M = job->M, W = width(C), places[512];
    <<t>> few[PANEL], *panel = M >= SHORT ? NULL : few; /* of a few classes alone: see FEW_CLASSES */
    <<t>> base[512], dot[512], v_room[512];
    int32_t own[512];
    (void)sums;
    for (int64_t u = from; u < to; u++) {
        Where_<<t>> at = where_<<t>>(job, u);
        int64_t w = at.w;
        if (at.place < 0) places_of_<<t>>(job, at.at, w, places);
        const <<t>> *vs = job->v ? as_<<t>>(job->v, job->v_type, at.at, w, v_room) : NULL;
        <<t>> *p = panel ? panel : (<<t>> *)job->kept + at.place, *kept = job->kept;
        for (int64_t i = 0; i < w; i++) own[i] = (int32_t)((const int64_t *)job->y)[at.at + i], base[i] = dot[i] = 0;
        for (int64_t k = 0; k < C; k++) {
            <<t>> *row = p + k * at.stride, plus = (<<t>>)job->plus[k], minus = -(<<t>>)job->minus[k];
            if (panel)
                for (int64_t i = 0; i < w; i++) row[i] = kept[places[i] + k * M];
#pragma omp simd
            for (int64_t i = 0; i < w; i++) base[i] += row[i] > (<<t>>)0.5 ? own[i] == k ? plus : minus : 0;
        }
        for (int64_t k = 0; k < C; k++) {
            const <<t>> *row = p + k * at.stride, plus = (<<t>>)job->plus[k], minus = -(<<t>>)job->minus[k];
#pragma omp simd
            for (int64_t i = 0; i < w; i++) dot[i] += row[i] * ((own[i] == k ? plus : minus) - base[i]);
        }
        for (int64_t k = 0; k < C; k++) {
            <<t>> *row = p + k * at.stride, plus = (<<t>>)job->plus[k], minus = -(<<t>>)job->minus[k];
#pragma omp simd
            for (int64_t i = 0; i < w; i++) row[i] *= (own[i] == k ? plus : minus) - base[i] - dot[i];
            if (vs)
#pragma omp simd
                for (int64_t i = 0; i < w; i++) row[i] *= vs[i];
            if (panel)
                for (int64_t i = 0; i < w; i++) kept[places[i] + k * M] = row[i];
        }
    }
}
"""

UNITS = {
    "sigmoid": "M >= SHORT ? N * C * ((M + STRETCH - 1) / STRETCH) : N",
    "softmax": "M >= SHORT ? N * ((M + width(C) - 1) / width(C)) : (N * M + width(C) - 1) / width(C)",
}

CALLS = """
static void divided(Tables *job, int64_t N, int64_t C, int64_t M)
{
    int64_t most = 32768 / C < 1 ? 1 : 32768 / C > 64 ? 64 : 32768 / C;
    job->units = <<units>>;
    job->shares = job->units < most ? job->units : most;
}

/* The counts of each class into `sums`, TP of all classes first; into `kept`, unless it is null, what
   `finish` makes the gradient of. The weight has `v_classes` classes, C or 1. Not 0 without memory. */
SHARED int count(const void *z, const void *y, int y_type, const void *v, int v_type, int64_t v_classes, void *kept,
                 int64_t N, int64_t C, int64_t M, int wide, double <<first>>, double <<second>>, int threads, double *sums)
{
    Tables job = {z, y, v, kept, y_type, v_type, N, C, M, v_classes, {<<one>>, <<two>>}, 0, 0, 0, 0, 0,
                  wide ? count_double : count_float};
    divided(&job, N, C, M);
    job.sums = calloc((size_t)(4 * C * (job.shares + 1)), sizeof *sums);
    if (!job.sums) return 1;
    if (kept) large_pages(kept, N * C * M * (wide ? 8 : 4));
    divide(&job, threads);
    for (int64_t k = 0; k < C; k++)
        for (int j = 0; j < 4; j++) {
            double total = 0;
            for (int64_t i = 0; i < job.shares; i++) total += job.sums[4 * (C * i + k) + j];
            sums[j * C + k] = total;
        }
    free(job.sums);
<<last>>    return 0;
}

/* From what is kept to the gradient, in place: y plus - (1 - y) minus a class. */
SHARED void finish(void *kept, const void *y, int y_type, const void *v, int v_type, int64_t v_classes, int64_t N,
                   int64_t C, int64_t M, int wide, const double *plus, const double *minus, int threads)
{
    Tables job = {0, y, v, kept, y_type, v_type, N, C, M, v_classes, {0, 0}, plus, minus, 0, 0, 0,
                  wide ? finish_double : finish_float};
    divided(&job, N, C, M);
    divide(&job, threads);
}
"""

LAST = {
    "sigmoid": "",
    "softmax": """\
    double weight = 0; /* in the place of TN stands the weight of each class's positives */
    for (int64_t k = 0; k < C; k++) weight += sums[3 * C + k];
    for (int64_t k = 0; k < C; k++) sums[3 * C + k] = weight - sums[3 * C + k] - sums[2 * C + k];
""",
}

TRIAL = """\
for wide, kind in enumerate((ctypes.c_float, ctypes.c_double)):
    N, C, M, whole = 3, 5, 40, ctypes.c_int64
    n, sums = N * C * M, (number * (4 * C))()
    z, y, kept, plus = (kind * n)(), (ctypes.c_int64 * n)(), (kind * n)(), (number * C)()
    sizes = [whole(N), whole(C), whole(M), wide]
    library.count(z, y, 2, None, -1, whole(1), kept, *sizes, number(10), number(0.5), 1, sums)
    library.finish(kept, y, 2, None, -1, whole(1), *sizes, plus, plus, 1)
    assert abs(sum(sums) - n) < 0.1"""
