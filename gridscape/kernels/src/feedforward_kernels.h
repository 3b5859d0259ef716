// Feed-forward layers of one instruction set, as a table: all that its compiled code shows.

#ifndef GRIDSCAPE_FEEDFORWARD_KERNELS_H_
#define GRIDSCAPE_FEEDFORWARD_KERNELS_H_

#include <cstdint>

namespace gridscape {

// Each with its name in Python.
#define GRIDSCAPE_ACTIVATIONS(ACTIVATION) \
  ACTIVATION(kLinear, "linear")           \
  ACTIVATION(kRelu, "relu")               \
  ACTIVATION(kTanh, "tanh")

enum class Activation : int64_t {
#define GRIDSCAPE_KIND(kind, name) kind,
  GRIDSCAPE_ACTIVATIONS(GRIDSCAPE_KIND)
#undef GRIDSCAPE_KIND
};

// x (batch, inputs) times a kernel (inputs, outputs).
struct DenseSizes {
  int64_t batch, inputs, outputs;
};

// Images (batch, height, width, channels), a kernel (rows, columns, channels, filters), stride 1,
// zeros around the images. pooled: ReLU and the maximum of windows of 2 x 2 follow.
struct ConvSizes {
  int64_t batch, height, width, channels, filters, rows, columns;
  bool pooled;
};

// Floats to work in beside inputs and results: of the forward pass, of the gradients by the weights
// and by the inputs. They are the same for all instruction sets.
#define GRIDSCAPE_DENSE_WORKSPACE(FIELD) FIELD(forward) FIELD(weights) FIELD(inputs)
// switches: what the forward pass of a pooled layer leaves, a byte for each output.
#define GRIDSCAPE_CONV_WORKSPACE(FIELD) FIELD(switches) GRIDSCAPE_DENSE_WORKSPACE(FIELD)

#define GRIDSCAPE_FIELD(name) int64_t name;
struct DenseWorkspace {
  GRIDSCAPE_DENSE_WORKSPACE(GRIDSCAPE_FIELD)
};

struct ConvWorkspace {
  GRIDSCAPE_CONV_WORKSPACE(GRIDSCAPE_FIELD)
};
#undef GRIDSCAPE_FIELD

struct FeedforwardKernels {
  DenseWorkspace (*dense_workspace)(const DenseSizes&);
  // bias may be null.
  void (*dense_forward)(const DenseSizes&, Activation, const float* x, const float* kernel,
                        const float* bias, float* y, float* workspace);
  // dz: gradients before the activation; not written where it is linear. dbias may be null.
  void (*dense_weights)(const DenseSizes&, Activation, const float* x, const float* y,
                        const float* dy, float* dkernel, float* dbias, float* dz, float* workspace);
  void (*dense_inputs)(const DenseSizes&, const float* kernel, const float* dz, float* dx,
                       float* workspace);

  ConvWorkspace (*conv_workspace)(const ConvSizes&, bool keeps);
  // switches: null where there is no backward pass.
  void (*conv_forward)(const ConvSizes&, const float* images, const float* kernel,
                       const float* bias, float* y, float* switches, float* workspace);
  void (*conv_weights)(const ConvSizes&, const float* images, const float* switches,
                       const float* dy, float* dkernel, float* dbias, float* workspace);
  void (*conv_inputs)(const ConvSizes&, const float* kernel, const float* switches, const float* dy,
                      float* dimages, float* workspace);
};

}  // namespace gridscape

#endif  // GRIDSCAPE_FEEDFORWARD_KERNELS_H_
