// Small recurrent networks as a whole, of one instruction set, as a table: all that its compiled
// code shows.

#ifndef GRIDSCAPE_SEQUENCE_KERNELS_H_
#define GRIDSCAPE_SEQUENCE_KERNELS_H_

#include "recurrent_kernels.h"

namespace gridscape {

// Each with its name in Python: of a class at the last step that counts; or of a bit a step, the
// cross-entropy, the squared error under the sigmoid or of the raw output, and that of the steps.
#define GRIDSCAPE_SEQUENCE_LOSSES(LOSS) \
  LOSS(kCrossEntropy, "cross_entropy")  \
  LOSS(kBitEntropy, "bce")              \
  LOSS(kBitError, "mse")                \
  LOSS(kRawError, "mse_raw")            \
  LOSS(kStepEntropy, "time_softmax")

enum class SequenceLossKind : int64_t {
#define GRIDSCAPE_KIND(kind, name) kind,
  GRIDSCAPE_SEQUENCE_LOSSES(GRIDSCAPE_KIND)
#undef GRIDSCAPE_KIND
};

constexpr int64_t kLastSequenceLoss = static_cast<int64_t>(SequenceLossKind::kStepEntropy);

// A recurrent layer of few units, a linear one that reads its states, of all steps or of the last,
// and a loss. Bits have one output.
struct SequenceSizes {
  CellKind cell;
  RecurrentSizes layer;
  int64_t outputs;
  SequenceLossKind loss;

  int64_t answers() const { return layer.every ? layer.steps : 1; }
  // Of an example: a class, or a bit for each answer.
  int64_t targets() const { return loss == SequenceLossKind::kCrossEntropy ? 1 : answers(); }
};

// weights: of the cell, in the order of its parameters. kernel (hidden, outputs), bias (outputs).
template <typename Float>
struct SequenceWeights {
  Float* weights[2];
  Float *kernel, *bias;
};

// Examples of an update. lengths: how many answers of each count, or null where all do.
struct SequenceBatch {
  const float* inputs;
  const int32_t *targets, *lengths;
};

struct SequenceKernels {
  // Whether there is such a network here.
  bool (*has)(const SequenceSizes&);
  // Floats to work in; the same for all instruction sets.
  int64_t (*workspace)(const SequenceSizes&);
  // The mean loss of a batch; all gradients by it; the outputs (batch, answers, outputs), unless
  // null.
  float (*gradient)(const SequenceSizes&, const SequenceWeights<const float>&, const SequenceBatch&,
                    const SequenceWeights<float>& gradients, float* outputs, float* workspace);
  int64_t (*outputs_workspace)(const SequenceSizes&);
  // The outputs alone. Examples are taken in the order of these indices, each of them once, by
  // blocks. lengths: what follows a block's longest is not done, its outputs are 0; or null.
  void (*outputs)(const SequenceSizes&, const SequenceWeights<const float>&, const float* inputs,
                  const int32_t* lengths, const int32_t* order, float* outputs, float* workspace);
};

}  // namespace gridscape

#endif  // GRIDSCAPE_SEQUENCE_KERNELS_H_
