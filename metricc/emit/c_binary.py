"""The C of a loss of one table: four sums of a batch, and the map of two weights over it."""

from __future__ import annotations

from metricc.emit.torch_soft import LOGITS, PROBABILITIES

# From a logit: e = e^-|z| and r = 1/(1 + e), so that p and 1 - p are r and e r, in their order.
_SIGMOID = "<<t>> e = exp_<<t>>(-fabs<<f>>(z)), r = 1 / (1 + e), l = e * r;\n"
_AMPLIFIED = """\
<<t>> f = exp_<<t>>(-fabs<<f>>(t)), h = 1 / (1 + f), k = f * h;
*a = t < 0 ? k : h, *b = t < 0 ? h : k;
"""
_CLIPPED = """\
<<t>> half = 0.5, u = (p - c0) * c1, low = half - u, high = half + u;
*a = high < 0 ? 0 : high > 1 ? 1 : high;
*b = low < 0 ? 0 : low > 1 ? 1 : low;
<<t>> inside = high > 0 && low > 0 ? 1 : 0;
"""

# By surrogate and way in: c0 and c1 from its arguments; then a = A(p), b = 1 - A(p) and the slope d
# of an element. As in the torch file d lacks a factor, L or 1/(2 delta): it is in the weights.
CURVES: dict[tuple[str, str], tuple[str, str, str]] = {
    ("amplified", LOGITS): (
        "L / 2",
        "L * (0.5 - threshold)",
        _SIGMOID
        + "<<t>> t = copysign<<f>>(c0 * (1 - e) * r, z) + c1; /* L (p - threshold) */\n"
        + _AMPLIFIED
        + "*d = k * h * (l * r);\n",
    ),
    ("amplified", PROBABILITIES): (
        "L",
        "L * threshold",
        "<<t>> t = c0 * z - c1; /* L (p - threshold) */\n" + _AMPLIFIED + "*d = k * h;\n",
    ),
    ("soft", LOGITS): (
        "0",
        "0",
        _SIGMOID + "*a = z < 0 ? l : r, *b = z < 0 ? r : l, *d = l * r;\n",
    ),
    ("soft", PROBABILITIES): ("0", "0", "*a = z, *b = 1 - z, *d = 1;\n"),
    ("score_oriented(uniform)", LOGITS): (
        "mu",
        "0.5 / delta",
        _SIGMOID + "<<t>> p = z < 0 ? l : r;\n" + _CLIPPED + "*d = inside * (l * r);\n",
    ),
    ("score_oriented(uniform)", PROBABILITIES): (
        "mu",
        "0.5 / delta",
        "<<t>> p = z;\n" + _CLIPPED + "*d = inside;\n",
    ),
}

SOFT = """
/* a = A(p), b = 1 - A(p), each its own, and the slope d of A. */
static inline void soft_<<t>>(<<t>> z, <<t>> c0, <<t>> c1, <<t>> *a, <<t>> *b, <<t>> *d)
{
<<curve>>}
"""

