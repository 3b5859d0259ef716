// Recurrent layers of one instruction set, as a table: all that its compiled code shows.

#ifndef GRIDSCAPE_RECURRENT_KERNELS_H_
#define GRIDSCAPE_RECURRENT_KERNELS_H_

#include <cstdint>

namespace gridscape {

// Each with its name in Python, and how many times its width the first bias has.
#define GRIDSCAPE_CELLS(CELL) \
  CELL(kRnn, "rnn", 1)        \
  CELL(kLstm, "lstm", 4)      \
  CELL(kGru, "gru", 2)        \
  CELL(kGruAfter, "gru_after", 3)

enum class CellKind : int64_t {
#define GRIDSCAPE_KIND(kind, name, widths) kind,
  GRIDSCAPE_CELLS(GRIDSCAPE_KIND)
#undef GRIDSCAPE_KIND
};

// Inputs are (batch, steps, features); every: all states (batch, steps, hidden) are returned, not
// only the last (batch, hidden).
struct RecurrentSizes {
  int64_t steps, batch, features, hidden;
  bool every;
};

// Floats that a recurrent layer needs beside its inputs and results.
//
// rows, kept: what the forward pass leaves for the backward pass; without one, `rows` is small and
// `kept` empty. dgates: gradients by the gates. forward, backward, inputs: workspaces.
#define GRIDSCAPE_RECURRENT_WORKSPACE(FIELD) \
  FIELD(rows) FIELD(kept) FIELD(dgates) FIELD(forward) FIELD(backward) FIELD(inputs)

struct RecurrentWorkspace {
#define GRIDSCAPE_FIELD(name) int64_t name;
  GRIDSCAPE_RECURRENT_WORKSPACE(GRIDSCAPE_FIELD)
#undef GRIDSCAPE_FIELD
};

struct RecurrentKernels {
  RecurrentWorkspace (*workspace)(CellKind, const RecurrentSizes&, bool keeps);
  void (*forward)(CellKind, const RecurrentSizes&, const float* const* weights, const float* inputs,
                  bool keeps, float* output, float* rows, float* kept, float* workspace);
  void (*backward)(CellKind, const RecurrentSizes&, const float* const* weights, const float* rows,
                   const float* kept, const float* doutput, float* const* dweights, float* dgates,
                   float* workspace);
  void (*inputs)(CellKind, const RecurrentSizes&, const float* const* weights, const float* dgates,
                 float* dinputs, float* workspace);
};

}  // namespace gridscape

#endif  // GRIDSCAPE_RECURRENT_KERNELS_H_
