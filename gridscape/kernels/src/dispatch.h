// Which kernels run: those of the best instruction set that the processor has, or of a chosen one.

#ifndef GRIDSCAPE_DISPATCH_H_
#define GRIDSCAPE_DISPATCH_H_

#include "feedforward_kernels.h"
#include "optimizers_kernels.h"
#include "perceptron_kernels.h"
#include "recurrent_kernels.h"
#include "sequence_kernels.h"
#include "threefry_kernels.h"

namespace gridscape {

// All kernels of one instruction set.
struct Kernels {
  const char* name;
  const RecurrentKernels* recurrent;
  const RecurrentKernels* recurrent_bfloat16;
  const FeedforwardKernels* feedforward;
  const FeedforwardKernels* feedforward_bfloat16;  // null without instructions for it
  const OptimizerKernels* optimizers;
  const PerceptronKernels* perceptron;
  const SequenceKernels* sequence;
  const ThreefryKernels* threefry;
};

const Kernels& chosen();

}  // namespace gridscape

#endif  // GRIDSCAPE_DISPATCH_H_