COUNT = """
static void count_<<t>>(const void *given, int64_t from, int64_t to, double *sums)
{
    const Job *job = given;
    <<t>> y_room[BLOCK], v_room[BLOCK];
    double TP = 0, FN = 0, FP = 0, TN = 0;
    <<t>> c0 = (<<t>>)job->c[0], c1 = (<<t>>)job->c[1];
    for (int64_t start = from; start < to; start += BLOCK) {
        int64_t m = start + BLOCK < to ? BLOCK : to - start;
        const <<t>> *zs = (const <<t>> *)job->z + start;
        const <<t>> *ys = as_<<t>>(job->y, job->y_type, start, m, y_room);
        const <<t>> *vs = as_<<t>>(job->v, job->v_type, start, m, v_room);
        <<t>> *slope = job->slope ? (<<t>> *)job->slope + start : NULL;
        <<t>> tp = 0, fn = 0, fp = 0, tn = 0; /* each a sum of its own terms: no difference cancels */
<<loops>>
        TP += tp, FN += fn, FP += fp, TN += tn;
    }
    sums[0] = TP, sums[1] = FN, sums[2] = FP, sums[3] = TN;
}

static void finish_<<t>>(const void *given, int64_t from, int64_t to, double *sums)
{
    const Job *job = given;
    <<t>> y_room[BLOCK], v_room[BLOCK], plus = (<<t>>)job->plus, minus = (<<t>>)job->minus;
    (void)sums;
    for (int64_t start = from; start < to; start += BLOCK) {
        int64_t m = start + BLOCK < to ? BLOCK : to - start;
        const <<t>> *ys = as_<<t>>(job->y, job->y_type, start, m, y_room);
        const <<t>> *vs = as_<<t>>(job->v, job->v_type, start, m, v_room);
        <<t>> *slope = (<<t>> *)job->slope + start;
        if (vs)
#pragma omp simd
            for (int64_t i = 0; i < m; i++) slope[i] = slope[i] * (ys[i] * plus + (1 - ys[i]) * minus) * vs[i];
        else
#pragma omp simd
            for (int64_t i = 0; i < m; i++) slope[i] *= ys[i] * plus + (1 - ys[i]) * minus;
    }
}
"""

LOOP = """\
        <<if>>
#pragma omp simd reduction(+ : tp, fn, fp, tn)
            for (int64_t i = 0; i < m; i++) {
                <<t>> y = ys[i], no = 1 - y, a, b, d;
                soft_<<t>>(zs[i], c0, c1, &a, &b, &d);
<<weigh>>                tp += y * a, fn += y * b, fp += no * a, tn += no * b;
<<keep>>            }
"""

CALLS = """
/* TP, FN, FP, TN of n elements into `sums`; the slope of each into `slope`, unless it is null.
   Not 0 where there is no memory. */
SHARED int count(const void *z, const void *y, int y_type, const void *v, int v_type, void *slope,
                 int64_t n, int wide, double <<first>>, double <<second>>, int threads, double *sums)
{
    int64_t all = (n + PIECE - 1) / PIECE;
    double few[4 * 16], *many = all <= 16 ? few : malloc(4 * (size_t)all * sizeof *many);
    if (!many) return 1;
    Job job = {z, y, v, slope, y_type, v_type, n, {<<one>>, <<two>>}, 0, 0, many, wide ? count_double : count_float};
    if (slope) large_pages(slope, n * (wide ? 8 : 4));
    run(&job, threads);
    for (int i = 0; i < 4; i++) {
        sums[i] = 0;
        for (int64_t k = 0; k < all; k++) sums[i] += many[4 * k + i];
    }
    if (many != few) free(many);
    return 0;
}

static double bounded(double w) { return w > 1e30 ? 1e30 : w < -1e30 ? -1e30 : w; }

/* From the slope to the gradient, in place: y plus + (1 - y) minus times it, times the weight. */
SHARED void finish(void *slope, const void *y, int y_type, const void *v, int v_type, int64_t n,
                   int wide, double plus, double minus, int threads)
{
    Job job = {NULL, y, v, slope, y_type, v_type, n, {0, 0}, bounded(plus), bounded(minus), NULL, wide ? finish_double : finish_float};
    run(&job, threads);
}
"""

# Python that calls the library: `library` and `number`, its double, are at hand.
TRIAL = """\
for wide, kind in enumerate((ctypes.c_float, ctypes.c_double)):
    n, sums, whole = 1000, (number * 4)(), ctypes.c_int64(1000)
    z, y, slope = (kind * n)(), (kind * n)(), (kind * n)()
    library.count(z, y, wide, None, -1, slope, whole, wide, number(10), number(0.5), 1, sums)
    library.finish(slope, y, wide, None, -1, whole, wide, number(1), number(1), 1)
    assert abs(sum(sums) - n) < 0.1"""
