// Recurrent layers of one instruction set, as a table: all that its compiled code shows.

#ifndef GRIDSCAPE_RECURRENT_KERNELS_H_
#define GRIDSCAPE_RECURRENT_KERNELS_H_

#include <cstdint>

namespace gridscape {

enum class CellKind : int64_t { kRnn, kLstm, kGru, kGruAfter };

// Inputs are (batch, steps, features); every: all states (batch, steps, hidden) are returned, not
// only the last (batch, hidden).
struct RecurrentSizes {
  int64_t steps, batch, features, hidden;
  bool every;
};

// Floats that a recurrent layer needs beside its inputs and results.
//
// rows, kept: what the forward pass leaves for the backward pass; without one, `rows` is small and
// `kept` empty. dgates: gradients by the gates. forward, backward, inputs: room to work in.
struct RecurrentRoom {
  int64_t rows, kept, dgates, forward, backward, inputs;
};

struct RecurrentKernels {
  RecurrentRoom (*room)(CellKind, const RecurrentSizes&, bool keeps);
  void (*forward)(CellKind, const RecurrentSizes&, const float* const* weights,
                  const float* inputs, bool keeps, float* output, float* rows, float* kept,
                  float* room);
  void (*backward)(CellKind, const RecurrentSizes&, const float* const* weights, const float* rows,
                   const float* kept, const float* doutput, float* const* dweights, float* dgates,
                   float* room);
  void (*inputs)(CellKind, const RecurrentSizes&, const float* const* weights, const float* dgates,
                 float* dinputs, float* room);
};

}  // namespace gridscape

#endif  // GRIDSCAPE_RECURRENT_KERNELS_H_
