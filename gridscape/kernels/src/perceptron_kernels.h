// Whole perceptrons of one instruction set, as a table: all that its compiled code shows.

#ifndef GRIDSCAPE_PERCEPTRON_KERNELS_H_
#define GRIDSCAPE_PERCEPTRON_KERNELS_H_

#include <cstdint>

#include "feedforward_kernels.h"

namespace gridscape {

// Of one example, each with its name in Python: the squared error, as a sum over the outputs or as
// their mean.
#define GRIDSCAPE_LOSSES(LOSS)         \
  LOSS(kSquaredError, "squared_error") \
  LOSS(kMeanSquaredError, "mean_squared_error")

enum class LossKind : int64_t {
#define GRIDSCAPE_KIND(kind, name) kind,
  GRIDSCAPE_LOSSES(GRIDSCAPE_KIND)
#undef GRIDSCAPE_KIND
};

constexpr int64_t kMostLayers = 8;

// Dense layers: the widths from the inputs to the outputs, one more than layers, and of each layer
// its activation.
struct PerceptronSizes {
  int64_t batch, n_layers;
  int64_t widths[kMostLayers + 1];
  Activation activations[kMostLayers];
  LossKind loss;

  int64_t inputs() const { return widths[0]; }
  int64_t outputs() const { return widths[n_layers]; }
};

// Parameters and gradients of a layer: a kernel (inputs, outputs); the bias may be null.
struct PerceptronLayer {
  const float *kernel, *bias;
  float *dkernel, *dbias;
};

struct PerceptronKernels {
  // Floats to work in; the same for all instruction sets.
  int64_t (*workspace)(const PerceptronSizes&);
  // Puts a batch into the workspace: rows of tables of inputs and targets, or the first where it is
  // null.
  void (*take)(const PerceptronSizes&, const float* inputs, const float* targets,
               const int32_t* rows, float* workspace);
  // The mean loss of the batch in the workspace; all gradients by it; the outputs (batch, outputs),
  // unless null.
  float (*gradient)(const PerceptronSizes&, const PerceptronLayer* layers, float* outputs,
                    float* workspace);
};

}  // namespace gridscape

#endif  // GRIDSCAPE_PERCEPTRON_KERNELS_H_
