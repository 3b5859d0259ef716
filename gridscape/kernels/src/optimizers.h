// One step of an update rule on one array, in a single pass over its memory.
//
// The trial keeps its old parameters unless all gradients and all new parameters are finite, which
// is known only after the last array. To look first and write later would read everything twice.
// Instead each step writes in place and leaves the old parameter where the gradient stood, whose
// memory nobody needs any more: a way back that is exact and costs one write. Adam so moves 8
// arrays through memory (reads 4, writes 4), where 7 are the least that any Adam can do. The
// moments have no way back: those of a trial that has diverged are never read again.

#ifndef GRIDSCAPE_OPTIMIZERS_H_
#define GRIDSCAPE_OPTIMIZERS_H_

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <cmath>

#include "optimizers_kernels.h"
#include "simd.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

// The root, rounded correctly. By hand, since no vector extension of GCC has one.
GRIDSCAPE_INLINE Vector root(Vector x) {
#if defined(__AVX512F__)
  return (Vector)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);  // GCC 12 warns of that without a mask
#elif defined(__AVX__)
  return (Vector)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
  return (Vector)_mm_sqrt_ps((__m128)x);
#elif defined(__aarch64__)
  return (Vector)vsqrtq_f32((float32x4_t)x);
#else
  for (int lane = 0; lane < kLanes; ++lane) x[lane] = std::sqrt(x[lane]);
  return x;
#endif
}

// ---- rules: the change of p under the gradient g, the moments being brought up to date ----
//
// Each follows the rule of its name in gridscape/optimizers.py, where the sources are.

struct Sgd {
  static constexpr int kMoments = 0;
  Vector rate;

  Sgd(const RuleNumbers& n, const Corrections&, bool) : rate(splat(n.learning_rate)) {}

  GRIDSCAPE_INLINE Vector change(Vector, Vector g, Vector*) const { return -rate * g; }
};

template <bool kNesterov>
struct Momentum {
  static constexpr int kMoments = 1;
  Vector rate, momentum;

  Momentum(const RuleNumbers& n, const Corrections&, bool)
      : rate(splat(n.learning_rate)), momentum(splat(n.momentum)) {}

  GRIDSCAPE_INLINE Vector change(Vector, Vector g, Vector* step) const {
    step[0] = momentum * step[0] - rate * g;
    return kNesterov ? momentum * step[0] - rate * g : step[0];
  }
};

struct Adagrad {
  static constexpr int kMoments = 1;
  Vector rate;

  Adagrad(const RuleNumbers& n, const Corrections&, bool) : rate(splat(n.learning_rate)) {}

  GRIDSCAPE_INLINE Vector change(Vector, Vector g, Vector* sum) const {
    sum[0] = sum[0] + g * g;
    return sum[0] > Vector{} ? -rate * (g / root(sum[0])) : Vector{};
  }
};

struct AdagradPytorch {
  static constexpr int kMoments = 1;
  Vector rate, eps;

  AdagradPytorch(const RuleNumbers& n, const Corrections&, bool)
      : rate(splat(n.learning_rate)), eps(splat(n.eps)) {}

  GRIDSCAPE_INLINE Vector change(Vector, Vector g, Vector* sum) const {
    sum[0] = sum[0] + g * g;
    return -rate * (g / (root(sum[0]) + eps));
  }
};

template <bool kEpsInRoot>
struct Rmsprop {
  static constexpr int kMoments = 1;
  Vector rate, decay, rest, eps;

  Rmsprop(const RuleNumbers& n, const Corrections&, bool)
      : rate(splat(n.learning_rate)),
        decay(splat(n.decay)),
        rest(splat(1.0f - n.decay)),
        eps(splat(n.eps)) {}

  GRIDSCAPE_INLINE Vector change(Vector, Vector g, Vector* square) const {
    square[0] = decay * square[0] + rest * (g * g);
    return -rate * (g / (kEpsInRoot ? root(square[0] + eps) : root(square[0]) + eps));
  }
};

// With kDecays, Adam with decoupled decay of the weights.
template <bool kDecays>
struct Adam {
  static constexpr int kMoments = 2;
  Vector rate, b1, rest1, b2, rest2, eps, of_mean, of_square, decay;

  Adam(const RuleNumbers& n, const Corrections& corrections, bool is_weight)
      : rate(splat(n.learning_rate)),
        b1(splat(n.b1)),
        rest1(splat(1.0f - n.b1)),
        b2(splat(n.b2)),
        rest2(splat(1.0f - n.b2)),
        eps(splat(n.eps)),
        of_mean(splat(corrections.mean)),
        of_square(splat(corrections.square)),
        decay(splat(is_weight ? n.weight_decay : 0.0f)) {}

  GRIDSCAPE_INLINE Vector change(Vector p, Vector g, Vector* moments) const {
    moments[0] = b1 * moments[0] + rest1 * g;
    moments[1] = b2 * moments[1] + rest2 * (g * g);
    const Vector step = moments[0] * of_mean / (root(moments[1] * of_square) + eps);
    return -rate * (kDecays ? step + decay * p : step);
  }
};

// ---- the pass ----

// 0 as long as all that was added is finite, else NaN: so is 0 times infinity or NaN, and it stays.
GRIDSCAPE_INLINE Vector still_finite(Vector so_far, Vector added) {
  return so_far + added * Vector{};
}

inline bool is_zero(Vector sum) {
  bool all = true;
  for (int lane = 0; lane < kLanes; ++lane) all &= sum[lane] == 0;
  return all;
}

struct Sums {
  Vector grads, params;
};

// Floats from `at` on: `count` of them, known to be all of a vector where kWhole.
template <class Rule, bool kWhole>
GRIDSCAPE_INLINE void advance(const Rule& rule, Vector l2, const Leaf& leaf, int64_t at,
                              int64_t count, Sums* sums) {
  const auto read = [&](const float* from) {
    return kWhole ? load(from + at) : load_first(from + at, count);
  };
  const auto write = [&](float* to, Vector value) {
    if (kWhole) {
      store(to + at, value);
    } else {
      store_first(to + at, value, count);
    }
  };
  const Vector p = read(leaf.params), g = read(leaf.grads);
  Vector moments[2] = {};
  for (int m = 0; m < Rule::kMoments; ++m) moments[m] = read(leaf.moments[m]);
  const Vector fresh = p + rule.change(p, g + l2 * p, moments);
  sums->grads = still_finite(sums->grads, g);
  sums->params = still_finite(sums->params, fresh);
  write(leaf.params, fresh);
  write(leaf.grads, p);
  for (int m = 0; m < Rule::kMoments; ++m) write(leaf.moments[m], moments[m]);
}

template <class Rule>
Finite step(const RuleNumbers& numbers, const Corrections& corrections, const Leaf& leaf) {
  const Rule rule(numbers, corrections, leaf.is_weight);
  const Vector l2 = splat(leaf.is_weight ? numbers.l2 : 0.0f);
  Sums sums = {};
  int64_t at = 0;
  for (; at + kLanes <= leaf.size; at += kLanes) {
    advance<Rule, true>(rule, l2, leaf, at, kLanes, &sums);
  }
  if (at < leaf.size) {
    // What lies past the end is 0 and may become NaN (0 / 0): it must not count.
    Sums last = {};
    advance<Rule, false>(rule, l2, leaf, at, leaf.size - at, &last);
    sums.grads += load_first(reinterpret_cast<const float*>(&last.grads), leaf.size - at);
    sums.params += load_first(reinterpret_cast<const float*>(&last.params), leaf.size - at);
  }
  return {is_zero(sums.grads), is_zero(sums.params)};
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_OPTIMIZERS_H_
