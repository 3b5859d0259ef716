// Losses of a class after the last step, and of a bit a step, of kBlock examples: the lanes of a
// vector are examples, as in few_units.h.

#ifndef GRIDSCAPE_SEQUENCE_LOSSES_H_
#define GRIDSCAPE_SEQUENCE_LOSSES_H_

#include <cmath>
#include <limits>

#include "sequence_kernels.h"
#include "simd.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

// Lanes [lane, lane + kLanes) of a block: outputs and their gradients [answer][output][kBlock],
// targets and lengths of each example, as floats. share: of an example in the mean over a batch, 0
// in lanes beyond the last.
struct Answers {
  int64_t answers, outputs;
  const float *y, *targets, *lengths, *share;
  float* dy;

  GRIDSCAPE_INLINE Vector at(int64_t answer, int64_t output) const {
    return load(y + (answer * outputs + output) * kBlock);
  }
  GRIDSCAPE_INLINE Vector target(int64_t k) const { return load(targets + k * kBlock); }
  // 1 where an answer counts, else 0.
  GRIDSCAPE_INLINE Vector counts(int64_t answer) const {
    return splat(answer) < load(lengths) ? splat(1) : Vector{};
  }
  GRIDSCAPE_INLINE Vector is_last(int64_t answer) const {
    return splat(answer + 1) == load(lengths) ? splat(1) : Vector{};
  }
  GRIDSCAPE_INLINE void pull(int64_t answer, int64_t output, Vector d) const {
    const Vector of_batch = load(share);  // of no lane beyond it, whatever it has
    store(dy + (answer * outputs + output) * kBlock, of_batch > Vector{} ? d * of_batch : Vector{});
  }
};

// log(1 + e) for e in [0, 1], to 2 units in the last place: 2 atanh(e / (2 + e)), by its series to
// the 15th power, the rest of which is below 1e-9 of it.
GRIDSCAPE_INLINE Vector log1p_unit(Vector e) {
  const Vector t = e / (e + splat(2)), s = t * t;
  Vector series = splat(1.0f / 15);
#pragma GCC unroll 8
  for (int odd = 13; odd > 0; odd -= 2) series = series * s + splat(1.0f / odd);
  return splat(2) * t * series;
}

GRIDSCAPE_INLINE Vector log_all(Vector x) {
  float part[kLanes];
  store(part, x);
  for (float& one : part) one = std::log(one);
  return load(part);
}

// Of a number under the sigmoid: its value s, 1 - s and exp(-|x|), none of which loses digits.
struct Sigmoid {
  Vector value, rest, tail;

  GRIDSCAPE_INLINE explicit Sigmoid(Vector x) {
    const Vector magnitude = from_bits(bits_of(x) & 0x7fffffff);
    tail = exp_negative(-magnitude);
    const Vector large = splat(1) / (splat(1) + tail), small = tail * large;
    value = x < Vector{} ? small : large;
    rest = x < Vector{} ? large : small;
  }
};

// The cross-entropy of the class at the last step that counts; of logits 0 where there is none.
//
// y of that step is gathered into the place of the first answer's gradients, which are written
// last.
inline Vector class_entropy(const Answers& n) {
  const auto logit = [&](int64_t c) { return load(n.dy + c * kBlock); };
  Vector top = {};
  for (int64_t c = 0; c < n.outputs; ++c) {
    Vector x = {};
    for (int64_t t = 0; t < n.answers; ++t) x = n.is_last(t) > Vector{} ? n.at(t, c) : x;
    store(n.dy + c * kBlock, x);
    top = c == 0 ? x : (x > top) | (x != x) ? x : top;  // NaN stays
  }
  Vector sum = {}, of_target = splat(std::numeric_limits<float>::quiet_NaN());  // no such class
  for (int64_t c = 0; c < n.outputs; ++c) {
    const Vector x = logit(c) - top;
    sum += exp_negative(x);
    of_target = n.target(0) == splat(c) ? x : of_target;
  }
  for (int64_t c = 0; c < n.outputs; ++c) {
    const Vector is_target = n.target(0) == splat(c) ? splat(1) : Vector{};
    const Vector d = exp_negative(logit(c) - top) / sum - is_target;
    for (int64_t t = 0; t < n.answers; ++t) n.pull(t, c, n.is_last(t) > Vector{} ? d : Vector{});
  }
  return log_all(sum) - of_target;
}

// value(x, bit, slope): the loss of a bit and its derivative; the mean over the steps that count.
template <typename Value>
GRIDSCAPE_INLINE Vector bit_losses(const Answers& n, Value&& value) {
  const Vector each = splat(1) / load(n.lengths);
  Vector sum = {};
  for (int64_t t = 0; t < n.answers; ++t) {
    Vector slope;
    const Vector of_bit = value(n.at(t, 0), n.target(t), slope), counts = n.counts(t);
    sum += counts > Vector{} ? of_bit : Vector{};
    n.pull(t, 0, counts > Vector{} ? slope * each : Vector{});
  }
  return sum / load(n.lengths);  // of no step at all NaN
}

// The cross-entropy of a softmax over the sigmoids of the steps: which has the lowest bit set? It
// is the first with the largest of the bits, counted or not, as it is elsewhere.
inline Vector step_entropy(const Answers& n) {
  // Sigmoids are at most 1, so that no exponential is large.
  const auto weight = [&](int64_t t, const Sigmoid& s) {
    return n.counts(t) > Vector{} ? exp_negative(s.value - splat(1)) : Vector{};
  };
  Vector sum = {}, lowest = {}, of_lowest = {}, largest = n.target(0) - splat(1);
  const Vector never = splat(-std::numeric_limits<float>::infinity());
  for (int64_t t = 0; t < n.answers; ++t) {
    const Sigmoid s(n.at(t, 0));
    sum += weight(t, s);
    const Vector bit = n.target(t), of_step = n.counts(t) > Vector{} ? s.value : never;
    lowest = bit > largest ? splat(t) : lowest;
    of_lowest = bit > largest ? of_step : of_lowest;
    largest = bit > largest ? bit : largest;
  }
  for (int64_t t = 0; t < n.answers; ++t) {
    const Sigmoid s(n.at(t, 0));
    const Vector is_lowest = lowest == splat(t) ? splat(1) : Vector{};
    n.pull(t, 0, (weight(t, s) / sum - is_lowest) * s.value * s.rest);
  }
  return log_all(sum) + (splat(1) - of_lowest);
}

// The loss of each example, whose gradients go to dy.
inline Vector losses_of(SequenceLossKind kind, const Answers& n) {
  switch (kind) {
    case SequenceLossKind::kCrossEntropy:
      return class_entropy(n);
    case SequenceLossKind::kBitEntropy:
      return bit_losses(n, [](Vector x, Vector bit, Vector& slope) {
        const Sigmoid s(x);
        slope = (splat(1) - bit) * s.value - bit * s.rest;
        return (x < Vector{} ? Vector{} : x) - x * bit + log1p_unit(s.tail);
      });
    case SequenceLossKind::kBitError:
      return bit_losses(n, [](Vector x, Vector bit, Vector& slope) {
        const Sigmoid s(x);
        const Vector error = (splat(1) - bit) * s.value - bit * s.rest;
        slope = splat(2) * error * s.value * s.rest;
        return error * error;
      });
    case SequenceLossKind::kRawError:
      return bit_losses(n, [](Vector x, Vector bit, Vector& slope) {
        slope = splat(2) * (x - bit);
        return (x - bit) * (x - bit);
      });
    default:
      return step_entropy(n);
  }
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_SEQUENCE_LOSSES_H_
